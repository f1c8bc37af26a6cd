"""Ships a Python program with ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.runtimes.onnxruntime import OnnxRuntime
from toolkit.sbom import BillEntry


class OnnxRuntimePython:
    """A client of the wheel `onnxruntime`; the model is the .onnx itself."""

    name: ClassVar[str] = "onnxruntime"
    title: ClassVar[str] = "ONNX Runtime in Python"
    form: ClassVar[str] = ""
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = operators.ONNXRUNTIME
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = None
    templates: ClassVar[tuple[str, ...]] = ("python", "onnxruntime")
    files: ClassVar[Mapping[str, str]] = python.FILES

    def fill(self, folder: Path, payload: Payload) -> None:
        python.write_requirements(folder, OnnxRuntime)

    def licences(self) -> list[Licence]:
        pins = python.packages(OnnxRuntime)
        return [
            Licence(f"onnxruntime {pins['onnxruntime']}", OnnxRuntime.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def entries(self) -> list[BillEntry]:
        return python.entries(OnnxRuntime)

    def run(self, workspace: Workspace) -> ClientRun:
        return python.run(workspace, OnnxRuntime)


DESTINATION = OnnxRuntimePython
