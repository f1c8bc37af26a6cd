"""Runs nothing: takes its times from its options and its faults too. For tests and plug-in authors.

Its answers are those of the ONNX reference evaluator, made once when a feed is bound. Its clock is
its own and advances by the latency that was asked for, so that the arithmetic of a run is exact.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import numpy as np

from toolkit.errors import TargetError
from toolkit.runtimes.base import Call, Option, Placement, Program
from toolkit.tensors import Array, Feed


class Fake:
    """A runtime that behaves as it is told."""

    name: ClassVar[str] = "fake"
    distributions: ClassVar[tuple[str, ...]] = ()
    requirements: ClassVar[tuple[str, ...]] = ()
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "Apache-2.0"
    module: ClassVar[str] = "numpy"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {
        "us": Option("10", "microseconds of a call"),
        "spread": Option("0", "standard deviation of a process's level, as a share"),
        "seed": Option("0", "of what is drawn; 0: another one in every process"),
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
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ()
    environment: ClassVar[Mapping[str, str]] = {}

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


class FakeSession:
    """Answers once computed, and a clock of its own."""

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

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        return "nothing is run"

    def close(self) -> None:
        return None

    def _answers(self, feed: Feed) -> dict[str, Array]:
        from onnx.reference import ReferenceEvaluator

        names = [spec.name for spec in self._program.outputs]
        made = ReferenceEvaluator(str(self._program.model)).run(names, dict(feed))
        on_grid = GRIDS[self._options["compute"]]
        return {k: on_grid(np.asarray(v)) for k, v in zip(names, made, strict=True)}


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


def strike(options: Mapping[str, str], here: str) -> None:
    """Does what `fault` says where `at` says."""
    if options["at"] == here:
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
    "nonsense": lambda: os.write(int(sys.argv[2]), b"\x00 not a message\n"),
    "error": _error,
}

RUNTIME = Fake
