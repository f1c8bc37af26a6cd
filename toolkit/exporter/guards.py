"""The conditions on sizes that torch relied on while it traced, and the user's lines that set them.

torch keeps no list of them that is whole: what a range of a symbol says already is dropped, and the
program that comes out has been traced anew. But every condition passes `ShapeEnv._log_guard` as it
is met, with the user's frames still on the stack. That method is private, the same from torch 2.11
to 2.14, and what `torch.export.draft_export` reports is what passes it: where it is missing, no
guards are known, and errors come without a line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from toolkit.exporter import freesizes, pythonnumbers, recurrent, roots
from toolkit.feeds import arithmetic
from toolkit.feeds.arithmetic import Expression
from toolkit.sources import calls, lines
from toolkit.sources.inputs import Dimension, Stated
from toolkit.sources.lines import Line

_OURS = Path(__file__).parents[1]
"""Frames of these files called torch: what lies behind them is not the module's."""
_LOGGED = "_log_guard"
_SOURCE = re.compile(r"L\['(?P<input>[^']+)'\](?:\[(?P<index>\d+)\])?\.size\(\)\[(?P<axis>\d+)\]")
"""A symbol's source, as torch writes it: L['x'].size()[1], behind *args L['args'][0].size()[1]."""


@dataclass(frozen=True)
class Met:
    """One condition as torch met it."""

    expression: str
    """The condition in torch's symbols: 's27 > 12'."""
    sources: Mapping[str, str]
    """Symbol → where torch has it from: "L['x'].size()[1]"."""
    line: Line | None
    """The user's line that was running, where it is known."""


@dataclass(frozen=True)
class SizeGuard:
    """One condition on the sizes that was true at the traced ones."""

    expression: str
    """The condition in torch's symbols: 's27 > 12'."""
    symbols: Mapping[str, str]
    """Symbol → the dynamic dimension that the user stated."""
    line: Line | None
    """The user's line that set the condition, where it is known."""
    steps: Mapping[str, int] = field(default_factory=dict)
    """Symbol → the size that it counts in, where it is the root of a dimension that is a multiple
    of that."""

    @property
    def dims(self) -> tuple[str, ...]:
        """The dynamic dimensions that it speaks of."""
        return tuple(dict.fromkeys(self.symbols.values()))

    @property
    def text(self) -> str:
        """The condition in the user's names: 'seq > 12', 'seq = 16', 'seq % 2 = 0'."""
        if self._condition is None:
            return self.expression
        roots = {symbol: f"{self.symbols[symbol]}/{step}" for symbol, step in self.steps.items()}
        return self._condition.written({**self.symbols, **roots})

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Says whether it is true at these sizes. What cannot be read counts as true."""
        if self._condition is None:
            return True
        try:
            steps = self.steps
            values = {s: sizes[name] // steps.get(s, 1) for s, name in self.symbols.items()}
            return bool(self._condition.value(values))
        except (LookupError, TypeError, ValueError, ArithmeticError):
            return True

    @cached_property
    def _condition(self) -> Expression | None:
        return arithmetic.condition(self.expression)


@contextmanager
def watched() -> Iterator[list[Met]]:
    """Gives a list that gathers the conditions that torch meets while the block lasts."""
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    met: list[Met] = []
    original = getattr(ShapeEnv, _LOGGED, None)
    if original is None:
        yield met
        return
    theirs = cache(lines.theirs)  # A stack has the same files each time.

    def log_guard(env: Any, *args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1)
        met.extend(_met(env, args, lambda: _line(caller, theirs)))
        return original(env, *args, **kwargs)

    setattr(ShapeEnv, _LOGGED, log_guard)
    try:
        yield met
    finally:
        setattr(ShapeEnv, _LOGGED, original)


def of_stated(
    met: Sequence[Met],
    arguments: calls.Arguments,
    inputs: Sequence[Stated],
    multiples: Mapping[str, int],
) -> tuple[SizeGuard, ...]:
    """The conditions on dimensions that the user stated, in the order in which torch met them, each
    once at each line. `multiples` are the numbers that torch made dimensions multiples of."""
    guards = (_guard(each, arguments, inputs, multiples) for each in met)
    distinct = {(guard.expression, guard.line): guard for guard in guards if guard is not None}
    return tuple(distinct.values())


def _met(env: Any, args: Sequence[Any], line: Callable[[], Line | None]) -> Iterator[Met]:
    """The condition among the arguments of `_log_guard`: the one that has symbols."""
    for expression in args:
        symbols = getattr(expression, "free_symbols", ())
        sources = {
            str(symbol): str(source)
            for source, symbol in getattr(env, "source_to_var", {}).items()
            if symbol in symbols
        }
        if sources:
            yield Met(str(expression), sources, line())


def _guard(
    met: Met,
    arguments: calls.Arguments,
    inputs: Sequence[Stated],
    multiples: Mapping[str, int],
) -> SizeGuard | None:
    """The condition in the user's dimensions; None for one on nothing that the user stated."""
    of_root = {roots.name(name): name for name in multiples}
    symbols, steps = {}, {}
    for symbol, source in met.sources.items():
        name = of_root.get(source) or _dimension(source, arguments, inputs)
        if name is not None:
            symbols[symbol] = name
            if source in of_root:
                steps[symbol] = multiples[name]
    if len({*symbols.values()}) == 1 and 0 < len(steps) < len(symbols):
        return None  # It says of a root which dimension it is the root of.
    return SizeGuard(met.expression, symbols, met.line, steps) if symbols else None


def _dimension(sources: str, arguments: calls.Arguments, inputs: Sequence[Stated]) -> str | None:
    """The user's name for the dimension that torch calls "L['x'].size()[1]"."""
    source = _SOURCE.search(sources)
    if source is None:
        return None
    by_name = {stated.name: stated for stated in inputs}
    name = source["input"]
    if name not in by_name and source["index"] is not None:
        starred = [n for n in arguments.order if n not in arguments.kwargs]
        index = int(source["index"])
        name = starred[index] if index < len(starred) else name
    if name not in by_name:
        return None
    dim = by_name[name].dims[int(source["axis"])]
    return dim.name if isinstance(dim, Dimension) else None


def _line(caller: FrameType | None, theirs: Callable[[str], bool]) -> Line | None:
    """The innermost line of the user's code that is running below our call of torch."""
    for file, number in (*_interpreted(), *_running(caller)):
        if file in (freesizes.__file__, pythonnumbers.__file__, recurrent.__file__):
            continue  # They stand between each call of torch's functions and its caller.
        if Path(file).is_relative_to(_OURS):
            return None
        if theirs(file):
            return lines.at(file, number)
    return None


def _interpreted() -> Iterator[tuple[str, int]]:
    """File and line of the frames that torch interprets, the innermost first: where it traces the
    user's bytecode, they stand on no other stack."""
    import torch

    extract = getattr(getattr(torch._guards, "TracingContext", None), "extract_stack", list)
    yield from ((summary.filename, summary.lineno) for summary in reversed(extract()))


def _running(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    """File and line of a frame and of all that called it, the innermost first."""
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
