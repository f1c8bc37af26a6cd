"""All translations by the name of their operator in torch.ops.aten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.exporter.translations import ordering, running

ALL: dict[str, Callable[..., Any]] = {
    "kthvalue": ordering.kthvalue,
    "median": ordering.median,
    "median.dim": ordering.median_dim,
    "nanmedian": ordering.nanmedian,
    "nanmedian.dim": ordering.nanmedian_dim,
    "mode": ordering.mode,
    "sort.stable": ordering.sort_stable,
    "cummax": running.cummax,
    "cummin": running.cummin,
    "cumprod": running.cumprod,
}
