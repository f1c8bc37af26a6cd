"""Lets the branches and loops of `torch.cond`, `while_loop` and `scan` run in float64.

PyTorch compiles them by itself, also where a module is merely called, and its compiler knows no
mode of ours: while floats are raised, they run as Python does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from toolkit.oracle.dispatch import RaiseFloats


@contextmanager
def interpreted() -> Iterator[None]:
    """Runs branches and loops without PyTorch's compiler while it lasts."""
    _add_rules()
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        # It remembers what was not compiled now, and would trip over that in a later plain call.
        torch._dynamo.reset()


@cache
def _add_rules() -> None:
    """Tells PyTorch, once, how its branches and loops run under our mode."""
    from torch._higher_order_ops.cond import cond_op
    from torch._higher_order_ops.scan import scan_op
    from torch._higher_order_ops.while_loop import while_loop_op

    for operator, rule in ((cond_op, _cond), (while_loop_op, _while_loop), (scan_op, _scan)):
        operator.py_impl(RaiseFloats)(rule)


def _cond(
    mode: RaiseFloats,
    predicate: Any,
    when_true: Callable[..., Any],
    when_false: Callable[..., Any],
    operands: Sequence[Any],
) -> Any:
    branch = when_true if _is_true(mode, predicate) else when_false
    with mode:
        return branch(*operands)


def _while_loop(
    mode: RaiseFloats,
    goes_on: Callable[..., Any],
    body: Callable[..., Any],
    carried: Sequence[Any],
    others: Sequence[Any] = (),
) -> Any:
    values = tuple(carried)
    while True:
        with mode:
            predicate = goes_on(*values, *others)
        if not _is_true(mode, predicate):
            return values
        with mode:
            values = tuple(body(*values, *others))


def _scan(
    mode: RaiseFloats,
    combine: Callable[..., Any],
    init: Sequence[Any],
    sequences: Sequence[Any],
    others: Sequence[Any] = (),
) -> Any:
    """Goes along the first axis of the sequences, as PyTorch hands them over."""
    carried, rows = list(init), []
    with mode:
        for place in range(sequences[0].shape[0]):
            step = combine(*carried, *(each[place] for each in sequences), *others)
            carried, row = list(step[: len(carried)]), step[len(carried) :]
            rows.append(row)
        stacked = [torch.stack(column) for column in zip(*rows, strict=True)]
    return [*carried, *stacked]


def _is_true(mode: RaiseFloats, predicate: Any) -> bool:
    return bool(mode.value(predicate) if isinstance(predicate, torch.Tensor) else predicate)
