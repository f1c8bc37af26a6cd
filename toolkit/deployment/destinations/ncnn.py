"""Ships a Python program with ncnn, on the CPU, pinned to float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import ONE_FILE, ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.runtimes.ncnn import Ncnn
from toolkit.sbom import BillEntry

NEEDED = ("ncnn", "numpy")
"""pnnx and its PyTorch are needed to convert, and not to run."""


class NcnnPython:
    """A client of the wheel `ncnn`; the model is what pnnx made of it."""

    name: ClassVar[str] = "ncnn"
    title: ClassVar[str] = "ncnn in Python"
    form: ClassVar[str] = "ncnn"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = ONE_FILE
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "ncnn")
    files: ClassVar[Mapping[str, str]] = python.FILES_OF_CONVERTED

    def fill(self, folder: Path, payload: Payload) -> None:
        python.write_requirements(folder, Ncnn, NEEDED)
        python.write_tensors(folder, payload)

    def licences(self) -> list[Licence]:
        pins = python.packages(Ncnn, NEEDED)
        return [
            Licence(f"ncnn {pins['ncnn']}", Ncnn.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def entries(self) -> list[BillEntry]:
        return python.entries(Ncnn, NEEDED)

    def run(self, workspace: Workspace) -> ClientRun:
        return python.run(workspace, Ncnn, NEEDED)


DESTINATION = NcnnPython
