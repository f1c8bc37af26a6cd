"""Ships a Python program with ExecuTorch, on the CPU, with a model made from its PyTorch source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.deployment.venvs import UNHASHED
from toolkit.runtimes.executorch import ExecuTorch
from toolkit.sbom import BillEntry

NEEDED = ("executorch", "torch", "numpy")
"""torch is needed too: ExecuTorch's Python package is linked against libtorch."""


class ExecuTorchPython:
    """A client of the wheel `executorch` with XNNPACK; the model is a .pte."""

    name: ClassVar[str] = "executorch"
    title: ClassVar[str] = "ExecuTorch in Python"
    form: ClassVar[str] = "executorch"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    # A .pte holds its weights in segments behind the flatbuffer, with offsets of 64 bits
    # (docs.pytorch.org/executorch, .pte file format).
    largest: ClassVar[SizeLimit | None] = None
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "executorch")
    files: ClassVar[Mapping[str, str]] = {
        **python.FILES_OF_CONVERTED,
        UNHASHED: "what is installed before it, pinned, without a hash",
    }

    def fill(self, folder: Path, payload: Payload) -> None:
        python.write_requirements(folder, ExecuTorch, NEEDED)
        python.write_tensors(folder, payload)

    def licences(self) -> list[Licence]:
        pins = python.packages(ExecuTorch, NEEDED)
        return [
            Licence(f"executorch {pins['executorch']}", ExecuTorch.licence),
            Licence(f"torch {pins['torch']}", "BSD-3-Clause"),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def entries(self) -> list[BillEntry]:
        return python.entries(ExecuTorch, NEEDED)

    def run(self, workspace: Workspace) -> ClientRun:
        return python.run(workspace, ExecuTorch, NEEDED)


DESTINATION = ExecuTorchPython
