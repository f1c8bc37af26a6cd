"""Computes the transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class ConvTranspose(OpRun):
    """The transposed convolution with groups, dilations, bias and every way of padding.

    It adds what each input element gives to the outputs that it reaches, one kernel element at a
    time: as many steps in Python as the kernel has elements. x (N, C, in…), w (C, M / group,
    kernel…) → (N, M, out…).
    """

    def _run(self, x: Array, w: Array, b: Array | None = None, **given: Any) -> Outputs:
        kernel, group = w.shape[2:], given.get("group") or 1
        rank = len(kernel)
        strides = given.get("strides") or [1] * rank
        dilations = given.get("dilations") or [1] * rank
        beyond = given.get("output_padding") or [0] * rank
        full = [
            (size - 1) * s + (k - 1) * d + 1 + o
            for size, s, k, d, o in zip(
                x.shape[2:], strides, kernel, dilations, beyond, strict=True
            )
        ]
        begins, ends = self._borders(full, x.shape[2:], strides, given)
        full = [f + max(0, -e) for f, e in zip(full, ends, strict=True)]
        n, c = x.shape[:2]
        weights = w.reshape(group, c // group, w.shape[1], *kernel)
        parts = x.reshape(n, group, c // group, *x.shape[2:])
        out = np.zeros((n, group, w.shape[1], *full), x.dtype)
        for element in np.ndindex(*kernel):
            products = np.einsum("ngc...,gcm->ngm...", parts, weights[(..., *element)])
            reached = tuple(
                slice(e * d, e * d + (size - 1) * s + 1, s)
                for e, d, size, s in zip(element, dilations, x.shape[2:], strides, strict=True)
            )
            at: tuple[Any, ...] = (..., *reached)
            out[at] += products
        out = out.reshape(n, group * w.shape[1], *full)
        cut = tuple(slice(a, f - max(0, e)) for a, f, e in zip(begins, full, ends, strict=True))
        out = out[(slice(None), slice(None), *cut)]
        return (out if b is None else out + b.reshape(1, -1, *[1] * rank),)

    def _borders(
        self,
        full: list[int],
        sizes: Sequence[int],
        strides: Sequence[int],
        given: dict[str, Any],
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
