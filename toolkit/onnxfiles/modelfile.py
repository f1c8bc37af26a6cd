"""Reads the facts of an .onnx file as untrusted input: nothing is believed, nothing outside its
folder is opened, and what is wrong with it is told in one line.
"""

from __future__ import annotations

import hashlib
import math
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx.external_data_helper import load_external_data_for_model

from toolkit.errors import InputError, first_line
from toolkit.onnxfiles import graphs, storedtensors, unregistered
from toolkit.supervision import progress
from toolkit.tensors import Dim, TensorSpec
from toolkit.units import Bytes, size

NOT_WEIGHTS = {TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING}
"""Types of shapes, indices and masks: initializers of these are not counted as parameters."""

NO_SHAPE = "Field 'shape' of 'type' is required but missing."
"""The checker's words for an input of unknown rank, which runtimes take all the same."""

LARGEST: Bytes = (1 << 31) - 1
"""Bytes at which a protobuf message ends."""

PIECE: Bytes = 1 << 24
"""Bytes that are hashed at once."""

MOST_NODES = 1_000_000
"""Nodes of a graph whose functions are written out. The largest real ones have some 20,000."""

KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What a path may lead to besides a file, in words."""

FORMATS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself",
    b"PK\x03\x04": "is a zip archive; PyTorch's .pt and .pt2 files are such",
    b"\x89PNG": "is a PNG picture",
    b"\x89HDF": "is an HDF5 file",
    b"\x80\x02": "is a pickle",
    b"\x80\x04": "is a pickle",
    b"\x1f\x8b": "is compressed by gzip",
}
"""Beginnings of the files that are often given in place of an .onnx."""


@dataclass(frozen=True)
class ModelFile:
    """The facts of an .onnx file that can be known without running it."""

    path: Path
    sha256: str
    """The hash over the file and then its external data files in the order of their names."""
    size: Bytes
    """The size of the file together with its external data."""
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

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name

    def dynamic(self) -> tuple[str, ...]:
        """Lists the names of the inputs' dynamic dimensions, in order, each once."""
        return tuple(dict.fromkeys(name for spec in self.inputs for name in spec.dynamic()))


@dataclass(frozen=True)
class Opened:
    """A model file that was read once."""

    facts: ModelFile
    model: ModelProto
    """The model, without its external data."""

    @property
    def folder(self) -> Path:
        """The folder in which the external data lies."""
        return self.facts.path.parent

    def complete(self) -> ModelProto:
        """The model with its external data inside; itself where it has none."""
        if not storedtensors.external_files(self.facts.path, self.model):
            return self.model
        whole = graphs.copied(self.model)
        load_external_data_for_model(whole, str(self.folder))
        return whole


def read(path: Path) -> ModelFile:
    """Reads the facts. Raises InputError for everything that is not a whole, known .onnx file."""
    return open_once(path).facts


def open_once(path: Path, *, check: bool = True) -> Opened:
    """Reads, hashes and parses a file once. Raises InputError as `read`.

    Without `check` the ONNX checker is left out, for a file that was written a moment ago.
    """
    content = _content(path)
    model = _parsed(path, content)
    if check:
        _check(path, model)
    external = storedtensors.external_files(path, model)
    facts = ModelFile(
        path=path,
        sha256=_sha256(content, external),
        size=len(content) + sum(file.stat().st_size for file in external),
        opset=graphs.opset(model),
        ir_version=model.ir_version,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        operators=operators(model),
        inputs=tuple(_spec(path, value, "input") for value in fed_inputs(model.graph)),
        outputs=tuple(_spec(path, value, "output") for value in model.graph.output),
        parameters=_parameters(model.graph),
    )
    return Opened(facts, model)


def files(path: Path) -> list[Path]:
    """Lists the file and those of its external data. Raises InputError as `read`."""
    return [path, *storedtensors.external_files(path, parse(path))]


def load(path: Path) -> ModelProto:
    """Loads the model with its external data inside. Raises InputError as `read`."""
    model = parse(path)
    if storedtensors.external_files(path, model):
        load_external_data_for_model(model, str(path.parent))
    return model


def parse(path: Path) -> ModelProto:
    """Parses the model, without its external data. Raises InputError with its fault in one line."""
    model = _parsed(path, _content(path))
    _check(path, model)
    return model


def _parsed(path: Path, content: bytes) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's error class differs between its implementations
        raise InputError(f"{path} {_not_onnx(content)}") from error
    if not model.ir_version or not (model.graph.node or model.graph.output):
        raise InputError(f"{path} {_not_onnx(content)}")
    if not _all_text(model):
        raise InputError(f"{path} is damaged: a name in it is no text")
    _refuse_newer(path, model)
    _refuse_outputs(path, model)
    _refuse_explosion(path, model)
    storedtensors.refuse_short(path, model)
    # For what it refuses: the checker would open whatever files the model names.
    storedtensors.external_files(path, model)
    return model


def _check(path: Path, model: ModelProto) -> None:
    try:
        # Without the weights: storedtensors.py has looked at those, external ones too. By its path
        # the checker reads the whole file once more, and refuses weights that have a second hard
        # link, as caches of packages and models make them.
        if not unregistered.check(model):
            onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        line = first_line(error)
        if line == NO_SHAPE and _of_unknown_rank(model.graph):
            return
        raise InputError(f"{path} is refused by the ONNX checker: {line}") from error


def _of_unknown_rank(graph: GraphProto) -> bool:
    tensors = (v.type.tensor_type for v in (*graph.input, *graph.output))
    return any(tensor.elem_type and not tensor.HasField("shape") for tensor in tensors)


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


def _refuse_outputs(path: Path, model: ModelProto) -> None:
    """Raises InputError where no output could be compared, or where one name stands for two."""
    names = [value.name for value in model.graph.output]
    if not names:
        raise InputError(f"{path} has no outputs: there is nothing to compare")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(
            f"{path} lists the output {twice[0]!r} twice: outputs are known by their names",
            "an Identity in front of one of them gives it a name of its own",
        )


def _refuse_explosion(path: Path, model: ModelProto) -> None:
    """Raises InputError for functions that call each other so often, or in a circle, that the graph
    without them would be endless: the checker and every runtime would begin to write it."""
    known = {(each.domain, each.name): each for each in model.functions}
    ordered = graphs.inner_first({key: [*_calls(known[key], known)] for key in known})
    if len(ordered) < len(known):
        name = min(known.keys() - {*ordered})[1]
        raise InputError(f"{path}: its function {name!r} calls itself")
    totals: dict[tuple[str, str], int] = {}
    for key in ordered:
        totals[key] = _nodes(known[key], totals)
    total = _nodes(model.graph, totals)
    if total > MOST_NODES:
        raise InputError(
            f"{path}: its functions call each other so often that it has {total:,} nodes; more"
            f" than {MOST_NODES:,} are not read"
        )


def _calls(
    owner: GraphProto | FunctionProto, known: Mapping[tuple[str, str], FunctionProto]
) -> Iterator[tuple[str, str]]:
    for node in graphs.nodes(owner):
        if (node.domain, node.op_type) in known:
            yield node.domain, node.op_type


def _nodes(owner: GraphProto | FunctionProto, totals: Mapping[tuple[str, str], int]) -> int:
    """Counts the nodes of a graph or a function whose calls are written out."""
    return sum(totals.get((node.domain, node.op_type), 1) for node in graphs.nodes(owner))


def _content(path: Path) -> bytes:
    progress.step(f"reading {path.name}")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise InputError(
            f"the name {shown} is no UTF-8: ONNX and the runtimes cannot open it",
            "mv OLD new.onnx    gives it another name",
        ) from error
    try:
        state = path.stat()
        # Nothing else is opened: a pipe would wait for ever, and /dev/zero has no end.
        if not stat.S_ISREG(state.st_mode):
            kind = next((word for test, word in KINDS if test(state.st_mode)), "no file")
            raise InputError(f"{path} is {kind}, not an .onnx file")
        if state.st_size > LARGEST:
            raise InputError(
                f"{path} has {size(state.st_size)}, and an .onnx file ends at 2 GiB: protobuf knows"
                " no larger message",
                "onnx.save_model(model, path, save_as_external_data=True)    puts the weights"
                " beside it",
            )
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not content:
        raise InputError(f"{path} is empty")
    return content


def _not_onnx(content: bytes) -> str:
    """Says what bytes that are no model are instead, as the end of a sentence."""
    for start, kind in FORMATS.items():
        if content.startswith(start):
            return kind
    if b"\0" not in content[:4096] and _is_text(content[:4096]):
        return "is a text file, not an .onnx file"
    # The first field of every ONNX model is its IR version: tag 8, then the number.
    if content[0] == 8 and len(content) > 1 and 0 < content[1] < 128:
        return "is damaged: it begins as an .onnx file and breaks off"
    return "is not an .onnx file"


def _all_text(message: Message) -> bool:
    """Says whether all strings are UTF-8: the parser hands out others as bytes, without a word."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for each in value if field.is_repeated else [value]:
            if isinstance(each, bytes) or (isinstance(each, Message) and not _all_text(each)):
                return False
    return True


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start > len(content) - 4  # a character cut at the end
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in content)


def _refuse_newer(path: Path, model: ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    cure = "pip install --upgrade onnx"
    if not model.opset_import:
        raise InputError(f"{path} is damaged: it states no opset")
    if model.ir_version > onnx.IR_VERSION:
        raise InputError(
            f"{path} has IR version {model.ir_version}; the installed onnx {onnx.__version__} knows"
            f" up to {onnx.IR_VERSION}",
            cure,
        )
    if (opset := graphs.opset(model)) > newest:
        raise InputError(
            f"{path} has opset {opset}; the installed onnx {onnx.__version__} knows up to {newest}",
            cure,
        )


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


def _sha256(content: bytes, external: list[Path]) -> str:
    """Hashes the file's content and then its external data, piece by piece: that may be larger than
    the memory."""
    digest = hashlib.sha256(content)
    for file in external:
        with file.open("rb") as stream:
            while chunk := stream.read(PIECE):
                digest.update(chunk)
                progress.step(f"hashing {file.name}")
    return digest.hexdigest()
