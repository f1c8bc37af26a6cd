"""Computes the operators that sum products: matrix products, convolutions, einsum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv import Conv as _Conv
from onnx.reference.ops.op_einsum import Einsum as _Einsum
from onnx.reference.ops.op_matmul import MatMul as _MatMul

from toolkit.oracle.operators import kernels
from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]
FEW = 1 << 20
"""Multiplications up to which numpy computes a product: torch's threads wait for each other, which
costs milliseconds where other processes take the cores. 5,040 small products took 5 to 22 s on busy
cores, and 0.6 s so."""
MUCH = 1 << 24
"""Multiplications from which torch's threads are worth their wait: one thread does fewer of them in
a millisecond or two. The 60 convolutions of a MobileNet took 2.6 s on busy cores, and 0.14 s so."""
MOST_AXES = 3
"""Spatial axes that torch's convolutions take."""


class MatMul(_MatMul):
    """numpy's product of stacks of matrices; the evaluator's own for integers."""

    def _run(self, a: Array, b: Array) -> Outputs:
        import torch

        work = a.size * b.shape[-1]
        if work <= FEW or not (kernels.is_float(a) and kernels.is_float(b)):
            whole: Outputs = super()._run(a, b)  # type: ignore[no-untyped-call]
            return whole
        left, right = kernels.tensor(a), kernels.tensor(b)
        room = None
        if a.ndim > 1 and b.ndim > 1:  # torch widens a vector, and warns of the shape of `out`
            stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
            room = kernels.room(left, [*stack, a.shape[-2], b.shape[-1]])
        with kernels.threads(all_of_them=work >= MUCH):
            return (kernels.array(torch.matmul(left, right, out=room)),)


class Einsum(_Einsum):
    """A sum of products by an equation; the evaluator's own for integers and single operands."""

    def _run(self, *operands: Array, equation: str) -> Outputs:  # type: ignore[override]
        import torch

        if len(operands) < 2 or not all(map(kernels.is_float, operands)):
            whole: Outputs = super()._run(*operands, equation=equation)  # type: ignore[no-untyped-call]
            return whole
        result = torch.einsum(equation, *(kernels.tensor(each) for each in operands))
        return (kernels.array(result.contiguous()),)


class Conv(_Conv):
    """The convolution with groups, strides, dilations and every way of padding.

    x (N, C, in…), w (M, C / group, kernel…) → (N, M, out…). Above three spatial axes the
    evaluator's own runs.
    """

    def _run(  # type: ignore[override]
        self, x: Array, w: Array, b: Array | None = None, **given: Any
    ) -> Outputs:
        from torch.nn import functional

        rank = w.ndim - 2
        if not 1 <= rank <= MOST_AXES or not kernels.is_float(x):
            whole: Outputs = super()._run(x, w, b, **given)  # type: ignore[no-untyped-call]
            return whole
        strides = given.get("strides") or [1] * rank
        dilations = given.get("dilations") or [1] * rank
        pads = _pads(x.shape[2:], w.shape[2:], strides, dilations, given)
        image = kernels.tensor(x)
        if any(before != after for before, after in pads):
            # torch pads both ends alike; `pad` takes the last axis first.
            image = functional.pad(image, [p for pair in reversed(pads) for p in pair])
            pads = [(0, 0)] * rank
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
        work = _places(x) // math.prod(strides) * w.size  # but for the padding
        with kernels.threads(all_of_them=work >= MUCH):
            result = convolve(
                image,
                kernels.tensor(w),
                None if b is None else kernels.tensor(b),
                stride=strides,
                padding=[before for before, _ in pads],
                dilation=dilations,
                groups=given.get("group") or 1,
            )
        return (kernels.array(result),)


def _places(x: Array) -> int:
    """Counts the elements of one channel in all samples: x (N, C, …)."""
    return math.prod([len(x), *x.shape[2:]])


def _pads(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    given: dict[str, Any],
) -> list[tuple[int, int]]:
    """Gives the padding before and behind each axis, by `auto_pad` or as `pads` says."""
    rank, auto = len(kernel), given.get("auto_pad") or "NOTSET"
    if auto == "VALID":
        return [(0, 0)] * rank
    if auto.startswith("SAME"):
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        need = [
            max(0, (-(-size // s) - 1) * s + r - size)
            for size, s, r in zip(sizes, strides, reach, strict=True)
        ]
        small = [(n // 2, n - n // 2) for n in need]
        return small if auto == "SAME_UPPER" else [(b, a) for a, b in small]
    pads = given.get("pads") or [0] * 2 * rank
    return [(int(pads[i]), int(pads[i + rank])) for i in range(rank)]


class ConvTranspose(OpRun):
    """The transposed convolution with groups, dilations, bias and every way of padding.

    The whole of it is computed, and then cut or widened by the standard's formulas. x (N, C, in…),
    w (C, M / group, kernel…) → (N, M, out…). Raises NotImplementedError above three spatial axes.
    """

    def _run(self, x: Array, w: Array, b: Array | None = None, **given: Any) -> Outputs:
        from torch.nn import functional

        kernel = w.shape[2:]
        rank = len(kernel)
        if not 1 <= rank <= MOST_AXES:
            raise NotImplementedError(f"a transposed convolution of {rank} spatial axes")
        strides = given.get("strides") or [1] * rank
        dilations = given.get("dilations") or [1] * rank
        beyond = given.get("output_padding") or [0] * rank
        convolve = (
            functional.conv_transpose1d,
            functional.conv_transpose2d,
            functional.conv_transpose3d,
        )[rank - 1]
        with kernels.threads(all_of_them=_places(x) * w.size >= MUCH):
            whole = convolve(
                kernels.tensor(x),
                kernels.tensor(w),
                stride=strides,
                dilation=dilations,
                groups=given.get("group") or 1,
            )
        full = [size + more for size, more in zip(whole.shape[2:], beyond, strict=True)]
        begins, ends = _borders(full, x.shape[2:], strides, given)
        grown = [more + max(0, -end) for more, end in zip(beyond, ends, strict=True)]
        whole = functional.pad(whole, [p for more in reversed(grown) for p in (0, more)])
        cut = tuple(
            slice(a, size - max(0, e))
            for a, size, e in zip(begins, whole.shape[2:], ends, strict=True)
        )
        out = kernels.array(whole)[(slice(None), slice(None), *cut)]
        return (out if b is None else out + b.reshape(1, -1, *[1] * rank),)


def _borders(
    full: Sequence[int], sizes: Sequence[int], strides: Sequence[int], given: dict[str, Any]
) -> tuple[list[int], list[int]]:
    """Gives what is cut off before and behind (negative: added) by the standard's formulas."""
    rank, auto = len(full), given.get("auto_pad") or "NOTSET"
    pads = given.get("pads") or [0] * 2 * rank
    wanted = given.get("output_shape")
    if auto.startswith("SAME") and wanted is None:
        wanted = [size * s for size, s in zip(sizes, strides, strict=True)]
    if wanted is None:
        return list(pads[:rank]), list(pads[rank:])
    # Negative where the output that is wanted is larger: what is missing is added behind.
    total = [f - w for f, w in zip(full, list(wanted)[-rank:], strict=True)]
    half = [max(0, t) // 2 for t in total]
    rest = [t - h for t, h in zip(total, half, strict=True)]
    swapped = auto != "SAME_UPPER" and all(t >= 0 for t in total)
    return (rest, half) if swapped else (half, rest)
