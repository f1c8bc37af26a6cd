"""Computes normalizations and reductions, whose results are sums over rows.

Where it can be, the mean is taken off before anything is scaled, as the evaluator does: torch's own
batch normalization does it in one product and one sum, which cancel where the mean is large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_batch_normalization import BatchNormalization_14
from onnx.reference.ops.op_global_average_pool import GlobalAveragePool as _GlobalAveragePool
from onnx.reference.ops.op_instance_normalization import (
    InstanceNormalization as _InstanceNormalization,
)
from onnx.reference.ops.op_layer_normalization import LayerNormalization as _LayerNormalization
from onnx.reference.ops.op_reduce_max import ReduceMax_18
from onnx.reference.ops.op_reduce_mean import ReduceMean_18
from onnx.reference.ops.op_reduce_min import ReduceMin_18
from onnx.reference.ops.op_reduce_sum import ReduceSum_13
from onnx.reference.ops.op_rms_normalization import RMSNormalization as _RMSNormalization

from toolkit.oracle.operators.kernels import room
from toolkit.oracle.operators.large import large
from toolkit.tensors import Array

if TYPE_CHECKING:
    from torch import Tensor

Outputs: TypeAlias = tuple[Array, ...]
FLOAT32 = 1
"""The `stash_type` that the evaluator takes. The type of the input is what is computed in."""


class _GroupNormalization(OpRun):
    """Brings each group of channels to the mean 0 and the deviation 1.

    x (N, C, …); scale and bias have an entry for each channel, and up to opset 20 for each group.
    """

    def _run(self, x: Array, scale: Array, bias: Array, **given: Any) -> Outputs:
        groups = x.reshape(len(x), given["num_groups"], -1)
        groups = groups.astype(np.result_type(x, np.float32), copy=False)
        centred = groups - groups.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        parts = (centred / np.sqrt(variance + given["epsilon"])).reshape(
            *x.shape[:1], len(scale), -1
        )
        whole = parts * scale[:, None] + bias[:, None]
        return (whole.reshape(x.shape).astype(x.dtype, copy=False),)


def group_norm(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float, stash_type: int
) -> Tensor:
    """Brings each group of channels to the mean 0 and the deviation 1."""
    groups = _standard(x.reshape(len(x), num_groups, -1), (-1,), epsilon)
    parts = groups.view(len(x), len(scale), -1)
    return parts.mul_(scale[:, None]).add_(bias[:, None]).view(x.shape)


def instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float) -> Tensor | None:
    """Brings each channel of each sample to the mean 0 and the deviation 1: x (N, C, …)."""
    if x.ndim < 3:
        return None
    return _scaled(_standard(x, tuple(range(2, x.ndim)), epsilon), scale, bias)


def batch_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float,
    momentum: float,
    training_mode: int,
) -> Tensor | None:
    """Normalises channels by statistics that are given: x (N, C, …)."""
    import torch

    if training_mode or x.ndim < 2:
        return None
    centred = torch.sub(x, _by_channel(mean, x.ndim), out=room(x))
    return _scaled(centred, scale / torch.sqrt(variance + float(epsilon)), bias)


def layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int,
    epsilon: float,
    stash_type: int,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """The normalization over all dimensions from `axis` on, with its mean and inverse deviation."""
    import torch

    shape = x.shape[axis % x.ndim :]
    weights = [scale] if bias is None else [scale, bias]
    if stash_type != FLOAT32 or any(each.shape != shape for each in weights):
        return None
    normal, mean, inverse = torch.native_layer_norm(x, shape, scale, bias, float(epsilon))
    return normal, mean, inverse


def rms_norm(
    x: Tensor, scale: Tensor, *, axis: int, epsilon: float, stash_type: int
) -> Tensor | None:
    """Divides by the root of the mean square over all dimensions from `axis` on."""
    import torch

    if stash_type != FLOAT32 or scale.ndim > x.ndim:
        return None
    squares = torch.mul(x, x, out=room(x))
    means = squares.mean(tuple(range(axis % x.ndim, x.ndim)), keepdim=True)
    inverse = means.add_(float(epsilon)).sqrt_().reciprocal_()
    return torch.mul(x, inverse, out=squares).mul_(scale)


def global_mean(x: Tensor) -> Tensor | None:
    """The mean over all spatial dimensions, which stay with the size 1."""
    return None if x.ndim < 3 else x.mean(tuple(range(2, x.ndim)), keepdim=True)


def mean(x: Tensor, axes: Tensor | Sequence[int] | None = None, **given: int) -> Tensor | None:
    """The mean along axes, or of all."""
    import torch

    return _reduced(torch.mean, x, axes, **given)


def total(x: Tensor, axes: Tensor | Sequence[int] | None = None, **given: int) -> Tensor | None:
    """The sum along axes, or of all."""
    import torch

    return _reduced(torch.sum, x, axes, **given)


def largest(x: Tensor, axes: Tensor | Sequence[int] | None = None, **given: int) -> Tensor | None:
    """The maximum along axes, or of all; NaN where one is among them."""
    import torch

    return _reduced(torch.amax, x, axes, **given)


def smallest(x: Tensor, axes: Tensor | Sequence[int] | None = None, **given: int) -> Tensor | None:
    """The minimum along axes, or of all; NaN where one is among them."""
    import torch

    return _reduced(torch.amin, x, axes, **given)


def _reduced(
    reduce: Callable[..., Tensor],
    x: Tensor,
    axes: Tensor | Sequence[int] | None,
    *,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Tensor | None:
    """Reduces along axes, which are an input from opset 18 on, and before that a list."""
    import torch

    given = axes.reshape(-1).tolist() if isinstance(axes, torch.Tensor) else list(axes or ())
    if not given and noop_with_empty_axes:
        return None
    return reduce(x, tuple(given or range(x.ndim)), keepdim=bool(keepdims))


def _standard(x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """Brings what lies along axes to the mean 0 and the deviation 1."""
    import torch

    variance, middle = torch.var_mean(x, axes, correction=0, keepdim=True)
    return torch.sub(x, middle, out=room(x)).div_(variance.add_(float(epsilon)).sqrt_())


def _scaled(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Scales and moves the channels of a result of ours, in its place."""
    return x.mul_(_by_channel(scale, x.ndim)).add_(_by_channel(bias, x.ndim))


def _by_channel(values: Tensor, rank: int) -> Tensor:
    return values.reshape(-1, *[1] * (rank - 2))


OWN: tuple[type[OpRun], ...] = large(
    {
        BatchNormalization_14: batch_norm,
        _GlobalAveragePool: global_mean,
        _GroupNormalization: group_norm,
        _InstanceNormalization: instance_norm,
        _LayerNormalization: layer_norm,
        _RMSNormalization: rms_norm,
        ReduceMax_18: largest,
        ReduceMean_18: mean,
        ReduceMin_18: smallest,
        ReduceSum_13: total,
    }
)
"""The operator for small arrays → the function for large ones. Each is the newest version, which
takes what those from opset 17 on are given."""
