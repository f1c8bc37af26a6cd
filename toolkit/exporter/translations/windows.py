"""Windows of a plane as columns: by gathering rows and columns of the padded plane."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.exporter.translations.nodes import Value, axes, known, number, numbered, op, rank, size


def im2col(
    x: Value,
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """(n, c, h, w) → (n, c · window, windows), or the same without n."""
    if rank(x) == 3:
        one = known(op.Unsqueeze(x, axes(0)), x.dtype, 4)
        return op.Squeeze(im2col(one, kernel_size, dilation, padding, stride), axes(0))
    (down, right), (below, beside) = padding, padding
    pads = axes(0, 0, down, right, 0, 0, below, beside)
    padded = op.Pad(x, pads, number(0, x.dtype))
    rows, columns = (
        _places(size(padded, 2 + axis), kernel_size[axis], dilation[axis], stride[axis])
        for axis in range(2)
    )
    # (n, c, kh, oh, w) → (n, c, kh, oh, kw, ow) → (n, c, kh, kw, oh, ow)
    windows = op.Gather(op.Gather(padded, rows, axis=2), columns, axis=4)
    windows = op.Transpose(windows, perm=[0, 1, 2, 4, 3, 5])
    channels = op.Mul(size(x, 1), axes(kernel_size[0] * kernel_size[1]))
    counts = op.Mul(op.Shape(rows, start=1), op.Shape(columns, start=1))
    return op.Reshape(windows, op.Concat(size(x, 0), channels, counts, axis=0), allowzero=1)


def _places(length: Value, kernel: int, dilation: int, stride: int) -> Value:
    """(kernel, windows): the place of each element of each window along an axis."""
    count = op.Add(op.Div(op.Sub(length, axes(dilation * (kernel - 1) + 1)), axes(stride)), axes(1))
    begins = op.Mul(numbered(count), axes(stride))
    inside = axes(*(dilation * place for place in range(kernel)))
    return op.Add(op.Unsqueeze(inside, axes(1)), op.Unsqueeze(begins, axes(0)))
