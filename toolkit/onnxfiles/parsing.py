"""Parses a model as untrusted input: what the tool cannot take is refused in one line."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import FunctionProto, GraphProto, ModelProto

from toolkit.errors import InputError, first_line
from toolkit.onnxfiles import content, graphs, storedtensors, unregistered

NO_SHAPE = "Field 'shape' of 'type' is required but missing."
"""The checker's words for an input of unknown rank, which runtimes take all the same."""

MOST_NODES = 1_000_000
"""Nodes of a graph whose functions are written out. The largest real ones have some 20,000."""


def from_bytes(path: Path, data: bytes) -> ModelProto:
    """Parses what a file holds, without its external data; `path` is its name in messages and the
    place beside which external data lies.

    Raises InputError with the fault in one line.
    """
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's error class differs between its implementations
        raise InputError(f"{path} {content.instead(data)}") from error
    if not model.ir_version or not (model.graph.node or model.graph.output):
        raise InputError(f"{path} {content.instead(data)}")
    if not _all_text(model):
        raise InputError(f"{path} is damaged: a name in it is no text")
    _refuse_newer(path, model)
    _refuse_twice(path, model)
    _refuse_outputs(path, model)
    _refuse_explosion(path, model)
    storedtensors.refuse_short(path, model)
    # For what it refuses: the checker would open whatever files the model names.
    storedtensors.external_files(path, model)
    return model


UNSORTED = re.compile(r"topologically sorted, however input '([^']*)'")
"""What the checker says of nodes that are out of order, as converters to float16 leave them."""
SORTS = "import onnx_ir as ir; m = ir.load({!r}); m.graph.sort(); ir.save(m, {!r})"
"""A program that writes the nodes of a file in order."""


def check(path: Path, model: ModelProto) -> None:
    """Asks the ONNX checker about a file that was parsed. Raises InputError with what it says."""
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
        if unsorted := UNSORTED.search(str(error)):
            raise InputError(
                f"{path} is refused by the ONNX checker: its nodes are out of order, "
                f"{unsorted[1]!r} is used before a node gives it; some runtimes take that",
                f"python -c {shlex.quote(SORTS.format(str(path), f'{path.stem}-sorted.onnx'))}"
                "    writes it in order",
            ) from error
        raise InputError(f"{path} is refused by the ONNX checker: {line}") from error


def _of_unknown_rank(graph: GraphProto) -> bool:
    tensors = (v.type.tensor_type for v in (*graph.input, *graph.output))
    return any(tensor.elem_type and not tensor.HasField("shape") for tensor in tensors)


def _all_text(message: Message) -> bool:
    """Says whether all strings are UTF-8: the parser hands out others as bytes, without a word."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        for each in value if field.is_repeated else [value]:
            if isinstance(each, bytes) or (isinstance(each, Message) and not _all_text(each)):
                return False
    return True


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


def _refuse_twice(path: Path, model: ModelProto) -> None:
    """Raises InputError for two weights of one name and two opsets of one domain: readers differ in
    which of the two they take, and the ONNX checker says nothing."""
    # The same opset twice says one thing.
    opsets = {(each.domain or "ai.onnx", each.version) for each in model.opset_import}
    for domain in _twice(domain for domain, _ in opsets):
        raise InputError(f"{path} states two opsets of {domain!r}")
    for graph in graphs.graphs(model.graph):
        names = [tensor.name for tensor in graph.initializer]
        names += [tensor.values.name for tensor in graph.sparse_initializer]
        for name in _twice(names):
            raise InputError(f"{path} has the tensor {name!r} twice")


def _twice(names: Iterable[str]) -> list[str]:
    """The names that stand in a list more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def _refuse_outputs(path: Path, model: ModelProto) -> None:
    """Raises InputError where no output could be compared, or where one name stands for two."""
    names = [value.name for value in model.graph.output]
    if not names:
        raise InputError(f"{path} has no outputs: there is nothing to compare")
    if twice := _twice(names):
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
