"""Distances of rows: from the differences of all pairs, exact where rows are near to each other."""

from __future__ import annotations

import math

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, axes, number, numbered, op, size


def cdist(one: Value, other: Value, p: float, compute_mode: int | None = None) -> Value:
    """(…, n, d) and (…, m, d) → (…, n, m)."""
    pairs = op.Sub(op.Unsqueeze(one, axes(-2)), op.Unsqueeze(other, axes(-3)))
    return _norm(pairs, p, one.dtype)


def pdist(x: Value, p: float = 2.0) -> Value:
    """(n, d) → the distances of row i and row j for i < j, in order."""
    places = numbered(size(x, 0))
    above = op.Less(op.Unsqueeze(places, axes(1)), op.Unsqueeze(places, axes(0)))
    i, j = op.Split(op.NonZero(above), axis=0, num_outputs=2)
    first = op.Gather(x, op.Reshape(i, axes(-1)), axis=0)
    second = op.Gather(x, op.Reshape(j, axes(-1)), axis=0)
    return _norm(op.Sub(first, second), p, x.dtype)


def _norm(differences: Value, p: float, dtype: ir.DataType) -> Value:
    """The p-norm over the last axis."""
    last, absolute = axes(-1), op.Abs(differences)
    if p == 0:
        there = op.Not(op.Equal(differences, number(0, dtype)))
        return op.ReduceSum(op.Cast(there, to=dtype), last, keepdims=0)
    if p == 1:
        return op.ReduceSum(absolute, last, keepdims=0)
    if p == 2:
        return op.ReduceL2(differences, last, keepdims=0)
    if math.isinf(p):
        return op.ReduceMax(absolute, last, keepdims=0)
    powers = op.ReduceSum(op.Pow(absolute, number(p, dtype)), last, keepdims=0)
    return op.Pow(powers, number(1 / p, dtype))
