"""Ships a Python program with LiteRT, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import operators, python
from toolkit.deployment.base import ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.runtimes.litert import LiteRt
from toolkit.sbom import BillEntry

NEEDED = ("ai-edge-litert", "numpy", "flatbuffers", "protobuf", "ml_dtypes", "tqdm",
          "typing_extensions", "backports.strenum")  # fmt: skip
"""The interpreter and what it imports; the converter is not needed to run."""

LARGEST = SizeLimit(2**31 - 1, "2 GiB", "a .tflite, which is one flatbuffer,")
"""A flatbuffer's offsets are signed numbers of 32 bits (flatbuffers.dev, Internals)."""


class LiteRtPython:
    """A client of the wheel `ai-edge-litert`; the model is a .tflite."""

    name: ClassVar[str] = "litert"
    title: ClassVar[str] = "LiteRT in Python"
    form: ClassVar[str] = "litert"
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = frozenset()
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = LARGEST
    templates: ClassVar[tuple[str, ...]] = ("python", "converted", "litert")
    files: ClassVar[Mapping[str, str]] = python.FILES_OF_CONVERTED

    def fill(self, folder: Path, payload: Payload) -> None:
        python.write_requirements(folder, LiteRt, NEEDED)
        python.write_tensors(folder, payload)

    def licences(self) -> list[Licence]:
        pins = python.packages(LiteRt, NEEDED)
        return [
            Licence(f"ai-edge-litert {pins['ai-edge-litert']}", LiteRt.licence),
            Licence(f"numpy {pins['numpy']}", "BSD-3-Clause"),
        ]

    def entries(self) -> list[BillEntry]:
        return python.entries(LiteRt, NEEDED)

    def run(self, workspace: Workspace) -> ClientRun:
        return python.run(workspace, LiteRt, NEEDED)


DESTINATION = LiteRtPython
