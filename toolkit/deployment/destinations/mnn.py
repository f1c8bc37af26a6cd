"""Ships a Python program with MNN, on the CPU, pinned to float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import ONE_FILE, ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.runtimes.mnn import Mnn
from toolkit.sbom import BillEntry

NEEDED = ("MNN", "numpy")
"""The package MNN brings its converter along, which the client does not call."""


class MnnPython:
    """A client of the wheel `MNN`; the model is a .mnn."""

    name: ClassVar[str] = "mnn"
    title: ClassVar[str] = "MNN in Python"
    form: ClassVar[str] = "mnn"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = ONE_FILE
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "mnn")
    files: ClassVar[Mapping[str, str]] = python.FILES_OF_CONVERTED

    def fill(self, folder: Path, payload: Payload) -> None:
        python.write_requirements(folder, Mnn, NEEDED)
        python.write_tensors(folder, payload)

    def licences(self) -> list[Licence]:
        pins = python.packages(Mnn, NEEDED)
        return [
            Licence(f"MNN {pins['MNN']}", Mnn.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def entries(self) -> list[BillEntry]:
        return python.entries(Mnn, NEEDED)

    def run(self, workspace: Workspace) -> ClientRun:
        return python.run(workspace, Mnn, NEEDED)


DESTINATION = MnnPython
