"""Reads the facts of an .onnx file as untrusted input: nothing is believed, nothing outside its
folder is opened, and what is wrong with it is told in one line.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from toolkit.errors import InputError
from toolkit.onnxfiles import content, filestates, graphs, parsing, storedtensors, tensordata
from toolkit.onnxfiles.filestates import FileState
from toolkit.runtimes.base import Program
from toolkit.sources import inputs
from toolkit.sources.inputs import Dimension
from toolkit.sources.source import Source
from toolkit.supervision import progress
from toolkit.tensors import Dim, TensorSpec
from toolkit.units import Bytes

NOT_WEIGHTS = {TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING}
"""Types of shapes, indices and masks: initializers of these are not counted as parameters."""

PROOF, NO_PROOF = "toolkit.proof", "none"
"""The entry of a file's metadata that says that `toolkit export --no-proof` wrote it."""

SIZES = "toolkit.sizes"
"""The entry that says for which sizes of its dynamic dimensions the file was proven, where it was
not for all."""

PIECE: Bytes = 1 << 24
"""Bytes that are hashed at once."""

GENERIC = re.compile(r"model($|[_.-])")
"""The beginning of names that say nothing of a model."""


@dataclass(frozen=True)
class ModelFile:
    """The facts of an .onnx file that can be known without running it."""

    path: Path
    sha256: str
    """The hash over the file and then its external data files in the order of their names."""
    size: Bytes
    """The size of the file together with its external data."""
    inlined: Bytes
    """The size of the file if all its tensors lay inside it."""
    opset: int
    """The version of ONNX's own operators."""
    ir_version: int
    producer: str
    """The name and version of the program that wrote it; may be empty."""
    metadata: Mapping[str, str]
    operators: Mapping[str, int]
    """Operator (with its domain where that is not ONNX's own) → how often, subgraphs included."""
    inputs: tuple[TensorSpec, ...]
    """The inputs that are fed: those that are initializers too have a default value."""
    outputs: tuple[TensorSpec, ...]
    parameters: int
    """Elements of all initializers, subgraphs included, but for those of the types NOT_WEIGHTS."""
    states: tuple[FileState, ...] = field(compare=False)
    """The file and then its external data files, as they were when they were read."""
    external: Mapping[str, Path] = field(compare=False)
    """The location that the file names → the file of external data, which lies in its folder."""

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    @property
    def unproven(self) -> str:
        """Says that nobody proved the file, where it says so itself; else empty."""
        if self.metadata.get(PROOF) != NO_PROOF:
            return ""
        return f"{self.name} was exported with --no-proof: nothing shows that it is its module"

    def dynamic(self) -> tuple[str, ...]:
        """Lists the names of the inputs' dynamic dimensions, in order, each once."""
        return tuple(dict.fromkeys(name for spec in self.inputs for name in spec.dynamic()))


@dataclass(frozen=True)
class Opened:
    """A model file that was read once."""

    facts: ModelFile
    model: ModelProto
    """The model, without its external data; large tensors of the file itself are such too."""

    @property
    def folder(self) -> Path:
        """The folder in which the external data lies."""
        return self.facts.path.parent

    def complete(self) -> ModelProto:
        """The model with its external data inside; itself where it has none."""
        if not _has_external(self.model):
            return self.model
        whole = graphs.copied(self.model)
        tensordata.bring_inside(whole, self.folder)
        return whole


def ranges(file: ModelFile) -> Mapping[str, Dimension]:
    """Dynamic dimension → the sizes for which a file says that it holds; what it says in another
    form than `toolkit export` counts for nothing."""
    try:
        stated = inputs.ranges(file.metadata[SIZES])
    except (KeyError, InputError):
        return {}
    return {name: dim for name, dim in stated.items() if name in file.dynamic()}


def read(path: Path) -> ModelFile:
    """Reads the facts. Raises InputError for everything that is not a whole, known .onnx file."""
    return open_once(path).facts


def open_once(path: Path, *, check: bool = True) -> Opened:
    """Reads, hashes and parses a file once. Raises InputError as `read`.

    Without `check` the ONNX checker is left out, for a file that was written a moment ago.
    """
    data, state = content.read(path)
    model = parsing.from_bytes(path, data)
    if check:
        parsing.check(path, model)
    external = storedtensors.external_data(path, model)
    states = (state, *map(filestates.of, external.values()))
    facts = ModelFile(
        path=path,
        sha256=_sha256([path, *external.values()]),
        size=sum(state.size for state in states),
        inlined=len(data) + storedtensors.external_size(model),
        opset=graphs.opset(model),
        ir_version=model.ir_version,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        operators=operators(model),
        inputs=tuple(_spec(path, value, "input") for value in fed_inputs(model.graph)),
        outputs=tuple(_spec(path, value, "output") for value in model.graph.output),
        parameters=_parameters(model.graph),
        states=states,
        external=external,
    )
    filestates.demand_unchanged(states)  # Its hash is of one file, not of halves of two.
    return Opened(facts, model)


def program(file: ModelFile, source: Source | None = None, threads: int = 1) -> Program:
    """Makes the program that a worker is given to load: with whole paths, of no other files than
    were looked at when the model was read."""
    return Program(
        file.path.resolve(),
        file.inputs,
        file.outputs,
        source,
        threads,
        external={location: each.resolve() for location, each in file.external.items()},
    )


def files(path: Path) -> list[Path]:
    """Lists the file and those of its external data. Raises InputError as `read`."""
    return [path, *storedtensors.external_files(path, parse(path))]


def telling_name(path: Path) -> str:
    """Names a model by its file, or by its folder where that tells more: most files that come from
    a hub are called model.onnx, in a folder that may be called onnx.

    >>> telling_name(Path("/m/bert/onnx/model.onnx")), telling_name(Path("/m/bert/model_int8.onnx"))
    ('bert', 'bert-model_int8')
    """
    if not GENERIC.match(path.stem):
        return path.stem
    folder = path.absolute().parent
    name = folder.parent.name if folder.name == "onnx" else folder.name
    return "-".join(filter(None, (name, "" if name and path.stem == "model" else path.stem)))


def load(path: Path) -> ModelProto:
    """Loads the model with its external data inside. Raises InputError as `read`."""
    model = parse(path)
    if _has_external(model):
        tensordata.bring_inside(model, path.parent)
    return model


def parse(path: Path) -> ModelProto:
    """Parses the model, without its external data. Raises InputError with its fault in one line."""
    data, _ = content.read(path)
    model = parsing.from_bytes(path, data)
    parsing.check(path, model)
    return model


def _has_external(model: ModelProto) -> bool:
    stored = storedtensors.stored(model)
    return any(tensor.data_location == TensorProto.EXTERNAL for tensor in stored)


def operators(model: ModelProto) -> dict[str, int]:
    """Counts each operator, subgraphs included; the most frequent comes first."""
    counts = Counter(_operator(node) for node in graphs.nodes(model.graph))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def fed_inputs(graph: GraphProto) -> list[onnx.ValueInfoProto]:
    """Lists the inputs that have no initializer: before IR 4 every initializer was an input too."""
    stored = {tensor.name for tensor in graph.initializer}
    stored |= {tensor.values.name for tensor in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in stored]


def type_name(element: int) -> str:
    """Gives ONNX's element type the name that the tool writes: 'float32', 'int64', 'bfloat16'.

    >>> type_name(TensorProto.FLOAT), type_name(TensorProto.BFLOAT16)
    ('float32', 'bfloat16')
    """
    name = str(TensorProto.DataType.Name(element)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _spec(path: Path, value: onnx.ValueInfoProto, role: str) -> TensorSpec:
    kind = value.type.WhichOneof("value") or "no type"
    if kind != "tensor_type":
        names = {"sequence_type": "a sequence", "map_type": "a map", "optional_type": "an optional"}
        raise InputError(
            f"{path}: the {role} {value.name!r} is {names.get(kind, kind.replace('_', ' '))};"
            " only tensors can be fed and compared"
        )
    tensor = value.type.tensor_type
    storedtensors.refuse_unknown_type(path, value.name, tensor.elem_type)
    shape = tuple(_dim(d) for d in tensor.shape.dim) if tensor.HasField("shape") else None
    return TensorSpec(value.name, type_name(tensor.elem_type), shape)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else None  # -1: an old way to say 'dynamic'
    return dim.dim_param or None


def _operator(node: NodeProto) -> str:
    return node.op_type if node.domain in graphs.STANDARD else f"{node.domain}.{node.op_type}"


def _parameters(graph: GraphProto) -> int:
    tensors = [tensor for each in graphs.graphs(graph) for tensor in each.initializer]
    return sum(math.prod(t.dims) for t in tensors if t.data_type not in NOT_WEIGHTS)


def _sha256(files: Sequence[Path]) -> str:
    """Hashes the content of files, one behind the other, piece by piece: they may be larger than
    the memory."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(PIECE):
                digest.update(chunk)
                progress.step(f"hashing {file.name}")
    return digest.hexdigest()
