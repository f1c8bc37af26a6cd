"""tinygrad on the CPU: its own reader of .onnx, and TinyJit over kernels in C that clang compiles.

The JIT takes each shape by itself: the first call interprets the graph, the second is recorded, and
later ones replay it in one thread. Beside the kernels a call is Python: the copy of an input to a
new tensor is scheduled anew every time, which takes milliseconds; `io=bound` leaves that out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import TargetError, typed_line
from toolkit.runtimes.base import (
    Call,
    Moves,
    Option,
    Program,
    Runtime,
    Session,
    check_types,
    unlikely,
)
from toolkit.runtimes.support import fitting
from toolkit.tensors import Array, Feed


class Tinygrad(Runtime):
    """tinygrad's OnnxRunner under TinyJit."""

    name = "tinygrad"
    distributions = ("tinygrad",)
    requirements = ("tinygrad==0.14.0", "numpy==2.4.6")
    licence = "MIT"
    module = "tinygrad"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the call", ("numpy", "bound")),
    }
    variants = ({}, {"io": "bound"})
    environment: ClassVar[Mapping[str, str]] = {
        "DEV": "CPU:CLANG",  # R2: by itself it takes the first device that opens.
        "DEFAULT_FLOAT": "float32",  # R3
        # R4: it cuts loops for as many threads, and then runs the pieces one after the other.
        "NUM_CPU_THREADS": "1",
        "HCQ2": "0",  # R4: else kernels run in a second thread, for which ours waits in a loop.
        "PARALLEL": "0",  # It compiles in this process, not in a pool that waits beside it.
        "CACHELEVEL": "0",  # No kernels from the user's home: every start compiles, as the first.
        "JIT": "1",
        "BEAM": "0",  # A search that times kernels would end elsewhere in every start.
    }
    warm_calls = 2  # TinyJit records in the second call, and replays that from the third on.

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        check_types(program, self.name)
        if program.threads > 1:
            raise TargetError(
                f"tinygrad runs on one thread, not on the {program.threads} asked for"
            )
        _check_compiler()
        assert program.model is not None  # It starts from the model.
        return TinygradSession(program.model, program, bound=options["io"] == "bound")


class TinygradSession(Session):
    """The weights of one model. Each feed has a reader and a JIT of its own: a reader keeps the
    sizes and the constants of the first feed that it saw, and a JIT its inputs and outputs."""

    def __init__(self, model: Path, program: Program, *, bound: bool) -> None:
        runner = _runner(model)
        if lacks := sorted({*_operators(runner)} - {*runner.onnx_ops}):
            raise TargetError(f"tinygrad has no {', '.join(lacks)}")
        self._model = model
        self._program = program
        self._bound = bound
        # Read from the file now: else the JIT would read them anew in every call.
        self._weights = {
            name: value.realize()
            for name, value in runner.graph_values.items()
            if value is not None
        }

    def bind(self, feed: Feed) -> Call:
        from tinygrad import TinyJit

        arrays = {name: np.asarray(array, order="C") for name, array in feed.items()}
        jit = TinyJit(partial(_outputs, self._reader(feed)))
        into, fitted = partial(_tensors, arrays), partial(fitting.outputs, self._program, feed)
        forget = partial(_forget, jit)
        if self._bound:
            run = partial(jit, into())
            return Call(run, lambda left: fitted(_arrays(left)), forget, Moves())
        moves = Moves(into, lambda: _arrays(jit.captured.ret))
        return Call(lambda: _arrays(jit(into())), fitted, forget, moves)

    def copies(self) -> str:
        if self._bound:
            return "inputs and outputs stay in tinygrad's buffers"
        return "numpy arrays in, copied to new tensors of tinygrad, new numpy arrays out"

    def _reader(self, feed: Feed) -> Any:
        """A reader with these weights, for inputs of these shapes: it would refuse a dimension
        without a name, and the worker has compared the shapes (R6)."""
        runner = _runner(self._model)
        runner.graph_values.update(self._weights)
        runner.graph_inputs = {
            name: replace(spec, shape=feed[name].shape)
            for name, spec in runner.graph_inputs.items()
        }
        return runner


def _check_compiler() -> None:
    """Opens the device, which compiles. Raises TargetError where there is no clang, or none that
    takes what tinygrad writes."""
    from tinygrad import Device

    compiler = os.environ.get("CC") or "clang"
    cure = "sudo apt install clang    on Debian and Ubuntu; CC= names another clang"
    if shutil.which(compiler) is None:
        raise TargetError(f"tinygrad compiles with {compiler}, which is not on the PATH", cure)
    try:
        Device["CPU"]
    except Exception as error:  # What it raises where a device does not open is of no one kind.
        raise TargetError(
            f"tinygrad cannot compile with {compiler}: {typed_line(error)}", cure
        ) from error


def _runner(model: Path) -> Any:
    from tinygrad.nn.onnx import OnnxRunner

    try:
        return OnnxRunner(model)
    except Exception as error:  # Its reader of protobuf raises whatever it stumbles over.
        raise TargetError(f"tinygrad does not read the model: {typed_line(error)}") from error


def _operators(runner: Any) -> Iterator[str]:
    """The operators of a graph and of the graphs inside its nodes."""
    for node in runner.graph_nodes:
        yield node.op
        for value in node.opts.values():
            if hasattr(value, "graph_nodes"):
                yield from _operators(value)


def _outputs(runner: Any, tensors: Mapping[str, Any]) -> list[Any]:
    # Cloned, which costs no kernel more: an output that is an input would otherwise be the tensor
    # of the recorded call in every later one.
    return [output.clone() for output in runner(tensors).values()]


def _tensors(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """New tensors with copies of the arrays."""
    from tinygrad import Tensor

    # A scalar by way of one element: by itself it becomes a constant, which the JIT refuses.
    tensors = {name: Tensor(array.reshape(array.shape or 1)) for name, array in arrays.items()}
    Tensor.realize(*tensors.values())
    return {name: tensor.reshape(arrays[name].shape) for name, tensor in tensors.items()}


def _arrays(tensors: Sequence[Any]) -> list[Array]:
    return [tensor.numpy() for tensor in tensors]


def _forget(jit: Any) -> None:
    """Overwrites the outputs, which are the same buffers in every call."""
    from tinygrad import Tensor

    for tensor in jit.captured.ret if jit.captured else ():
        value = unlikely(tensor.numpy().dtype)
        tensor.assign(Tensor.full(tensor.shape, value, dtype=tensor.dtype)).realize()


RUNTIME = Tinygrad
