"""LiteRT on the CPU, by XNNPACK where that has the operator. The .onnx becomes a .tflite first
(support/tflite.py)."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes.base import Call, Moves, Option, Program, Runtime, Session, unlikely
from toolkit.runtimes.support import fixedshapes, tflite
from toolkit.runtimes.support.fixedshapes import Shapes
from toolkit.tensors import Array, Feed, TensorSpec, dtype_of

NARROWED = {"int64": "int32"}
"""ONNX type → the narrower type that the converter may give an output; it is widened when read."""


class LiteRt(Runtime):
    """LiteRT's interpreter, which was TensorFlow Lite's."""

    name = "litert"
    distributions = ("ai-edge-litert",)
    # onnx2tf pins what it needs for all that it can do, and Python 3.12; this part of it needs
    # less and runs on 3.11 too. So pip resolves nothing here: every package is named.
    requirements = (
        "ai-edge-litert==2.3.0",
        "onnx2tf==2.6.9",
        "onnx==1.23.2",
        "numpy==2.4.6",
        "sng4onnx==2.0.1",
        "psutil==7.2.2",
        "flatbuffers==25.12.19",
        "protobuf==7.36.2",
        "ml_dtypes==0.6.0",
        "tqdm==4.70.1",
        "typing_extensions==4.16.0",
        "backports.strenum==1.2.8",
        "--no-deps",
        "--ignore-requires-python",
    )
    licence = "Apache-2.0"
    module = "ai_edge_litert"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the interpreter", ("numpy", "bound")),
        "xnnpack": Option("on", "off: the interpreter's own kernels alone", ("on", "off")),
        "shapes": fixedshapes.OPTION,
    }
    variants = ({}, {"io": "bound"})

    def version(self) -> str:
        import ai_edge_litert.interpreter  # noqa: F401 - the package itself is empty.

        return importlib.metadata.version("ai-edge-litert")

    def library(self) -> Path:
        import ai_edge_litert.interpreter

        return Path(str(ai_edge_litert.interpreter.__file__))

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        tflite.convert(program, feed, options["shapes"], folder)

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> LiteRtSession:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        if program.converted is None:
            raise TargetError("litert loads what was converted for it, which is not there")
        kernels = OpResolverType.AUTO
        if options["xnnpack"] == "off":
            kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        make = partial(
            Interpreter,
            model_path=str(program.converted / tflite.MODEL),
            num_threads=program.threads,
            experimental_op_resolver_type=kernels,
        )
        _check_signature(make(), program)
        shapes = fixedshapes.read(program.converted)
        return LiteRtSession(make, program, shapes, bound=options["io"] == "bound")


class LiteRtSession(Session):
    """One model; an interpreter for each set of shapes, since a new shape lays out memory anew."""

    def __init__(self, make: Any, program: Program, shapes: Shapes, *, bound: bool) -> None:
        self._make = make
        self._program = program
        self._shapes = shapes
        self._bound = bound
        self._shaped: dict[tuple[tuple[int, ...], ...], Shaped] = {}

    def bind(self, feed: Feed) -> Call:
        fixedshapes.demand(self._shapes, feed)
        arrays = [np.asarray(feed[spec.name], order="C") for spec in self._program.inputs]
        sizes = tuple(array.shape for array in arrays)
        if sizes not in self._shaped:
            self._shaped[sizes] = Shaped(self._make(), self._program, arrays)
        shaped = self._shaped[sizes]
        if self._bound:
            bound = BoundFeed(shaped, arrays)
            return Call(bound.run, lambda _: self._named(bound.left()), bound.forget, Moves())
        moves = Moves(partial(shaped.fill, arrays), shaped.outputs)
        return Call(partial(shaped.whole, arrays), self._named, moves=moves)

    def copies(self) -> str:
        if self._bound:
            return "inputs and outputs stay in the interpreter's tensors"
        return "inputs are copied to the interpreter's tensors, outputs are new arrays"

    def _named(self, arrays: Sequence[Array]) -> dict[str, Array]:
        specs = self._program.outputs
        return {
            spec.name: array.astype(dtype_of(spec.type), copy=False)
            for spec, array in zip(specs, arrays, strict=True)
        }


class Shaped:
    """An interpreter whose inputs have these shapes."""

    def __init__(self, interpreter: Any, program: Program, arrays: Sequence[Array]) -> None:
        self._interpreter = interpreter
        self._inputs = _inputs(interpreter, program)
        self._outputs = _outputs(interpreter, program)
        self.invoke = interpreter.invoke
        self.holder: BoundFeed | None = None
        """The feed whose inputs the tensors hold."""
        try:
            for index, array in zip(self._inputs, arrays, strict=True):
                interpreter.resize_tensor_input(index, array.shape)
            interpreter.allocate_tensors()
            self.whole(arrays)  # Sizes that the graph computes show in a run only.
        except (RuntimeError, ValueError) as error:  # Both, where an operator refuses its sizes.
            sys.stderr.write(f"{error}\n")
            raise ShapeRefused(
                f"litert cannot take inputs of {_sizes(arrays)}: {tflite.first(error)}"
            ) from error

    def fill(self, arrays: Sequence[Array]) -> None:
        for index, array in zip(self._inputs, arrays, strict=True):
            self._interpreter.set_tensor(index, array)

    def outputs(self) -> list[Array]:
        """Copies of the output tensors."""
        return [self._interpreter.get_tensor(index) for index in self._outputs]

    def whole(self, arrays: Sequence[Array]) -> list[Array]:
        self.fill(arrays)
        self.invoke()
        return self.outputs()

    def forget(self) -> None:
        for index in self._outputs:
            # The view goes at once: while one lives the interpreter refuses to run.
            view = self._interpreter.tensor(index)()
            view[...] = unlikely(view.dtype)


class BoundFeed:
    """A feed in the tensors of an interpreter, which feeds of the same shapes share (R10).

    The feed that runs next takes the tensors over; the outputs of the one before are copied first.
    """

    def __init__(self, shaped: Shaped, arrays: Sequence[Array]) -> None:
        self._shaped = shaped
        self._arrays = arrays
        self._left: list[Array] = []

    def run(self) -> None:
        if self._shaped.holder is not self:
            self._take()
        self._shaped.invoke()

    def left(self) -> list[Array]:
        return self._shaped.outputs() if self._shaped.holder is self else self._left

    def forget(self) -> None:
        self._take()
        self._shaped.forget()

    def _take(self) -> None:
        before = self._shaped.holder
        if before is not None and before is not self:
            before._left = self._shaped.outputs()
        self._shaped.holder = self
        self._shaped.fill(self._arrays)


def _check_signature(interpreter: Any, program: Program) -> None:
    """Raises TargetError where the .tflite has other inputs, outputs or types than the .onnx."""
    details = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    types = {detail["index"]: np.dtype(detail["dtype"]).name for detail in details}
    for index, spec in zip(_inputs(interpreter, program), program.inputs, strict=True):
        _check_type(types[index], spec, {spec.type})
    for index, spec in zip(_outputs(interpreter, program), program.outputs, strict=True):
        _check_type(types[index], spec, {spec.type, NARROWED.get(spec.type, spec.type)})


def _check_type(converted: str, spec: TensorSpec, allowed: set[str]) -> None:
    if converted not in allowed:
        raise TargetError(f"onnx2tf makes {converted} of the {spec.type} {spec.name!r}")


def _inputs(interpreter: Any, program: Program) -> list[int]:
    """The interpreter's indices of the inputs: it sorts them by their names."""
    known = _indices(interpreter.get_input_details())
    return [_index(known, spec.name, spec.name) for spec in program.inputs]


def _outputs(interpreter: Any, program: Program) -> list[int]:
    known = _indices(interpreter.get_output_details())
    return [
        _index(known, spec.name, tflite.OUTPUT.format(position), spec.name)
        for position, spec in enumerate(program.outputs)
    ]


def _indices(details: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {detail["name"]: int(detail["index"]) for detail in details}


def _index(known: Mapping[str, int], tensor: str, *names: str) -> int:
    for name in map(tflite.kept, names):
        if name in known:
            return known[name]
    raise TargetError(f"onnx2tf did not keep {tensor!r} of the model; it has: {sorted(known)}")


def _sizes(arrays: Sequence[Array]) -> str:
    """The sizes of the inputs, for the text of an error: '1×64 and no dimension'."""
    return " and ".join("×".join(map(str, array.shape)) or "no dimension" for array in arrays)


RUNTIME = LiteRt
