"""What torch took for granted about the dynamic dimensions while it traced, and where.

`torch.export.draft_export` traces once more and keeps each guard with the user's frames. Its report
is a private attribute: where it is missing, there are no guards, and errors come without a line.
"""

from __future__ import annotations

import ast
import logging
import operator
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.exporter import convert
from toolkit.exporter.quiet import Chatter, quiet
from toolkit.exporter.tracing import Traced
from toolkit.sources import calls, exported, lines
from toolkit.sources.inputs import Dimension, Stated
from toolkit.sources.lines import Line

if TYPE_CHECKING:
    from torch import nn

TRACE_FOLDER = "TORCH_DTRACE"
"""The variable that draft_export asks where its log goes."""
_PLACE = re.compile(r"L\['(?P<input>[^']+)'\](?:\[(?P<index>\d+)\])?\.size\(\)\[(?P<axis>\d+)\]")
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
COMBINE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Pow: operator.pow,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
CALL: dict[str, Callable[..., Any]] = {
    "Eq": operator.eq,
    "Ne": operator.ne,
    "Mod": operator.mod,
    "PythonMod": operator.mod,
    "FloorDiv": operator.floordiv,
    "CleanDiv": operator.floordiv,
    "Max": max,
    "Min": min,
}
"""sympy's words, as torch prints them."""


@dataclass(frozen=True)
class SizeGuard:
    """One condition on the sizes, that was true at the traced ones."""

    expression: str
    """In torch's symbols: 's27 > 12'."""
    symbols: Mapping[str, str]
    """Symbol → the dynamic dimension that the user stated."""
    line: Line | None

    @property
    def dims(self) -> tuple[str, ...]:
        """The dynamic dimensions that it speaks of."""
        return tuple(dict.fromkeys(self.symbols.values()))

    @property
    def text(self) -> str:
        """In the user's names: 'seq > 12', 'seq = 16', 'seq % 2 = 0'."""
        try:
            tree = ast.parse(self.expression, mode="eval").body
        except SyntaxError:
            return self.expression
        return _said(tree, self.symbols)

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """Whether it is true at these sizes. What cannot be read counts as true."""
        try:
            tree = ast.parse(self.expression, mode="eval").body
            values = {symbol: sizes[name] for symbol, name in self.symbols.items()}
            return bool(_value(tree, values))
        except (SyntaxError, LookupError, TypeError, ValueError, ArithmeticError):
            return True


def find(
    module: nn.Module, inputs: Sequence[Stated], traced: Traced, chatter: Chatter
) -> tuple[SizeGuard, ...]:
    """The guards on stated dimensions, in the order in which they were met."""
    import torch

    arguments, by_name = convert.shapes(module, inputs, traced)
    try:
        with quiet(chatter), _traces_elsewhere():
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
    found = (_guard(failure, report, arguments, inputs) for failure in failures)
    return tuple(guard for guard in found if guard is not None)


def _guard(
    failure: Any, report: Any, arguments: calls.Arguments, inputs: Sequence[Stated]
) -> SizeGuard | None:
    data = failure.data
    if "symbol_to_sources" not in data or "expr" not in data:
        return None
    symbols = {}
    for symbol, places in data["symbol_to_sources"].items():
        name = _dimension(str(places), arguments, inputs)
        if name is not None:
            symbols[str(symbol)] = name
    if not symbols:
        return None
    return SizeGuard(str(data["expr"]), symbols, _line(data.get("user_stack", ()), report))


def _dimension(places: str, arguments: calls.Arguments, inputs: Sequence[Stated]) -> str | None:
    """The user's name for "L['x'].size()[1]", or for "L['args'][0].size()[1]" behind *args."""
    found = _PLACE.search(places)
    if found is None:
        return None
    by_name = {stated.name: stated for stated in inputs}
    name = found["input"]
    if name not in by_name and found["index"] is not None:
        named = [n for n in arguments.order if n not in arguments.kwargs]
        name = named[int(found["index"])] if int(found["index"]) < len(named) else name
    if name not in by_name:
        return None
    dim = by_name[name].dims[int(found["axis"])]
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
    """torch numbers file names once a process, and a report holds those that are new to it."""
    from torch._logging import structured

    table: Mapping[str, int] = getattr(structured, "INTERN_TABLE", {})
    return table


@contextmanager
def _traces_elsewhere() -> Iterator[None]:
    """draft_export writes a log into a shared folder in /tmp, and leaves it open: here it gets a
    folder that goes afterwards, and what it opened is closed."""
    logger, opened = logging.getLogger("torch.__trace"), list[logging.Handler]()
    add, before = logger.addHandler, os.environ.get(TRACE_FOLDER)

    def noting(hdlr: logging.Handler) -> None:
        opened.append(hdlr)
        add(hdlr)

    with tempfile.TemporaryDirectory() as folder:
        os.environ[TRACE_FOLDER] = folder
        logger.addHandler = noting  # type: ignore[method-assign]
        try:
            yield
        finally:
            del logger.addHandler
            for handler in opened:
                handler.close()
            os.environ.pop(TRACE_FOLDER)
            os.environ.update({} if before is None else {TRACE_FOLDER: before})


def _value(tree: ast.expr, values: Mapping[str, int]) -> Any:
    """A guard's value. Nothing of it is executed: only arithmetic is known."""
    match tree:
        case ast.Constant(value=value) if isinstance(value, int | float):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, values)
        case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=inner):
            return not _value(inner, values)
        case ast.BinOp(left=left, op=op, right=right):
            return COMBINE[type(op)](_value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return COMPARE[type(op)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=parts):
            return CALL[name](*(_value(part, values) for part in parts))
    raise LookupError(ast.dump(tree))


def _said(tree: ast.expr, names: Mapping[str, str]) -> str:
    match tree:
        case ast.Call(func=ast.Name(id="Eq"), args=[left, right]):
            return f"{_said(left, names)} = {_said(right, names)}"
        case ast.Call(func=ast.Name(id="Ne"), args=[left, right]):
            return f"{_said(left, names)} ≠ {_said(right, names)}"
        case ast.Call(func=ast.Name(id="Mod" | "PythonMod"), args=[left, right]):
            return f"{_said(left, names)} % {_said(right, names)}"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            signs = {ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥"}
            sign = signs.get(type(op), "=")
            return f"{_said(left, names)} {sign} {_said(right, names)}"
        case ast.Name(id=name):
            return names.get(name, name)
    text = ast.unparse(tree)
    for symbol, name in names.items():
        text = re.sub(rf"\b{symbol}\b", name, text)
    return text
