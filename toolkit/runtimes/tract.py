"""tract, a runtime in Rust: on the CPU, in one thread.

It takes its inputs by their position, and a wrong number of them crashes it: the names are compared
before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from toolkit.errors import LONGEST, ShapeRefused, TargetError, lines
from toolkit.runtimes.base import Call, Moves, Option, Placement, Program, check_types
from toolkit.runtimes.support import fitting
from toolkit.tensors import Array, Feed

LACKS = re.compile(r"Unimplemented\((\w+)\)")
"""How it names an operator that it lacks."""


class Tract:
    """tract's ONNX reader and its optimised plan."""

    name: ClassVar[str] = "tract"
    distributions: ClassVar[tuple[str, ...]] = ("tract",)
    requirements: ClassVar[tuple[str, ...]] = ("tract==0.23.9", "numpy==2.4.6")
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "MIT OR Apache-2.0"
    module: ClassVar[str] = "tract"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the plan", ("numpy", "bound")),
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({}, {"io": "bound"})
    environment: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        import tract

        return str(tract.version())

    def library(self) -> Path:
        import tract

        return Path(str(tract.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> TractSession:
        import tract

        check_types(program, self.name)
        if program.threads > 1:
            raise TargetError(f"tract runs on one thread, not on the {program.threads} asked for")
        try:
            model = tract.onnx().load(str(program.model))
            names = [model.input_name(i) for i in range(model.input_count())]
            plan = model.into_model().into_runnable()
        except tract.TractError as error:
            raise TargetError(_words(error)) from error
        if {*names} != {spec.name for spec in program.inputs}:
            raise TargetError(f"tract kept other inputs than the model's: {', '.join(names)}")
        return TractSession(plan, names, program, bound=options["io"] == "bound")


class TractSession:
    """One plan, without threads of its own: it runs in ours (R4)."""

    def __init__(self, plan: Any, names: Sequence[str], program: Program, *, bound: bool) -> None:
        self._plan = plan
        self._names = names
        self._program = program
        self._bound = bound

    def bind(self, feed: Feed) -> Call:
        import tract

        arrays = [np.asarray(feed[name], order="C") for name in self._names]
        into = partial(_tensors, tract.Tensor.from_numpy, arrays)
        fitted = partial(fitting.outputs, self._program, feed)
        run, tensors = self._plan.run, into()
        try:
            found = run(tensors)
        except tract.TractError as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
            raise ShapeRefused(f"at the shape {shapes}: {_words(error)}") from error
        out = partial(_arrays, found)
        try:
            fitted(out())  # A shape that it gets wrong is refused here.
        except tract.TractError as error:  # A type that it does not hand out.
            raise TargetError(_words(error)) from error
        if self._bound:
            return Call(partial(run, tensors), lambda left: fitted(_arrays(left)), moves=Moves())
        return Call(lambda: _arrays(run(into())), fitted, moves=Moves(into, out))

    def placement(self) -> Placement:
        """tract does not say which nodes are left of the graph: it has one device."""
        return Placement({}, copies=0)

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        if self._bound:
            return "inputs stay in tract's tensors, new tensors of tract out"
        return "numpy arrays in, copied to tract's tensors, new numpy arrays out"

    def close(self) -> None:
        del self._plan


def _tensors(make: Any, arrays: Sequence[Array]) -> list[Any]:
    return [make(array) for array in arrays]


def _arrays(tensors: Sequence[Any]) -> list[Array]:
    return [tensor.to_numpy() for tensor in tensors]


def _words(error: Exception) -> str:
    """What went wrong and why, in one line, without the stack of Rust calls behind it."""
    told = str(error).split("Stack backtrace")[0]
    if lacks := sorted({*LACKS.findall(told)}):
        return f"tract has no {', '.join(lacks)}"
    return "tract: " + "; ".join(line for line in lines(told) if line != "Caused by:")[:LONGEST]


RUNTIME = Tract
