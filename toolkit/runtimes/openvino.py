"""OpenVINO on the CPU, pinned to float32: by itself it takes bfloat16 where there is one."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import TargetError, first_line, lines
from toolkit.runtimes.base import (
    Call,
    Moves,
    Option,
    Placement,
    Program,
    Runtime,
    Session,
    check_types,
    unlikely,
)
from toolkit.tensors import Array, Feed

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
"""Precision → OpenVINO's name of it in INFERENCE_PRECISION_HINT."""

PLACE = re.compile(
    r"(Exception from|Check '.*' failed at) \S+:\d+:$|FrontEnd API failed|Model wasn't fully|"
    r"Summary:|-- Conversion is failed|While validating ONNX node"
)
"""The beginnings of lines in OpenVINO's errors that say nothing of the reason."""
MOST_LINES = 2
"""The operator, and what is wrong with it."""

NO_WORK = {"Const", "Input", "Output", "Parameter", "Result"}
"""Layers of the compiled model that compute nothing."""


class OpenVino(Runtime):
    """OpenVINO's own reader of .onnx and its CPU plug-in."""

    name = "openvino"
    distributions = ("openvino",)
    requirements = ("openvino==2026.4.0", "numpy==2.4.6")
    licence = "Apache-2.0"
    module = "openvino"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the request", ("numpy", "bound")),
        "precision": Option(
            "float32",
            "what it computes in; default: what it chooses for this processor",
            (*HINTS, "default"),
        ),
    }
    variants = ({}, {"io": "bound"})

    def version(self) -> str:
        # R7: importing openvino is reported to its maker by this package, which has no variable to
        # turn it off; where it cannot be imported, openvino has a stand-in.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        import openvino

        return str(openvino.__version__).split("-")[0]

    def precision(self, options: Mapping[str, str]) -> str:
        # Nobody asked for less where the choice is left to it: the verdict says what that was.
        return "float32" if options["precision"] == "default" else options["precision"]

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> OpenVinoSession:
        import openvino

        check_types(program, self.name)
        settings = {
            "INFERENCE_NUM_THREADS": str(program.threads),
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": "NO",  # The parent says on which cores it runs.
        }
        if options["precision"] != "default":
            settings["INFERENCE_PRECISION_HINT"] = HINTS[options["precision"]]
        with _told():
            compiled = openvino.Core().compile_model(str(program.model), "CPU", settings)
        return OpenVinoSession(compiled, program, bound=options["io"] == "bound")


class OpenVinoSession(Session):
    """One compiled model with one request."""

    def __init__(self, compiled: Any, program: Program, *, bound: bool) -> None:
        self._compiled = compiled
        self._bound = bound
        self._inputs = _inputs(compiled, [spec.name for spec in program.inputs], bound=bound)
        self._names = [spec.name for spec in program.outputs]
        self._positions = [self._position(name) for name in self._names]

    def bind(self, feed: Feed) -> Call:
        import openvino

        request = self._compiled.create_infer_request()
        ready = {
            position: np.asarray(feed[name], order="C") for name, position in self._inputs.items()
        }
        if not self._bound:
            return Call(
                partial(_answered, request, ready), self._named, moves=partial(self._moves, ready)
            )
        for position, array in ready.items():
            request.set_input_tensor(position, openvino.Tensor(array, shared_memory=True))
        return Call(
            partial(_infer, request, ready),
            lambda _: dict(zip(self._names, map(np.array, self._buffers(request)), strict=True)),
            lambda: _forget(self._buffers(request)),
            Moves(),
        )

    def placement(self) -> Placement:
        """Counts the layers of the compiled model, after fusion; it has one device."""
        layers = [
            node.get_rt_info()["layerType"].astype(str)
            for node in self._compiled.get_runtime_model().get_ops()
        ]
        return Placement({"cpu": sum(layer not in NO_WORK for layer in layers)}, copies=0)

    def copies(self) -> str:
        if self._bound:
            return "inputs and outputs stay in the request's buffers"
        return "numpy arrays in, new numpy arrays out"

    def _position(self, name: str) -> int:
        """Finds the position of the output that has this name among others of its own."""
        return next(i for i, o in enumerate(self._compiled.outputs) if name in o.get_names())

    def _moves(self, ready: Mapping[int, Array]) -> Moves:
        """Copies into the tensors of a request of its own and out of them, as `infer` does.

        A run fills the outputs. Made in `bind`, it was the true first call, which no cold start
        saw, and every answer that is only judged took two runs.
        """
        request = self._compiled.create_infer_request()
        request.infer(ready)
        inputs = [(request.get_input_tensor(n).data, array) for n, array in ready.items()]
        outputs = self._buffers(request)
        return Moves(partial(_fill, inputs), lambda: [np.array(output) for output in outputs])

    def _named(self, result: Any) -> dict[str, Array]:
        return {n: np.array(result[p]) for n, p in zip(self._names, self._positions, strict=True)}

    def _buffers(self, request: Any) -> list[Array]:
        return [request.get_output_tensor(position).data for position in self._positions]


def _inputs(compiled: Any, names: Sequence[str], *, bound: bool) -> dict[str, int]:
    """Finds the position of each input in the compiled model.

    An input that is folded away, such as axes without elements, has none. One that an output merely
    repeats is called as that output, which cannot be mistaken where it is the only one.
    """
    ports = [port.get_names() for port in compiled.inputs]
    known = {name: n for n, port in enumerate(ports) for name in port if name in names}
    unnamed = [n for n, _ in enumerate(ports) if n not in known.values()]
    missing = [name for name in names if name not in known]
    if not unnamed:
        return known
    if bound:
        raise TargetError("an output is an input here, and both are one buffer: leave out io=bound")
    if len(unnamed) > 1 or len(missing) > 1:
        raise TargetError(f"OpenVINO has other names for the inputs {', '.join(missing)}")
    return {**known, missing[0]: unnamed[0]}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Puts what OpenVINO raises into the lines that say why: its first ones name places in its
    source, and the operator comes last."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(reason(str(error))) from error


def reason(text: str) -> str:
    """Gives the first lines of an error that are no place, joined.

    >>> reason("Exception from src/core.cpp:1:\\nSummary:\\n-- No rule found for: Foo-20\\n")
    'No rule found for: Foo-20'
    """
    telling = [line.removeprefix("-- ") for line in lines(text) if not PLACE.match(line)]
    return "; ".join(telling[:MOST_LINES]).replace(":; ", ": ") or first_line(text)


def _answered(request: Any, inputs: Mapping[int, Array]) -> Any:
    """Runs the request on new inputs; what it raises is put into the lines that say why."""
    try:  # Costs nothing where nothing is raised, unlike a context manager.
        return request.infer(inputs)
    except RuntimeError as error:
        raise RuntimeError(reason(str(error))) from error


def _infer(request: Any, inputs: Mapping[int, Array]) -> None:
    """Runs the request as `_answered` does. It reads the arrays of `inputs` where they lie and does
    not hold them, so they are kept alive as arguments of the call."""
    try:
        request.infer()
    except RuntimeError as error:
        raise RuntimeError(reason(str(error))) from error


def _fill(pairs: list[tuple[Array, Array]]) -> None:
    for target, array in pairs:
        np.copyto(target, array)


def _forget(buffers: list[Array]) -> None:
    for buffer in buffers:
        buffer[...] = unlikely(buffer.dtype)


RUNTIME = OpenVino
