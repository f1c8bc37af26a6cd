"""A Python program with IREE's runtime, on the CPU: the model compiled ahead of time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import Ground, Licence, Parcel, Ran
from toolkit.runtimes.iree import Iree

NEEDED = ("iree-base-runtime", "numpy")
"""The compiler stays here."""


class IreePython:
    """The wheel `iree-base-runtime`, and machine code for any processor of this architecture."""

    name: ClassVar[str] = "iree"
    title: ClassVar[str] = "IREE in Python"
    # What is compiled for this very processor dies of an unknown instruction on an older one.
    form: ClassVar[str] = "iree,processor=generic"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "iree")
    files: ClassVar[Mapping[str, str]] = python.FILES_OF_CONVERTED

    def fill(self, folder: Path, parcel: Parcel) -> None:
        python.write_requirements(folder, Iree, NEEDED)
        python.write_tensors(folder, parcel)

    def licences(self) -> list[Licence]:
        pins = python.packages(Iree, NEEDED)
        return [
            Licence(f"iree-base-runtime {pins['iree-base-runtime']}", Iree.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def run(self, ground: Ground) -> Ran:
        return python.run(ground, Iree, NEEDED)


DESTINATION = IreePython
