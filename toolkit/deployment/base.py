"""The contract of a destination: one class in one file, and a folder of templates.

Rules:

D1  The folder runs by itself: no toolkit, no path of this machine, no network once what it requires
    is installed, and nothing phones home: a client that leaves a file in its user's home fails.
D2  Its client reads test_data_set_0, 1 …: input_0.npy, input_1.npy … in the order of the model's
    inputs; and it can hand out what the model gave for each set (`Destination.run`).
D3  What is pinned stands in one place: the runtime's `requirements`, or the template's lock file.
D4  What is missing on this machine for the proof raises EnvironmentFault; a client that fails
    raises TargetError. Nothing is called proven that did not run.
D5  A client may refuse a size that its form cannot take, though the model can: it says so in one
    line (`Ran.refused`). The folder is then proven at the sizes that it takes, of which the one
    that is timed must be; README and deploy.json say which those are, and which were refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

from toolkit.answers.formats import Precision
from toolkit.exporter.testdata import DataSet
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.tensors import Array

Outputs: TypeAlias = list[dict[str, Array]]
"""What a client gave: for each set of test data the named outputs."""

MakePython: TypeAlias = Callable[[Path, Path], Path]
"""Makes an environment in a folder with what a requirements file names; returns its Python."""

MODEL = "model"
"""Where the model lies: model/model.onnx with its external data, which keeps its name since the
model names it, or what a runtime's `convert` made (R8). A folder of its own: the file is untrusted,
and data called numpy.py beside a client would be run by it."""
ONNX = f"{MODEL}/model.onnx"
HOME = "home"
"""The folder in a ground's scratch that clients have as their user's home."""


@dataclass(frozen=True)
class Licence:
    """Whose work a folder holds or needs."""

    what: str
    """With its version: 'onnxruntime 1.32.0'."""
    licence: str
    """By its SPDX identifier."""
    inside: bool = False
    """It lies in the folder; else it is installed beside."""


@dataclass(frozen=True)
class Parcel:
    """What goes into a folder, whatever the destination."""

    file: ModelFile
    sets: tuple[DataSet, ...]
    """The test data."""
    digits: bool = False
    """It is the reference model, whose inputs a person can draw."""
    converted: Path | None = None
    """The folder that the runtime's `convert` filled (R8), for a destination that asks for it."""


@dataclass(frozen=True)
class Ground:
    """Where a folder is proven: a copy of it, with all feeds as its test data."""

    copy: Path
    scratch: Path
    """Room for environments, builds and outputs; gone afterwards."""
    parcel: Parcel
    python: MakePython

    @property
    def home(self) -> Path:
        """The home of whoever runs the client: empty, and to be left so (D1)."""
        return self.scratch / HOME


@dataclass(frozen=True)
class Ran:
    """What a client gave, and with what it ran."""

    outputs: Outputs
    versions: Mapping[str, str]
    """As they were found when it ran: 'onnxruntime' → '1.32.0'."""
    where: str
    """In words: 'in a fresh Python environment'."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Number of a set whose size it does not take (D5) → why; its outputs are empty."""


class Destination(Protocol):
    """Where a model can go."""

    name: ClassVar[str]
    """As the user types it."""
    title: ClassVar[str]
    """'ONNX Runtime in Python'."""
    form: ClassVar[str]
    """The target, as it is typed, whose `convert` makes the form that is shipped (R8); empty: the
    .onnx itself."""
    precision: ClassVar[Precision]
    """What it declares to compute in."""
    domains: ClassVar[frozenset[str]]
    """Domains of operators that it has, beside ONNX's own."""
    types: ClassVar[frozenset[str]]
    """ONNX types of inputs and outputs that its client reads and writes."""
    templates: ClassVar[tuple[str, ...]]
    """The folders of templates that are laid over one another; the last has the README's part."""
    files: ClassVar[Mapping[str, str]]
    """File → what it is, in the order in which a reader should look."""

    def fill(self, folder: Path, parcel: Parcel) -> None:
        """Adds what the templates cannot hold. Raises EnvironmentFault where that cannot be had."""

    def licences(self) -> list[Licence]:
        """Of what the folder holds or needs, the model apart."""

    def run(self, ground: Ground) -> Ran:
        """Runs the client on the test data of the copy, from there, in a clean environment."""
