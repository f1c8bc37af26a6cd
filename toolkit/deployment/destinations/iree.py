"""Ships a Python program with IREE's runtime, on the CPU, and the model compiled ahead of time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import ONE_FILE, ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.runtimes.iree import Iree
from toolkit.sbom import BillEntry

NEEDED = ("iree-base-runtime", "numpy")
"""The compiler is needed to convert, and not to run."""


class IreePython:
    """A client of the wheel `iree-base-runtime`; the model is machine code for any processor of
    this architecture."""

    name: ClassVar[str] = "iree"
    title: ClassVar[str] = "IREE in Python"
    # Code compiled for this very processor crashes on an older one, by an unknown instruction.
    form: ClassVar[str] = "iree,processor=generic"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = ONE_FILE
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "iree")
    files: ClassVar[Mapping[str, str]] = python.FILES_OF_CONVERTED

    def fill(self, folder: Path, payload: Payload) -> None:
        python.write_requirements(folder, Iree, NEEDED)
        python.write_tensors(folder, payload)

    def licences(self) -> list[Licence]:
        pins = python.packages(Iree, NEEDED)
        return [
            Licence(f"iree-base-runtime {pins['iree-base-runtime']}", Iree.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def entries(self) -> list[BillEntry]:
        return python.entries(Iree, NEEDED)

    def run(self, workspace: Workspace) -> ClientRun:
        return python.run(workspace, Iree, NEEDED)


DESTINATION = IreePython
