"""Pools 8-bit tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.oracle.operators.pools import AveragePool, MaxPool
from toolkit.oracle.operators.quantized.rounding import (
    DOMAIN,
    MicrosoftRounding,
    Outputs,
    Steps,
    numbers,
    single,
    wide,
    zero_of,
)
from toolkit.tensors import Array


class QLinearAveragePool(MicrosoftRounding, AveragePool):
    """The mean of each window; with `channels_last` of x (N, in…, C)."""

    def steps(
        self,
        x: Array,
        x_scale: Array,
        x_zero: Array | None,
        y_scale: Array,
        y_zero: Array | None = None,
        *,
        channels_last: int = 0,
        **given: Any,
    ) -> Steps:
        values = numbers(x, wide(x_scale), x_zero)
        first = np.moveaxis(values, -1, 1) if channels_last else values
        (means,) = AveragePool._run(self, first, **given)
        means = np.moveaxis(means, 1, -1) if channels_last else means
        return means / single(wide(y_scale)), zero_of(y_zero, x)


class QLinearGlobalAveragePool(MicrosoftRounding):
    """The mean over all spatial dimensions, which stay with the size 1."""

    def steps(
        self,
        x: Array,
        x_scale: Array,
        x_zero: Array,
        y_scale: Array,
        y_zero: Array,
        *,
        channels_last: int = 0,
    ) -> Steps:
        over = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
        means = numbers(x, wide(x_scale), x_zero).mean(axis=over, keepdims=True)
        return means / single(wide(y_scale)), y_zero


class NhwcMaxPool(MaxPool):
    """The maximum of each window of x (N, in…, C), in its 8-bit integers."""

    op_domain = DOMAIN
    op_schema = None

    def _run(self, x: Array, **given: Any) -> Outputs:
        return (np.moveaxis(super()._run(np.moveaxis(x, -1, 1), **given)[0], 1, -1),)
