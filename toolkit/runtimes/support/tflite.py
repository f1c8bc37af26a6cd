"""Converts an .onnx to a .tflite by onnx2tf, with its writer that needs no TensorFlow.

By itself onnx2tf lays images with the channels last and asks for inputs so; it is told to leave
every input as the model has it.
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
from toolkit.runtimes.support import fixedshapes, plainform
from toolkit.tensors import Feed

MODEL = "model.tflite"
WRITTEN = "model_float32.tflite"
"""The name that onnx2tf gives the file."""
OUTPUT = "toolkit_output_{}"
"""The name of an output that `_hand_out` renamed, with its number among the outputs."""


def convert(program: Program, feed: Feed, option: str, folder: Path) -> None:
    """Fills `folder` with the .tflite and the shapes that it is made for (fixedshapes.py).

    Raises TargetError for an operator that onnx2tf or the interpreter lacks.
    """
    check_types(program, "litert")
    try:
        import onnx
        import onnx2tf  # noqa: F401 - imported here, where its absence has a cure.
    except ModuleNotFoundError as error:
        raise TargetError(
            f"litert converts the model first, for which {error.name} is missing here",
            "toolkit runtimes install litert    installs all of it",
        ) from None
    assert program.model is not None  # It starts from the model.
    plainform.demand_one_file(program.model)
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
    """Writes the .tflite; all that the converter prints goes to the worker's log."""
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
    """Replaces each Identity between an input and an output, which the converter would drop, by a
    copy that it keeps."""
    types = {info.name: info.type.tensor_type.elem_type for info in (*graph.input, *graph.output)}
    for node in graph.node:
        if node.op_type == "Identity" and {node.input[0], node.output[0]} <= types.keys():
            node.CopyFrom(_copy(node.input[0], node.output[0], types[node.output[0]]))


def _turned(file: Path, graph: Any) -> list[int]:
    """The numbers of the outputs that are given with the channels last."""
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_path=str(file)).get_output_details()
    converted = {
        detail["name"]: [int(size) for size in detail["shape_signature"]] for detail in details
    }
    numbers = []
    for number, info in enumerate(graph.output):
        dims = info.type.tensor_type.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]
        last = [*sizes[:1], *sizes[2:], *sizes[1:2]]
        if len(sizes) > 2 and sizes != last == converted.get(kept(info.name)):
            numbers.append(number)
    return numbers


def _lost(file: Path, graph: Any) -> list[int]:
    """The numbers of the outputs that no operator writes: the converter fuses an operator with the
    one that reads its output, and an output of the model between the two is gone."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # A delegate would stand for the operators that it takes.
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(file), experimental_op_resolver_type=plain)
    written = {index for op in interpreter._get_ops_details() for index in op["outputs"]}
    indices = {detail["name"]: detail["index"] for detail in interpreter.get_output_details()}
    names = [kept(info.name) for info in graph.output]
    return [number for number, name in enumerate(names) if indices.get(name) not in written]


def _hand_out(graph: Any, numbers: Sequence[int]) -> None:
    """Gives each of these outputs through a node that copies it: then it keeps its layout and its
    operator. The others are left alone, since the copy is a part of what is timed."""
    for number in numbers:
        info, name = graph.output[number], OUTPUT.format(number)
        graph.node.append(_copy(info.name, name, info.type.tensor_type.elem_type))
        info.name = name


def _copy(source: str, name: str, kind: int) -> Any:
    """A node that copies a tensor: a Cast to its own type. With an Identity the converter loses the
    other readers of its input, and takes dynamic sizes for fixed ones."""
    import onnx

    return onnx.helper.make_node("Cast", [source], [name], to=kind)


def _check_operators(file: Path, graph: Any) -> None:
    """Raises TargetError for an operator that onnx2tf cannot translate: it hands that on as a
    custom operator, which no interpreter has."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        Interpreter(model_path=str(file)).allocate_tensors()
    except RuntimeError as error:
        custom = re.search(r"unresolved custom op: ONNX_(\w+)", str(error))
        if custom is None:  # It failed at a size that the file leaves open: `bind` knows the sizes.
            return
        types = {node.op_type.upper(): node.op_type for node in graph.node}
        raise TargetError(f"litert has no operator {types.get(custom[1], custom[1])}") from error


def kept(name: str) -> str:
    """The name that onnx2tf makes of a tensor's name."""
    return name.replace(":", "__")


def first(error: BaseException) -> str:
    """The first line of an error that says something, without the interpreter's repetitions."""
    return re.split(r"(?<=[a-z.#0-9])Node number", first_line(error))[0]
