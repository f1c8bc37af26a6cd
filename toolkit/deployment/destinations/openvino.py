"""Ships a Python program with OpenVINO, on the CPU, pinned to float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.runtimes.openvino import OpenVino
from toolkit.sbom import BillEntry


class OpenVinoPython:
    """A client of the wheel `openvino`, which reads the .onnx itself."""

    name: ClassVar[str] = "openvino"
    title: ClassVar[str] = "OpenVINO in Python"
    form: ClassVar[str] = ""
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = None
    templates: ClassVar[tuple[str, ...]] = ("python", "openvino")
    files: ClassVar[Mapping[str, str]] = python.FILES

    def fill(self, folder: Path, payload: Payload) -> None:
        python.write_requirements(folder, OpenVino)

    def licences(self) -> list[Licence]:
        pins = python.packages(OpenVino)
        return [
            Licence(f"openvino {pins['openvino']}", OpenVino.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def entries(self) -> list[BillEntry]:
        return python.entries(OpenVino)

    def run(self, workspace: Workspace) -> ClientRun:
        return python.run(workspace, OpenVino)


DESTINATION = OpenVinoPython
