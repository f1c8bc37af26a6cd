"""Arithmetic on named sizes, read from text and never run: '2*seq + 1', 'Eq(Mod(s27, 2), 0)'.

torch writes dimensions so, and the conditions on sizes that it relied on while it traced. A file
may come from anyone: its text is parsed to a tree, and only the operations named here are computed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

Value: TypeAlias = int | float | Fraction
"""A size, a truth, or a number on the way to one; a quotient is exact."""


def _quotient(left: Value, right: Value) -> Fraction:
    # Not a float: whether a size divides evenly is what a condition asks.
    return Fraction(left) / Fraction(right)


OF_DIMENSIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _quotient,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
"""Operators of a dimension. No power: '9**9**9**9' in a file would compute for ever."""

OPERATORS = OF_DIMENSIONS | {
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Eq": operator.eq,
    "Ne": operator.ne,
    "Mod": operator.mod,
    "PythonMod": operator.mod,
    "FloorDiv": operator.floordiv,
    "CleanDiv": operator.floordiv,
    "Max": max,
    "Min": min,
}
"""sympy's names and those of torch.utils._sympy.functions, as torch prints them."""

SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "=",
    ast.NotEq: "≠",
    ast.Lt: "<",
    ast.LtE: "≤",
    ast.Gt: ">",
    ast.GtE: "≥",
}
FUNCTION_SIGNS = {"Eq": "=", "Ne": "≠", "Mod": "%", "PythonMod": "%"}
"""Functions of two arguments that people write as an operator."""

LONGEST = 200
"""Characters of a dimension. torch writes some dozens; with some thousands, nested, a file would
exhaust Python's stack (2,000 terms did)."""


class NoArithmetic(ValueError):
    """An expression holds what is not computed here, such as a call of an unknown function."""


@dataclass(frozen=True)
class Expression:
    """Arithmetic on names that stand for sizes."""

    tree: ast.expr

    @property
    def names(self) -> tuple[str, ...]:
        """The names in it, each once."""
        return tuple(
            dict.fromkeys(node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name))
        )

    def value(self, sizes: Mapping[str, int]) -> Value:
        """Its value at these sizes.

        Raises NoArithmetic, KeyError for a name without a size, ZeroDivisionError, and TypeError
        where an operation does not take its operands (the `&` of a quotient).
        """
        value: Value = _value(self.tree, sizes)
        return value

    def written(self, names: Mapping[str, str]) -> str:
        """The expression as people write it, with other names: 'Eq(s27, 16)' is 'seq = 16'."""
        return _written(self.tree, names)


def dimension(text: str) -> Expression | None:
    """The arithmetic of a dimension: names and whole numbers below + - * / // %.

    None for anything else, which is a name of its own: 'seq', 'input.0', 'f(seq)'.

    >>> dimension("2*seq + 1").value({"seq": 3}), dimension("seq"), dimension("seq**9")
    (7, None, None)
    """
    expression = condition(text) if len(text) <= LONGEST else None
    if expression is None or isinstance(expression.tree, ast.Name):
        return None
    return expression if all(map(_of_dimensions, ast.walk(expression.tree))) else None


def condition(text: str) -> Expression | None:
    """Any expression that Python's grammar knows; None for a text that it does not.

    >>> condition("Eq(Mod(s27, 2), 0)").value({"s27": 3})
    False
    """
    try:
        return Expression(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: a null character.
        return None


def _of_dimensions(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(op=op):
            return type(op) in OF_DIMENSIONS
        case ast.Constant(value=value):
            return type(value) is int  # A bool is an int to isinstance.
    return isinstance(node, ast.Name | ast.operator | ast.expr_context)


def _value(tree: ast.expr, sizes: Mapping[str, int]) -> Any:
    match tree:
        case ast.Constant(value=value) if isinstance(value, int | float):
            return value
        case ast.Name(id=name):
            return sizes[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, sizes)
        case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=inner):
            return not _value(inner, sizes)  # sympy writes ~ for "not".
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left, sizes), _value(right, sizes))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            return COMPARISONS[type(op)](_value(left, sizes), _value(right, sizes))
        case ast.Call(func=ast.Name(id=name), args=parts) if name in FUNCTIONS:
            return FUNCTIONS[name](*(_value(part, sizes) for part in parts))
    raise NoArithmetic(f"{ast.unparse(tree)!r} is no arithmetic on sizes")


def _written(tree: ast.expr, names: Mapping[str, str]) -> str:
    match tree:
        case ast.Call(func=ast.Name(id=function), args=[left, right]) if function in FUNCTION_SIGNS:
            return f"{_written(left, names)} {FUNCTION_SIGNS[function]} {_written(right, names)}"
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in SIGNS:
            return f"{_written(left, names)} {SIGNS[type(op)]} {_written(right, names)}"
        case ast.Name(id=name):
            return names.get(name, name)
    # All at once: one after the other, a new name that is another one's old would be renamed again.
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), ast.unparse(tree))
