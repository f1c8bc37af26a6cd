"""OpenCV's dnn module on the CPU, by its own graph engine.

It casts types and drops ranks without a word: what it gives is brought to the model's types and
shapes, or refused.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any

import numpy as np

from toolkit.errors import ShapeRefused, TargetError, first_line
from toolkit.runtimes.base import Call, Placement, Program, Runtime, Session, shapes_of
from toolkit.runtimes.support import fitting
from toolkit.tensors import Array, Feed

CLASSIC = "__NetInputLayer__"
"""The type of a layer that every net of the old engine has, and none of the graph engine."""

FED = ("float32", "int8", "uint8", "int32", "int64", "bool")
"""The types of inputs that it keeps; it casts float16 and float64 without a word."""


class OpenCv(Runtime):
    """cv2.dnn with ENGINE_NEW: the classic engine has no dynamic shapes, and the automatic choice
    does not say which of them ran."""

    name = "opencv"
    distributions = (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    )
    requirements = ("opencv-python-headless==5.0.0.93", "numpy==2.4.6")
    licence = "Apache-2.0"
    module = "cv2"

    def version(self) -> str:
        import cv2
        from cv2.version import opencv_version

        if not hasattr(cv2.dnn, "ENGINE_NEW"):
            raise TargetError(f"opencv {opencv_version} has no graph engine; 5.0 or newer has it")
        return str(opencv_version)

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> OpenCvSession:
        import cv2

        if refused := [spec for spec in program.inputs if spec.type not in FED]:
            raise TargetError(f"opencv is not fed {refused[0].type} here ({refused[0].name!r})")
        cv2.setNumThreads(program.threads)
        net = _read(program)
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
        return OpenCvSession(net, program)


class OpenCvSession(Session):
    """One net, which holds the inputs of one feed."""

    def __init__(self, net: Any, program: Program) -> None:
        self._net = net
        self._program = program
        self._names = [spec.name for spec in program.outputs]

    def bind(self, feed: Feed) -> Call:
        import cv2

        inputs = [(np.asarray(array, order="C"), name) for name, array in feed.items()]
        run = partial(_run, self._net, inputs, self._names)
        fitted = partial(fitting.outputs, self._program, feed)
        try:
            outputs = run()
        except cv2.error as error:
            raise ShapeRefused(
                f"opencv at the shape {shapes_of(feed)}: {_reason(error)}"
            ) from error
        if any(array is None for array in outputs):
            raise ShapeRefused(f"opencv gives no output at the shape {shapes_of(feed)}")
        fitted(outputs)  # A shape that it gets wrong is refused here.
        return Call(run, fitted)

    def placement(self) -> Placement:
        """Counts the layers of the net after fusion; it has one device."""
        return Placement({"cpu": len(self._net.getLayerNames())}, copies=0)

    def copies(self) -> str:
        return "numpy arrays in, copied to OpenCV's buffers, new numpy arrays out"


def _read(program: Program) -> Any:
    """Reads the net. Whatever engine is asked for, OpenCV reads what the graph engine cannot read
    anew with the old one: that is refused (R2), with the operators that it names in its log only.
    """
    import cv2

    with tempfile.TemporaryFile() as log:
        try:
            with _log_copied_to(log):
                net = cv2.dnn.readNetFromONNX(str(program.model), engine=cv2.dnn.ENGINE_NEW)
        except cv2.error as error:
            raise TargetError(f"opencv does not read the model: {_reason(error)}") from error
        messages = log.read().decode(errors="replace")
    if CLASSIC not in net.getLayerTypes() and not net.empty():
        return net
    _, _, listed = messages.partition("Unsupported operations:")
    operators = ", ".join(listed.split("\n\n")[0].split()) or "some operators"
    raise TargetError(f"opencv's graph engine cannot read {operators}")


@contextlib.contextmanager
def _log_copied_to(log: IO[bytes]) -> Iterator[None]:
    """Sends what the process writes to stderr, the worker's log, through another file first.

    The library writes to the descriptor: a change of sys.stderr would not see it.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        log.seek(0)
        sys.stderr.write(log.read().decode(errors="replace"))
        log.seek(0)


def _reason(error: Exception) -> str:
    """An error without the paths of the machine that built the library."""
    return first_line(getattr(error, "err", "") or error)


def _run(net: Any, inputs: Sequence[tuple[Array, str]], names: Sequence[str]) -> Sequence[Array]:
    for array, name in inputs:
        net.setInput(array, name)
    outputs: Sequence[Array] = net.forward(names)  # None stands for one that it did not give.
    return outputs


RUNTIME = OpenCv
