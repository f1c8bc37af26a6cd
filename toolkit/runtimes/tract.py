"""tract, a runtime in Rust: on the CPU, in one thread.

It takes its inputs by their position, and a wrong number of them crashes it (`run([])` ends in
SIGSEGV), so the names are compared before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import LONGEST, ShapeRefused, TargetError, lines
from toolkit.runtimes.base import (
    Call,
    Moves,
    Option,
    Program,
    Runtime,
    Session,
    check_types,
    shapes_of,
)
from toolkit.runtimes.support import fitting
from toolkit.tensors import Array, Feed

LACKS = re.compile(r"Unimplemented\((\w+)\)")
"""Matches the place where an error names an operator that tract lacks."""


class Tract(Runtime):
    """tract's ONNX reader and its optimised plan."""

    name = "tract"
    distributions = ("tract",)
    requirements = ("tract==0.23.9", "numpy==2.4.6")
    licence = "MIT OR Apache-2.0"
    module = "tract"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the plan", ("numpy", "bound")),
    }
    variants = ({}, {"io": "bound"})

    def version(self) -> str:
        import tract

        return str(tract.version())

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> TractSession:
        import tract

        check_types(program, self.name)
        if program.threads > 1:
            raise TargetError(f"tract runs on one thread, not on the {program.threads} asked for")
        try:
            model = tract.onnx().load(str(program.model))
            names = [model.input_name(i) for i in range(model.input_count())]
            # The dynamic dimensions stay symbols: facts about the inputs that the file does not
            # have clash with it ("Impossible to unify Val(1) with Sym(batch)").
            plan = model.into_model().into_runnable()
        except tract.TractError as error:
            raise TargetError(_reason(error)) from error
        if {*names} != {spec.name for spec in program.inputs}:
            raise TargetError(f"tract kept other inputs than the model's: {', '.join(names)}")
        return TractSession(plan, names, program, bound=options["io"] == "bound")


class TractSession(Session):
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
            outputs = run(tensors)
        except tract.TractError as error:
            raise ShapeRefused(f"at the shape {shapes_of(feed)}: {_reason(error)}") from error
        out = partial(_arrays, outputs)
        try:
            fitted(out())  # A shape that it gets wrong is refused here.
        except tract.TractError as error:  # A type that it does not hand out.
            raise TargetError(_reason(error)) from error
        if self._bound:
            return Call(partial(run, tensors), lambda left: fitted(_arrays(left)), moves=Moves())
        return Call(lambda: _arrays(run(into())), fitted, moves=Moves(into, out))

    def copies(self) -> str:
        if self._bound:
            return "inputs stay in tract's tensors, new tensors of tract out"
        return "numpy arrays in, copied to tract's tensors, new numpy arrays out"


def _tensors(make: Any, arrays: Sequence[Array]) -> list[Any]:
    return [make(array) for array in arrays]


def _arrays(tensors: Sequence[Any]) -> list[Array]:
    return [tensor.to_numpy() for tensor in tensors]


def _reason(error: Exception) -> str:
    """An error with its causes in one line, without the stack of Rust calls behind it."""
    text = str(error).split("Stack backtrace")[0]
    if lacks := sorted({*LACKS.findall(text)}):
        return f"tract has no {', '.join(lacks)}"
    return "tract: " + "; ".join(line for line in lines(text) if line != "Caused by:")[:LONGEST]


RUNTIME = Tract
