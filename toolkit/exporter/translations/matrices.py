"""Inverse, solutions and determinants of square matrices, each by a Loop over columns.

Matrices are (b, n, n) within, b being all dimensions before the last two.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    Value,
    Values,
    axes,
    known,
    loop,
    number,
    numbered,
    op,
    rank,
    size,
)


def inverse(a: Value) -> Value:
    return solution(a, unit_like(a))


def inverse_ex(a: Value, *, check_errors: bool = False) -> Any:
    return inverse(a), succeeded(a)


def solve(a: Value, b: Value, *, left: bool = True) -> Value:
    """The solution of ax = b, or of xa = b."""
    if rank(b) == 1 or (rank(b) == rank(a) - 1 and list(b.shape) == list(a.shape)[:-1]):
        column = known(op.Unsqueeze(b, axes(-1)), b.dtype, rank(b) + 1)
        return op.Squeeze(solution(a, column), axes(-1))
    return solution(a, b) if left else turned(solution(turned(a), turned(b)))


def solve_ex(a: Value, b: Value, *, left: bool = True, check_errors: bool = False) -> Any:
    """The solution, with the factors, pivots and success that PyTorch's operator gives.

    Only a gradient reads the factors: the matrix itself stands there.
    """
    return solve(a, b, left=left), op.Identity(a), succeeded(a), succeeded(a)


def slogdet(a: Value) -> Any:
    """Sign and logarithm of the determinant; with them the factors, as in `solve_ex`."""
    dtype, batch = a.dtype, op.Shape(a, start=0, end=rank(a) - 2)
    matrices = batched(a)

    def turn(at: Value, states: Values) -> Values:
        rest, sign, logarithm = states
        rest, pivot, swapped = _eliminated(at, rest, dtype)
        sign = op.Mul(sign, op.Mul(op.Sign(pivot), swapped))
        return [rest, sign, op.Add(logarithm, op.Log(op.Abs(pivot)))]

    column = op.Concat(size(matrices, 0), axes(1), axis=0)
    ones, zeros = (op.Expand(number(start, dtype), column) for start in (1, 0))
    _, sign, logarithm = loop(turn, size(matrices, 1), [matrices, ones, zeros])
    return op.Reshape(sign, batch), op.Reshape(logarithm, batch), op.Identity(a), succeeded(a)


def solution(a: Value, b: Value) -> Value:
    """Solves ax = b for b (…, n, k) by Gauss and Jordan, with the largest pivot of each column."""
    a, b = alike(a, b)
    count, dtype = size(a, rank(a) - 1), a.dtype

    def turn(at: Value, states: Values) -> Values:
        return [_eliminated(at, states[0], dtype, everywhere=True)[0]]

    both = known(op.Concat(a, b, axis=-1), dtype, rank(a))
    (solved,) = loop(turn, count, [batched(both)])
    x = op.Slice(solved, count, axes(2**62), axes(2))
    return known(op.Reshape(x, op.Shape(b), allowzero=1), dtype, rank(b))


def alike(a: Value, b: Value) -> tuple[Value, Value]:
    """Both with the same dimensions before the last two."""
    dims = max(rank(a), rank(b))

    def spread(each: Value, other: Value) -> Value:
        batch = op.Concat(op.Shape(other, start=0, end=rank(other) - 2), axes(1, 1), axis=0)
        return known(op.Expand(each, batch), each.dtype, dims)

    return spread(a, b), spread(b, a)


def _eliminated(
    at: Value, rest: Value, dtype: ir.DataType, *, everywhere: bool = False
) -> tuple[Value, Value, Value]:
    """Takes a column out of the rows below, or of all others `everywhere`, whose own row is then
    divided by its pivot. Gives the matrix, the pivot (b, 1), and -1 where rows were swapped."""
    rows = numbered(size(rest, 1))  # (n)
    sizes = op.Abs(op.Squeeze(op.Gather(rest, at, axis=2), axes(2)))  # (b, n)
    chosen = op.ArgMax(op.Where(op.Less(rows, at), number(-1, dtype), sizes), axis=1)  # (b, 1)
    width = op.Concat(axes(1, 1), size(rest, 2), axis=0)
    places = op.Expand(op.Unsqueeze(chosen, axes(2)), width)
    pivotal = op.GatherElements(rest, places, axis=1)  # (b, 1, w)
    is_chosen = op.Unsqueeze(op.Equal(rows, chosen), axes(2))  # (b, n, 1)
    is_at = op.Unsqueeze(op.Equal(rows, at), axes(1))  # (n, 1)
    rest = op.Where(is_chosen, op.Gather(rest, at, axis=1), rest)
    rest = op.Where(is_at, pivotal, rest)
    pivot = op.Gather(pivotal, at, axis=2)  # (b, 1, 1)
    swapped = op.Where(op.Equal(chosen, at), number(1, dtype), number(-1, dtype))
    divisor = pivot
    if not everywhere:
        # A pivot of zero has zeros below it: nothing is left to take out.
        divisor = op.Where(op.Equal(pivot, number(0, dtype)), number(1, dtype), pivot)
    unit = op.Div(pivotal, divisor)
    others = op.Not(is_at) if everywhere else op.Unsqueeze(op.Greater(rows, at), axes(1))
    factors = op.Where(others, op.Gather(rest, at, axis=2), number(0, dtype))
    rest = op.Sub(rest, op.Mul(factors, unit))
    if everywhere:
        rest = op.Where(is_at, unit, rest)
    return rest, op.Squeeze(pivot, axes(2)), swapped


def batched(a: Value) -> Value:
    """(…, m, n) → (b, m, n)."""
    last = op.Shape(a, start=rank(a) - 2)
    count = op.ReduceProd(op.Shape(a, start=0, end=rank(a) - 2), keepdims=1)
    shape = op.Concat(op.Reshape(count, axes(1)), last, axis=0)
    return known(op.Reshape(a, shape, allowzero=1), a.dtype, 3)


def unit_like(a: Value) -> Value:
    """The unit matrix (n, n) of the size of the last dimension."""
    places = numbered(size(a, rank(a) - 1))
    same = op.Equal(op.Unsqueeze(places, axes(0)), op.Unsqueeze(places, axes(1)))
    return known(op.Cast(same, to=a.dtype), a.dtype, 2)


def turned(a: Value) -> Value:
    """The transpose of each matrix."""
    order = list(range(rank(a)))
    order[-2:] = reversed(order[-2:])
    return known(op.Transpose(a, perm=order), a.dtype, rank(a))


def succeeded(a: Value) -> Value:
    """Zeros, by which PyTorch says for each matrix that nothing went wrong."""
    shape = op.Shape(a, start=0, end=rank(a) - 2)
    return op.Expand(number(0, ir.DataType.INT32), shape)
