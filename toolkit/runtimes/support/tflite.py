"""An .onnx as a .tflite: by onnx2tf, with its writer that needs no TensorFlow.

By itself it lays images with the channels last and asks for inputs so; it is told to leave every
input as the model has it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import TargetError, first_line
from toolkit.runtimes.base import Program, check_types
from toolkit.runtimes.support import fixedshapes
from toolkit.tensors import Feed

MODEL = "model.tflite"
WRITTEN = "model_float32.tflite"
"""As onnx2tf names it."""
OUTPUT = "toolkit_output_{}"
"""An output that `_hand_out` renamed, by its place among the outputs."""


def convert(program: Program, feed: Feed, option: str, folder: Path) -> None:
    """Fills `folder` with the .tflite and the shapes that it is made for (fixedshapes.py).

    Raises TargetError for what onnx2tf or the interpreter has not.
    """
    check_types(program, "litert")
    try:
        import onnx
        import onnx2tf  # noqa: F401 - asked for here, where its absence has a cure.
    except ModuleNotFoundError as error:
        raise TargetError(
            f"litert converts the model first, for which {error.name} is missing here",
            "toolkit runtimes install litert    installs all of it",
        ) from None
    shapes = fixedshapes.of(program, feed, option)
    work = folder / "work"
    work.mkdir()
    model = onnx.load(str(program.model))
    fixedshapes.fix(model.graph, shapes)
    _keep_copies(model.graph)
    written = _written(model, work)
    _check_operators(written, model.graph)
    if numbers := {*_turned(written, model.graph), *_lost(written, model.graph)}:
        _hand_out(model.graph, sorted(numbers))
        _written(model, work)
    (work / WRITTEN).replace(folder / MODEL)
    shutil.rmtree(work)
    fixedshapes.write(shapes, folder)


def _written(model: Any, work: Path) -> Path:
    """Writes the .tflite; all that the converter says goes to the log."""
    import onnx
    import onnx2tf

    source = work / "model.onnx"
    onnx.save(model, str(source))  # A copy: the converter writes into what it reads.
    try:
        with contextlib.redirect_stdout(sys.stderr):
            onnx2tf.convert(
                input_onnx_file_path=str(source),
                output_folder_path=str(work),
                tflite_backend="flatbuffer_direct",
                keep_shape_absolutely_input_names=[info.name for info in model.graph.input],
                not_use_onnxsim=True,  # It would run whatever program of that name is on the path.
                non_verbose=True,
                verbosity="error",
            )
    except (Exception, SystemExit) as error:  # Of any kind, and it calls sys.exit.
        sys.stderr.write(f"{error}\n")
        raise TargetError(f"onnx2tf cannot convert this model: {first(error)}") from error
    return work / WRITTEN


def _keep_copies(graph: Any) -> None:
    """An Identity between two tensors that are both seen from outside stays, as a node that the
    converter keeps."""
    types = {info.name: info.type.tensor_type.elem_type for info in (*graph.input, *graph.output)}
    for node in graph.node:
        if node.op_type == "Identity" and {node.input[0], node.output[0]} <= types.keys():
            node.CopyFrom(_copy(node.input[0], node.output[0], types[node.output[0]]))


def _turned(file: Path, graph: Any) -> list[int]:
    """The outputs that are given with the channels last, by their place."""
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_path=str(file)).get_output_details()
    given = {
        detail["name"]: [int(size) for size in detail["shape_signature"]] for detail in details
    }
    found = []
    for number, info in enumerate(graph.output):
        dims = info.type.tensor_type.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]
        last = [*sizes[:1], *sizes[2:], *sizes[1:2]]
        if len(sizes) > 2 and sizes != last == given.get(kept(info.name)):
            found.append(number)
    return found


def _lost(file: Path, graph: Any) -> list[int]:
    """The outputs that no operator writes, by their place: the converter fuses an operator with the
    one that reads what it gives, and an output between the two is gone."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # A delegate would stand for the operators that it takes.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(file), experimental_op_resolver_type=plain)
    written = {place for op in interpreter._get_ops_details() for place in op["outputs"]}
    places = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}
    names = [kept(info.name) for info in graph.output]
    return [number for number, name in enumerate(names) if places.get(name) not in written]


def _hand_out(graph: Any, numbers: Sequence[int]) -> None:
    """Gives these outputs by a node of their own that copies them: then they keep their layout and
    their operator. Not all of them: the copy is a part of what is timed."""
    for number in numbers:
        info, name = graph.output[number], OUTPUT.format(number)
        graph.node.append(_copy(info.name, name, info.type.tensor_type.elem_type))
        info.name = name


def _copy(source: str, name: str, kind: int) -> Any:
    """A node that copies a tensor: a Cast to its own type, since the converter loses what else
    reads the input of an Identity, and takes the Identity's dynamic sizes for fixed ones."""
    import onnx

    return onnx.helper.make_node("Cast", [source], [name], to=kind)


def _check_operators(file: Path, graph: Any) -> None:
    """What onnx2tf cannot translate it hands on as an operator that no interpreter has."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        Interpreter(model_path=str(file)).allocate_tensors()
    except RuntimeError as error:
        found = re.search(r"unresolved custom op: ONNX_(\w+)", str(error))
        if found is None:  # Of a size that the file leaves open: `bind` knows the sizes.
            return
        types = {node.op_type.upper(): node.op_type for node in graph.node}
        raise TargetError(f"litert has no operator {types.get(found[1], found[1])}") from error


def kept(name: str) -> str:
    """A name as onnx2tf keeps it."""
    return name.replace(":", "__")


def first(error: BaseException) -> str:
    """The first line of an error that says something, without the interpreter's repetitions."""
    return re.split(r"(?<=[a-z.#0-9])Node number", first_line(error))[0]
