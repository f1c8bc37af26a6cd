"""Says in one paragraph why torch refuses a module: the constraint, the user's line, the cure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

from toolkit.errors import ExportError, typed_line
from toolkit.sources import lines, nested
from toolkit.sources.lines import Line

if TYPE_CHECKING:
    from torch import nn

# How torch (2.11 to 2.15) words its errors and the stack traces of its nodes. A text that has none
# of these forms is shown as it is.
_FILE = re.compile(r'File "(?P<file>[^"]+)", line (?P<number>\d+)')
_OPERATOR = re.compile(r"OpOverload\(op='(?P<operator>[^']+)'")
_QUALIFIED = re.compile(r"(?P<operator>aten\.\w+)")
_WITHOUT_FORM = {"UnsupportedOperatorException", "DynamicOutputShapeException"}
"""What torch.export raises for an operator of which it does not know the shape."""
_PACKED = re.compile(r"torch\.classes\.quantized\.")
"""The class of the weights of torch.ao's quantised layers."""
_VALUE = re.compile(r"data-dependent expression (?P<expression>.*?)(?: \(unhinted|\. |$)")
_OF_SIZE = re.compile(r"\bSym(?:Int|Float)\b|should be Rational instances")
"""Python's and NumPy's words for a type that they do not know, and those of fractions.Fraction."""
_LOGARITHM = re.compile(r"\blog(?:2|10)?\(")
SIZES_TOO = (
    "Write it with + - * // %, math.sqrt or np.sqrt, or torch.sym_min, sym_max and sym_float, which"
    " take sizes too, or state the dimension fixed"
)
WHOLE_LOGARITHM = (
    "int(math.log2(n)) of a size n is sum(torch.sym_min(1, n // 2**i) for i in range(1, 31)); or"
    " state the dimension fixed"
)
_ADVICE = re.compile(
    r"^\s*(?:\d+\.|-|\*)?\s*((?:consider|please|try|use|did you) .*)$", re.IGNORECASE
)

_MATRIX = {
    "aten._linalg_svd": "torch.linalg.svd (also behind pinv, matrix_rank, cond and two norms)",
    "aten._linalg_eigh": "torch.linalg.eigh",
    "aten.linalg_eig": "torch.linalg.eig",
    "aten.linalg_qr": "torch.linalg.qr",
    "aten.linalg_pinv": "torch.linalg.pinv",
    "aten.linalg_lstsq": "torch.linalg.lstsq",
    "aten.linalg_lu": "torch.linalg.lu",
    "aten.linalg_lu_factor_ex": "torch.linalg.lu_factor",
    "aten.linalg_ldl_factor_ex": "torch.linalg.ldl_factor",
    "aten.linalg_householder_product": "torch.linalg.householder_product",
}
"""Factors of matrices that toolkit does not translate, as a user calls them."""


Kind: TypeAlias = Literal["values", "operator", "other"]


class Refused(ExportError):
    """torch refuses the module itself: for a choice by values, for an operator, or for another
    reason."""

    def __init__(self, kind: Kind, what: str, *cures: str) -> None:
        super().__init__(what, *cures)
        self.kind = kind


def in_words(error: BaseException, module: nn.Module | None = None) -> ExportError:
    """The refusal of a module in words. Raise it from `error`, which `--verbose` shows whole."""
    if isinstance(error, ExportError):
        return error
    causes = lines.chain(error)
    line = _line(causes)
    kind, what, change = _scripted(module) or _constraint(causes[0], line)
    return Refused(
        kind,
        f"torch cannot export this module: {what}",
        *([str(line)] if line else []),
        *change,
        "--verbose shows torch's whole trace",
    )


def _scripted(module: nn.Module | None) -> tuple[Kind, str, list[str]] | None:
    """The reason where a part of a module was compiled by TorchScript: only the whole can be."""
    import torch

    parts = [] if module is None else list(module.named_modules())
    if not parts or isinstance(nested.inner(parts[0][1]), torch.jit.ScriptModule):
        return None
    name = next((name for name, part in parts if isinstance(part, torch.jit.ScriptModule)), None)
    if name is None:
        return None
    return (
        "other",
        f"its part {name!r} is compiled by torch.jit, and torch traces no such part of a module",
        ["Build it from its Python class, without torch.jit, or script the whole module"],
    )


def _constraint(cause: BaseException, line: Line | None) -> tuple[Kind, str, list[str]]:
    """The kind of constraint, its words and the change that meets it, by torch's error and the
    user's line."""
    kind, text = type(cause).__name__, str(cause)
    if kind in ("TypeError", "AttributeError") and _OF_SIZE.search(text):
        return (
            "other",
            f"Python computes with a dynamic size what torch cannot trace ({typed_line(cause)}):"
            " while it traces, a size is a symbol and no number",
            [SIZES_TOO],
        )
    # By its name: the class is private to torch, and so is the module that it stands in.
    if kind == "GuardOnDataDependentSymNode":
        match = _VALUE.search(text)
        if match and line is not None and _LOGARITHM.search(line.text):
            return (
                "values",
                "a whole number is made of the logarithm of a size, and torch has no logarithms of"
                " sizes: this one is a value in a tensor, without which it traces",
                [WHOLE_LOGARITHM],
            )
        value = f" ({match['expression']})" if match else ""
        return (
            "values",
            f"a choice in Python depends on values in a tensor{value}, and torch traces without"
            " values",
            [
                "torch.where or torch.cond choose inside the graph;"
                " torch._check(…) states what is always so"
            ],
        )
    if operator := _OPERATOR.search(text):
        return "operator", *_without_form(operator["operator"], is_complex="complex-valued" in text)
    if kind in _WITHOUT_FORM and (match := _QUALIFIED.match(text)):
        return "operator", *_without_form(match["operator"], is_complex=False)
    if _PACKED.search(text):
        return (
            "other",
            "it is quantised by torch.ao, whose packed weights have no ONNX form",
            ["Export the module before it is quantised, and quantise the file"],
        )
    return "other", typed_line(cause), _advice(text)


def _without_form(operator: str, *, is_complex: bool) -> tuple[str, list[str]]:
    """Says that an operator has no ONNX form, by the name that the user knows, and what has one."""
    if name := _MATRIX.get(operator):
        return (
            f"{name} has no ONNX form",
            ["Compute it outside of the module, or with torch.linalg.solve, inv or cholesky"],
        )
    if is_complex:
        return (
            f"the operator {operator} has no ONNX form for complex numbers",
            ["Compute it with real numbers: torch.view_as_real gives both parts"],
        )
    return (
        f"the operator {operator} has no ONNX form",
        ["Compute it with other operators, or outside of the module"],
    )


def _advice(text: str) -> list[str]:
    """The first sentence of torch's own advice; none where it gives none."""
    matches = (_ADVICE.match(line) for line in text.splitlines()[1:])
    return [match[1].strip() for match in matches if match][:1]


def _line(causes: list[BaseException]) -> Line | None:
    """The user's line: on the way of the error, else of the graph's node it speaks of."""
    for cause in causes:
        if line := lines.of(cause):
            return line
        if nodes := list(_of_nodes(cause)):
            return nodes[-1]
    return None


def _of_nodes(cause: BaseException) -> Iterator[Line]:
    """The user's lines behind the nodes that torch had in hand when it raised."""
    from torch.fx import Node

    # The error itself does not name its node: the frames that it passed through hold it.
    trace = cause.__traceback__
    while trace is not None:
        for value in trace.tb_frame.f_locals.values():
            if isinstance(value, Node) and value.stack_trace:
                yield from _users(value.stack_trace)
        trace = trace.tb_next


def _users(stack: str) -> Iterator[Line]:
    for frame in _FILE.finditer(stack):
        if lines.theirs(frame["file"]):
            yield lines.at(frame["file"], int(frame["number"]))
