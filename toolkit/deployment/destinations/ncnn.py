"""A Python program with ncnn, on the CPU, pinned to float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import Ground, Licence, Parcel, Ran
from toolkit.runtimes.ncnn import Ncnn

NEEDED = ("ncnn", "numpy")
"""pnnx and its PyTorch stay here."""


class NcnnPython:
    """The wheel `ncnn`, and what pnnx made of the model."""

    name: ClassVar[str] = "ncnn"
    title: ClassVar[str] = "ncnn in Python"
    form: ClassVar[str] = "ncnn"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "ncnn")
    files: ClassVar[Mapping[str, str]] = python.FILES_OF_CONVERTED

    def fill(self, folder: Path, parcel: Parcel) -> None:
        python.write_requirements(folder, Ncnn, NEEDED)
        python.write_tensors(folder, parcel)

    def licences(self) -> list[Licence]:
        pins = python.packages(Ncnn, NEEDED)
        return [
            Licence(f"ncnn {pins['ncnn']}", Ncnn.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def run(self, ground: Ground) -> Ran:
        return python.run(ground, Ncnn, NEEDED)


DESTINATION = NcnnPython
