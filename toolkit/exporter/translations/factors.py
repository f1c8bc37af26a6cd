"""Triangular factors of matrices, and what is solved with them: each by a Loop over columns."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.matrices import alike, batched, succeeded, turned, unit_like
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

TERMS = 18
"""Of the series of matrix_exp at norm 1: 1/19! is 8e-18, below the rounding of float64."""


def cholesky_linalg(a: Value, *, upper: bool = False) -> Value:
    return cholesky(a, upper)


def cholesky_ex(a: Value, *, upper: bool = False, check_errors: bool = False) -> Any:
    return cholesky(a, upper), succeeded(a)


def cholesky(a: Value, upper: bool = False) -> Value:
    """The lower L of LLᵀ = a, or Lᵀ; reads the half of `a` that PyTorch reads."""
    dtype = a.dtype
    rest = batched(turned(a) if upper else a)

    def turn(at: Value, states: Values) -> Values:
        rest, lower = states
        rows = numbered(size(rest, 1))
        column = op.Gather(rest, at, axis=2)  # (b, n, 1)
        scaled = op.Div(column, op.Sqrt(op.Gather(column, at, axis=1)))
        below = op.Where(op.Unsqueeze(op.Less(rows, at), axes(1)), number(0, dtype), scaled)
        rest = op.Sub(rest, op.Mul(below, op.Transpose(below, perm=[0, 2, 1])))
        return [rest, op.Where(op.Equal(rows, at), below, lower)]

    zeros = op.Expand(number(0, dtype), op.Shape(rest))
    _, lower = loop(turn, size(rest, 1), [rest, zeros])
    factor = known(op.Reshape(lower, op.Shape(a), allowzero=1), dtype, rank(a))
    return turned(factor) if upper else factor


def cholesky_solve(b: Value, factor: Value, upper: bool = False) -> Value:
    """Solves LLᵀx = b, or UᵀUx = b."""
    lower, other = (turned(factor), factor) if upper else (factor, turned(factor))
    return _substituted(other, _substituted(lower, b, upper=False), upper=True)


def cholesky_inverse(factor: Value, upper: bool = False) -> Value:
    return cholesky_solve(unit_like(factor), factor, upper)


def solve_triangular(
    a: Value, b: Value, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Value:
    """The solution of ax = b, or of xa = b, of a triangular matrix."""
    if left:
        return _substituted(a, b, upper=upper, unit=unitriangular)
    return turned(_substituted(turned(a), turned(b), upper=not upper, unit=unitriangular))


def triangular_solve(
    b: Value, a: Value, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """The older form, which gives the matrix back as well."""
    used = turned(a) if transpose else a
    x = _substituted(used, b, upper=upper != transpose, unit=unitriangular)
    return x, op.Identity(a)


def _substituted(a: Value, b: Value, *, upper: bool, unit: bool = False) -> Value:
    """Solves row by row, from the first or the last, taking each out of those that follow."""
    a, b = alike(a, b)
    dtype = a.dtype

    def turn(number_: Value, states: Values) -> Values:
        a, x = states
        count = size(a, 1)
        at = op.Sub(op.Sub(count, axes(1)), number_) if upper else number_
        rows = op.Unsqueeze(numbered(count), axes(1))
        column = op.Gather(a, at, axis=2)  # (b, n, 1)
        row = op.Gather(x, at, axis=1)  # (b, 1, k)
        if not unit:
            row = op.Div(row, op.Gather(column, at, axis=1))
        follow = op.Less(rows, at) if upper else op.Greater(rows, at)
        taken = op.Mul(op.Where(follow, column, number(0, dtype)), row)
        return [a, op.Where(op.Equal(rows, at), row, op.Sub(x, taken))]

    matrices = batched(a)
    _, x = loop(turn, size(matrices, 1), [matrices, batched(b)])
    return known(op.Reshape(x, op.Shape(b), allowzero=1), dtype, rank(b))


def matrix_exp(a: Value) -> Value:
    """Taylor's series of a matrix scaled to a norm of at most 1, squared as often as halved."""
    dtype = a.dtype
    norm = op.ReduceMax(op.ReduceSum(op.Abs(a), axes(-1), keepdims=0), keepdims=0)
    norm = op.Max(norm, number(1, dtype))
    halvings = op.Ceil(op.Div(op.Log(norm), op.Log(number(2, dtype))))
    scaled = op.Div(a, op.Pow(number(2, dtype), halvings))
    one = unit_like(a)
    result = one
    for term in range(TERMS, 0, -1):
        product = op.Div(op.MatMul(scaled, result), number(term, dtype))
        result = op.Add(one, product)

    def turn(_: Value, states: Values) -> Values:
        return [op.MatMul(states[0], states[0])]

    count = op.Reshape(op.Cast(halvings, to=ir.DataType.INT64), axes(1))
    return loop(turn, count, [result])[0]
