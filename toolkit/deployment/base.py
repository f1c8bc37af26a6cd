"""The contract of a destination: one class in one file, and a folder of templates.

Rules:

D1  The folder runs by itself: no toolkit, no path of this machine, no network once what it requires
    is installed, and nothing phones home: a client that leaves a file in its user's home fails.
D2  Its client reads test_data_set_0, 1 …: input_0.npy, input_1.npy … in the order of the model's
    inputs; and it can hand out what the model gave for each set (`Destination.run`).
D3  What is pinned stands in one place: the runtime's `requirements`, of which locks with hashes are
    compiled, or the template's lock file.
D4  What is missing on this machine for the proof raises EnvironmentFault; a client that fails
    raises TargetError. Nothing is called proven that did not run.
D5  A client may refuse a size that its form cannot take, though the model can: it says so in one
    line (`ClientRun.refused`). The folder is then proven at the sizes that it takes, of which the
    one that is timed must be; README and deploy.json say which those are, and which were refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

from toolkit.answers.formats import Precision
from toolkit.deployment.chromium import Sandbox
from toolkit.exporter.testdata import DataSet
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.sbom import BillEntry
from toolkit.tensors import Array
from toolkit.units import Bytes

Outputs: TypeAlias = list[dict[str, Array]]
"""A client's outputs by their names, one dictionary for each set of test data."""

MakePython: TypeAlias = Callable[[Path, Path], Path]
"""Makes a Python environment in the folder that is given first, with what the requirements file
names that is given second; returns the environment's Python."""

TEMPLATES = Path(__file__).parent / "templates"
"""Holds the folders that `Destination.templates` names."""
MODEL = "model"
"""The folder of the model: model/model.onnx with its external data, which keeps its name since the
model names it, or what a runtime's `convert` made (R8). It lies in a folder of its own because the
file is untrusted: external data called numpy.py beside a client would be run by that client. Data
called model.onnx would take the model's own place: such a model is refused (operators.refusal)."""
ONNX = f"{MODEL}/model.onnx"


@dataclass(frozen=True)
class Licence:
    """The licence of something that a folder holds or needs."""

    what: str
    """Names it with its version: 'onnxruntime 1.32.0'."""
    licence: str
    """The licence's SPDX identifier."""
    inside: bool = False
    """It lies in the folder; otherwise the folder's user installs it."""


@dataclass(frozen=True)
class SizeLimit:
    """The largest model that a form can hold."""

    bytes: Bytes
    """The size of the .onnx with all tensors inside it, which may be reached."""
    text: str
    """The limit as people know it: '2 GiB'."""
    why: str
    """What ends there, as the beginning of a sentence that 'ends at 2 GiB' ends."""


ONE_FILE = SizeLimit(
    2**31 - 1, "2 GiB", "the one .onnx file with all weights, which its converter reads,"
)
"""The limit of a converter that is handed a whole .onnx in one message: protobuf ends there
(protobuf.dev, Proto Limits)."""


@dataclass(frozen=True)
class Payload:
    """All that goes into a folder for every destination alike."""

    file: ModelFile
    sets: tuple[DataSet, ...]
    """The test data."""
    digits: bool = False
    """The model is the reference model, whose inputs a person can draw."""
    converted: Path | None = None
    """The folder that the runtime's `convert` filled (R8), for a destination that asks for it."""


@dataclass(frozen=True)
class Workspace:
    """The folders in which a client is run to prove it."""

    copy: Path
    """A copy of the deployed folder, with every feed as its test data and a link to its model."""
    scratch: Path
    """Takes environments, builds and outputs; it is removed after the proof."""
    payload: Payload
    """The payload of the copy, so its `sets` are all feeds."""
    make_python: MakePython
    sandbox: Sandbox = "auto"
    """Whether a browser that runs the client has its own sandbox."""

    @property
    def home(self) -> Path:
        """The home folder of the client's user: empty before a run, and after it too (D1)."""
        return self.scratch / "home"


@dataclass(frozen=True)
class ClientRun:
    """A client's outputs, and the versions and the surroundings that they came from."""

    outputs: Outputs
    versions: Mapping[str, str]
    """Versions that were read while it ran: 'onnxruntime' → '1.32.0'."""
    where: str
    """Continues the sentence 'The client was run …': 'in a fresh Python environment'."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Number of a set whose size the client does not take (D5) → the reason. The outputs of such a
    set are empty."""


class Destination(Protocol):
    """A kind of program in which a model can be shipped."""

    name: ClassVar[str]
    """The name that the user types."""
    title: ClassVar[str]
    """The name in a README: 'ONNX Runtime in Python'."""
    form: ClassVar[str]
    """The target, as it is typed, whose `convert` makes the form that is shipped (R8); empty: the
    .onnx itself is."""
    precision: ClassVar[Precision]
    """The precision that its client declares to compute in."""
    domains: ClassVar[frozenset[str]]
    """Domains of operators that it has, beside ONNX's own."""
    types: ClassVar[frozenset[str]]
    """ONNX types of inputs and outputs that its client reads and writes."""
    largest: ClassVar[SizeLimit | None]
    """The largest model that its form holds; None: no limit below that of the disk is known."""
    templates: ClassVar[tuple[str, ...]]
    """The folders of templates that are laid over one another; the last one's README.md says how
    the client is run."""
    files: ClassVar[Mapping[str, str]]
    """File → what it is, in the order in which a reader should look."""

    def fill(self, folder: Path, payload: Payload) -> None:
        """Adds to the folder what templates cannot hold: pins, descriptions, fetched libraries.

        Raises EnvironmentFault where that cannot be had on this machine.
        """

    def licences(self) -> list[Licence]:
        """Returns the licences of all that the folder holds or needs, besides the model."""

    def entries(self) -> list[BillEntry]:
        """Returns the packages that the folder holds or is installed with, for its bill of
        materials."""

    def run(self, workspace: Workspace) -> ClientRun:
        """Runs the client in a clean environment on the test data of the copy.

        Raises EnvironmentFault where this machine lacks something, TargetError where the client
        fails (D4).
        """
