"""A Python program with MNN, on the CPU, pinned to float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import Ground, Licence, Parcel, Ran
from toolkit.runtimes.mnn import Mnn

NEEDED = ("MNN", "numpy")
"""The package brings its converter along, which is not called."""


class MnnPython:
    """The wheel `MNN`, and a .mnn."""

    name: ClassVar[str] = "mnn"
    title: ClassVar[str] = "MNN in Python"
    form: ClassVar[str] = "mnn"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "mnn")
    files: ClassVar[Mapping[str, str]] = python.FILES_OF_CONVERTED

    def fill(self, folder: Path, parcel: Parcel) -> None:
        python.write_requirements(folder, Mnn, NEEDED)
        python.write_tensors(folder, parcel)

    def licences(self) -> list[Licence]:
        pins = python.packages(Mnn, NEEDED)
        return [
            Licence(f"MNN {pins['MNN']}", Mnn.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def run(self, ground: Ground) -> Ran:
        return python.run(ground, Mnn, NEEDED)


DESTINATION = MnnPython
