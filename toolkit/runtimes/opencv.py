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
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

import numpy as np

from toolkit.errors import ShapeRefused, TargetError, first_line
from toolkit.runtimes.base import Call, Option, Placement, Program
from toolkit.runtimes.support import fitting
from toolkit.tensors import Array, Feed

CLASSIC = "__NetInputLayer__"
"""The type of a layer that every net of the old engine has, and none of the graph engine."""

FED = ("float32", "int8", "uint8", "int32", "int64", "bool")


class OpenCv:
    """cv2.dnn with ENGINE_NEW: the classic engine has no dynamic shapes, and the automatic choice
    does not say which of them ran."""

    name: ClassVar[str] = "opencv"
    distributions: ClassVar[tuple[str, ...]] = (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    )
    requirements: ClassVar[tuple[str, ...]] = ("opencv-python-headless==5.0.0.93", "numpy==2.4.6")
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "Apache-2.0"
    module: ClassVar[str] = "cv2"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {}
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({},)
    environment: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        import cv2
        from cv2.version import opencv_version

        if not hasattr(cv2.dnn, "ENGINE_NEW"):
            raise TargetError(f"opencv {opencv_version} has no graph engine; 5.0 or newer has it")
        return str(opencv_version)

    def library(self) -> Path:
        import cv2

        return Path(str(cv2.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> OpenCvSession:
        import cv2

        if odd := [spec for spec in program.inputs if spec.type not in FED]:
            raise TargetError(f"opencv is not fed {odd[0].type} here ({odd[0].name!r})")
        cv2.setNumThreads(program.threads)
        net = _read(program)
        net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
        net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
        return OpenCvSession(net, program)


class OpenCvSession:
    """One net, which holds the inputs of one feed."""

    def __init__(self, net: Any, program: Program) -> None:
        self._net = net
        self._program = program
        self._names = [spec.name for spec in program.outputs]

    def bind(self, feed: Feed) -> Call:
        import cv2

        given = [(np.asarray(array, order="C"), name) for name, array in feed.items()]
        run = partial(_run, self._net, given, self._names)
        fitted = partial(fitting.outputs, self._program, feed)
        shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
        try:
            found = run()
        except cv2.error as error:
            raise ShapeRefused(f"opencv at the shape {shapes}: {_words(error)}") from error
        if any(array is None for array in found):
            raise ShapeRefused(f"opencv gives no output at the shape {shapes}")
        fitted(found)  # A shape that it gets wrong is refused here.
        return Call(run, fitted)

    def placement(self) -> Placement:
        """The layers of the net after fusion: it has one device."""
        return Placement({"cpu": len(self._net.getLayerNames())}, copies=0)

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        return "numpy arrays in, copied to OpenCV's buffers, new numpy arrays out"

    def close(self) -> None:
        del self._net


def _read(program: Program) -> Any:
    """The net. What the graph engine cannot read is read anew by the old one, whatever was asked
    for: that is refused (R2), with the operators that the library names in its log only."""
    import cv2

    with tempfile.TemporaryFile() as log:
        try:
            with _overheard(log):
                net = cv2.dnn.readNetFromONNX(str(program.model), engine=cv2.dnn.ENGINE_NEW)
        except cv2.error as error:
            raise TargetError(f"opencv does not read the model: {_words(error)}") from error
        said = log.read().decode(errors="replace")
    if CLASSIC not in net.getLayerTypes() and not net.empty():
        return net
    _, _, named = said.partition("Unsupported operations:")
    operators = ", ".join(named.split("\n\n")[0].split()) or "some operators"
    raise TargetError(f"opencv's graph engine cannot read {operators}")


@contextlib.contextmanager
def _overheard(log: IO[bytes]) -> Iterator[None]:
    """What is written to the worker's log meanwhile goes to another file first."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        log.seek(0)
        sys.stderr.write(log.read().decode(errors="replace"))
        log.seek(0)


def _words(error: Exception) -> str:
    """What went wrong, without the paths of the machine that built the library."""
    return first_line(getattr(error, "err", "") or error)


def _run(net: Any, given: Sequence[tuple[Array, str]], names: Sequence[str]) -> Sequence[Array]:
    for array, name in given:
        net.setInput(array, name)
    found: Sequence[Array] = net.forward(names)  # None stands for one that it did not give.
    return found


RUNTIME = OpenCv
