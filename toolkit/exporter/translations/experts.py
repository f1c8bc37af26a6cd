"""Products of the rows of a batch, each with the matrix of its group: the experts of a mixture."""

from __future__ import annotations

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, axes, known, number, op, size, split


def grouped_mm(x: Value, matrices: Value, offs: Value) -> Value:
    """x (S, I), matrices (E, I, O), offs (E,): rows up to the first end are multiplied with the
    first matrix, those up to the second end with the second one … → (S, O).

    Rows beyond the last end are 0, as the library's own loop has them.
    """
    count, wide = int(matrices.shape[0]), int(matrices.shape[2])
    ends = op.Cast(offs, to=ir.DataType.INT64)
    begins = op.Concat(axes(0), op.Slice(ends, axes(0), axes(-1), axes(0)), axis=0)
    last = op.Slice(ends, axes(-1), axes(count), axes(0))
    counts = op.Concat(op.Sub(ends, begins), op.Sub(size(x, 0), last), axis=0)
    *groups, beyond = split(x, counts, 0, count + 1)
    products = [
        op.MatMul(group, op.Gather(matrices, number(place, ir.DataType.INT64), axis=0))
        for place, group in enumerate(groups)
    ]
    nothing = op.Expand(number(0, x.dtype), op.Concat(size(beyond, 0), axes(wide), axis=0))
    return known(op.Concat(*products, nothing, axis=0), x.dtype, 2)
