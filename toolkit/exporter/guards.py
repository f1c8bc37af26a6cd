"""The conditions on sizes that torch relied on while it traced, and the user's lines that set them.

`torch.export.draft_export` traces once more and keeps each guard with the user's frames. Its report
is a private attribute, the same from torch 2.11 to 2.15: where it is missing, no guards are known,
and errors come without a line.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from toolkit.exporter import convert
from toolkit.exporter.quiet import Chatter, quiet
from toolkit.exporter.tracing import Traced
from toolkit.feeds import arithmetic
from toolkit.feeds.arithmetic import Expression
from toolkit.sources import calls, exported, lines
from toolkit.sources.inputs import Dimension, Stated
from toolkit.sources.lines import Line

if TYPE_CHECKING:
    from torch import nn

TRACE_FOLDER = "TORCH_DTRACE"
"""The variable that draft_export asks where its log goes."""
_SOURCE = re.compile(r"L\['(?P<input>[^']+)'\](?:\[(?P<index>\d+)\])?\.size\(\)\[(?P<axis>\d+)\]")
"""A symbol's source, as torch writes it: L['x'].size()[1], behind *args L['args'][0].size()[1]."""


@dataclass(frozen=True)
class SizeGuard:
    """One condition on the sizes that was true at the traced ones."""

    expression: str
    """The condition in torch's symbols: 's27 > 12'."""
    symbols: Mapping[str, str]
    """Symbol → the dynamic dimension that the user stated."""
    line: Line | None
    """The user's line that set the condition, where it is known."""

    @property
    def dims(self) -> tuple[str, ...]:
        """The dynamic dimensions that it speaks of."""
        return tuple(dict.fromkeys(self.symbols.values()))

    @property
    def text(self) -> str:
        """The condition in the user's names: 'seq > 12', 'seq = 16', 'seq % 2 = 0'."""
        if self._condition is None:
            return self.expression
        return self._condition.written(self.symbols)

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Says whether it is true at these sizes. What cannot be read counts as true."""
        if self._condition is None:
            return True
        try:
            values = {symbol: sizes[name] for symbol, name in self.symbols.items()}
            return bool(self._condition.value(values))
        except (LookupError, TypeError, ValueError, ArithmeticError):
            return True

    @cached_property
    def _condition(self) -> Expression | None:
        return arithmetic.condition(self.expression)


def find(
    module: nn.Module, inputs: Sequence[Stated], traced: Traced, chatter: Chatter
) -> tuple[SizeGuard, ...]:
    """The guards on stated dimensions, in the order in which torch met them; none where torch
    cannot say. What torch prints goes to `chatter`."""
    import torch

    arguments, by_name = convert.shapes(module, inputs, traced)
    try:
        with quiet(chatter), _passing_log():
            program = torch.export.draft_export(
                module,
                arguments.args,
                arguments.kwargs,
                dynamic_shapes=exported.dynamic_shapes(module, arguments, by_name),
            )
    except Exception:  # noqa: BLE001 - torch's tracer; without it errors come without a line.
        return ()
    report = getattr(program, "_report", None)
    failures = getattr(report, "failures", ())
    guards = (_guard(failure, report, arguments, inputs) for failure in failures)
    return tuple(guard for guard in guards if guard is not None)


def _guard(
    failure: Any, report: Any, arguments: calls.Arguments, inputs: Sequence[Stated]
) -> SizeGuard | None:
    """The guard of one failure in torch's report; None for another kind of failure, and for a
    guard on nothing that the user stated."""
    data = failure.data
    if "symbol_to_sources" not in data or "expr" not in data:
        return None
    symbols = {}
    for symbol, sources in data["symbol_to_sources"].items():
        name = _dimension(str(sources), arguments, inputs)
        if name is not None:
            symbols[str(symbol)] = name
    if not symbols:
        return None
    return SizeGuard(str(data["expr"]), symbols, _line(data.get("user_stack", ()), report))


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


def _line(stack: Sequence[Mapping[str, Any]], report: Any) -> Line | None:
    """The innermost frame of the user's code."""
    names = {number: file for file, number in _interned().items()}
    names.update(getattr(report, "str_to_filename", {}))
    for frame in reversed(stack):
        file = names.get(frame["filename"])
        if file is not None and lines.theirs(file):
            return lines.at(file, int(frame["line"]))
    return None


def _interned() -> Mapping[str, int]:
    """File name → number, of all that torch has numbered in this process.

    A report holds only those that were new to it, and its frames know the numbers alone: without
    this private table (there from torch 2.11 to 2.15) a second export would show no lines.
    """
    from torch._logging import structured

    table: Mapping[str, int] = getattr(structured, "INTERN_TABLE", {})
    return table


@contextmanager
def _passing_log() -> Iterator[None]:
    """Sends the log that draft_export writes into a folder that goes afterwards, and closes it.

    By itself it writes into a folder that all users of /tmp share, and leaves the file open. Nobody
    hands its handler out: a filter, which every record passes first, sees it at the logger.
    """
    logger = logging.getLogger("torch.__trace")
    before, added = list(logger.handlers), set[logging.Handler]()

    def note(record: logging.LogRecord) -> bool:
        added.update(handler for handler in logger.handlers if handler not in before)
        return True

    with tempfile.TemporaryDirectory() as folder, _environment(TRACE_FOLDER, folder):
        logger.addFilter(note)
        try:
            yield
        finally:
            logger.removeFilter(note)
            for handler in added:
                handler.close()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        os.environ.update({} if before is None else {name: before})
