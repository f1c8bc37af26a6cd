"""A runtime that runs nothing: its options set its times and its faults. It is for tests, and for
authors of plug-ins.

Its answers are those of the ONNX reference evaluator, computed once when a feed is bound. Its clock
is its own and advances by the latency that was asked for, so that the arithmetic of a run is exact.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from toolkit.errors import TargetError
from toolkit.runtimes.base import Call, Option, Placement, Program, Runtime, Session
from toolkit.tensors import Array, Feed


class Fake(Runtime):
    """A runtime that behaves as it is told."""

    name = "fake"
    licence = "Apache-2.0"
    module = "numpy"
    options: ClassVar[Mapping[str, Option]] = {
        "us": Option("10", "microseconds of a call"),
        "spread": Option("0", "standard deviation of a process's level, as a share"),
        "seed": Option("0", "seed of what it draws; 0: another one in every process"),
        "compute": Option(
            "float32", "the grid its answers lie on", ("float32", "bfloat16", "float16")
        ),
        "turns": Option("never", "its timed call computes something else", ("never", "later")),
        "start": Option("0", "seconds that its start takes"),
        "fault": Option(
            "none",
            "what goes wrong",
            ("none", "crash", "kill", "hang", "exit", "flood", "nonsense", "error"),
        ),
        "at": Option("load", "where", ("hello", "load", "bind", "answer", "sample")),
    }
    variants = ()

    def version(self) -> str:
        return "1.0"

    def library(self) -> None:
        return None

    def precision(self, options: Mapping[str, str]) -> str:
        # Called by hello, once the options are known.
        strike(options, "hello")
        return "float32"

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> FakeSession:
        time.sleep(float(options["start"]))
        strike(options, "load")
        return FakeSession(program, options)


class FakeSession(Session):
    """A session that gives answers computed once, by a clock of its own."""

    def __init__(self, program: Program, options: Mapping[str, str]) -> None:
        self._program = program
        self._options = options
        draw = random.Random(options["seed"] if options["seed"] != "0" else None)
        level = 1.0 + float(options["spread"]) * draw.gauss(0.0, 1.0)
        self._latency = round(float(options["us"]) * 1000 * level)

    def bind(self, feed: Feed) -> Call:
        strike(self._options, "bind")
        outputs = self._answers(feed)
        now, calls = 0, 0

        def run() -> Mapping[str, Array]:
            nonlocal now, calls
            now += self._latency
            calls += 1
            strike(self._options, "answer" if calls == 1 else "sample")
            wrong = self._options["turns"] == "later" and calls > 1
            return {k: v * 1.5 for k, v in outputs.items()} if wrong else outputs

        return Call(run, dict, clock=lambda: now)

    def placement(self) -> Placement:
        return Placement({"cpu": 1})

    def copies(self) -> str:
        return "nothing is run"

    def _answers(self, feed: Feed) -> dict[str, Array]:
        from onnx.reference import ReferenceEvaluator

        names = [spec.name for spec in self._program.outputs]
        arrays = ReferenceEvaluator(str(self._program.model)).run(names, dict(feed))
        on_grid = GRIDS[self._options["compute"]]
        return {k: on_grid(np.asarray(v)) for k, v in zip(names, arrays, strict=True)}


def _bfloat16(array: Array) -> Array:
    """Rounds to the nearest bfloat16, ties to even; keeps the type."""
    bits = array.astype(np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.astype(np.uint32).view(np.float32).reshape(array.shape)


GRIDS: Mapping[str, Callable[[Array], Array]] = {
    "float32": lambda array: array,
    "bfloat16": _bfloat16,
    "float16": lambda array: array.astype(np.float16).astype(array.dtype),
}
"""Value of `compute` → the function that rounds an answer to that type's values."""


def strike(options: Mapping[str, str], verb: str) -> None:
    """Commits the fault of the option `fault` if the option `at` names this verb."""
    if options["at"] == verb:
        FAULTS[options["fault"]]()


def _flood() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.write("x" * 5_000_000 + "\n")
        stream.flush()


def _error() -> None:
    raise TargetError("this runtime was told to fail")


FAULTS: Mapping[str, Callable[[], object]] = {
    "none": lambda: None,
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(1e6),
    "exit": lambda: os._exit(0),
    "flood": _flood,
    # The worker's arguments are its two pipes, to read and to write, and the parent.
    "nonsense": lambda: os.write(int(sys.argv[2]), b"\x00 not a message\n"),
    "error": _error,
}
"""Value of `fault` → the function that commits it."""

RUNTIME = Fake
