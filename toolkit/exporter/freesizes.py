"""Has torch trace functions over a free size that take a plain integer for it.

The operators behind `torch.linspace` and `F.affine_grid` want plain integers (torch 2.13), so that
tracing fixes a dynamic dimension that is given to them: a grid of coordinates over a picture holds
at one size. Those of `torch.roll` and of a remainder, and `fftshift` with them, have no ONNX form
for a shift or a divisor that is a size. While torch traces, such a call is written as what it
computes, over `torch.arange`, whose end may be a size. The checks of torch.distributions, which
choose by values, are off meanwhile, as their `validate_args=False` turns them off.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from toolkit.exporter import spectra

if TYPE_CHECKING:
    import torch
    from torch.overrides import TorchFunctionMode


@contextlib.contextmanager
def traced() -> Iterator[None]:
    """Writes calls over free sizes so while the block lasts."""
    from torch.distributions import Distribution

    checked = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        with _mode()():
            yield
    finally:
        Distribution.set_default_validate_args(checked)


@cache
def _mode() -> type[TorchFunctionMode]:
    """The class of the mode; PyTorch is imported when the first is made."""
    import torch
    import torch.nn.functional as F
    from torch.overrides import TorchFunctionMode

    written: dict[Any, tuple[tuple[str, ...], Callable[..., bool], Callable[..., Any]]] = {
        torch.linspace: (("start", "end", "steps"), _has_free_steps, _linspace),
        F.affine_grid: (("theta", "size", "align_corners"), _has_free_size, _affine_grid),
        torch.roll: (("input", "shifts", "dims"), _has_free_shift, _roll),
        torch.Tensor.roll: (("input", "shifts", "dims"), _has_free_shift, _roll),
        **dict.fromkeys(
            (torch.remainder, torch.Tensor.remainder, torch.Tensor.__mod__),
            (("input", "other"), _has_free_other, _remainder),
        ),
        torch.fft.fftshift: (("input", "dim"), _is_free, _fftshift),
        torch.fft.ifftshift: (("input", "dim"), _is_free, _ifftshift),
        **spectra.written(),
    }

    class FreeSizes(TorchFunctionMode):
        """Sees each call of torch's functions."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func in written:
                names, is_free, write = written[func]
                given = dict(zip(names, args, strict=False)) | (kwargs or {})
                if is_free(**given):
                    return write(**given)
            return func(*args, **(kwargs or {}))

    return FreeSizes


def _has_free_steps(steps: object = None, **other: object) -> bool:
    import torch

    return isinstance(steps, torch.SymInt)


def _has_free_size(size: Any = (), **other: object) -> bool:
    import torch

    return any(isinstance(each, torch.SymInt) for each in size)


def _has_free_shift(shifts: Any = (), **other: object) -> bool:
    return _has_free_size(shifts if isinstance(shifts, tuple | list) else (shifts,))


def _has_free_other(other: object = None, **kept: object) -> bool:
    return _has_free_steps(other)


def _is_free(input: torch.Tensor, **other: object) -> bool:
    return _has_free_size(input.shape)


def _linspace(
    start: Any, end: Any, steps: Any, dtype: Any = None, device: Any = None, **other: Any
) -> torch.Tensor:
    """What torch.linspace computes: from either end to the middle, so that both ends are exact."""
    import torch

    kind = dtype or torch.get_default_dtype()
    index = torch.arange(steps, device=device)
    last = index[-1:]  # A tensor: ONNX has no numbers beside it.
    # One step alone is the start: the quotient must not be one by zero there.
    width = (end - start) / last.clamp(min=1).to(kind)
    below, above = start + index * width, end - (last - index) * width
    return torch.where(2 * index <= last, below, above).to(kind)


def _affine_grid(theta: torch.Tensor, size: Any, align_corners: bool | None = None) -> torch.Tensor:
    """What F.affine_grid computes: the coordinates of each cell, (x, y) or (x, y, z), moved by each
    matrix of `theta` (batch, axes, axes + 1)."""
    import torch

    cells = list(size[2:])  # (depth,) height, width
    axes = [_centres(count, theta, align_corners=bool(align_corners)) for count in cells]
    grids = torch.meshgrid(*axes, indexing="ij")
    places = torch.stack([*reversed(grids), torch.ones_like(grids[0])], -1)  # (…, axes + 1)
    moved = places.flatten(0, -2) @ theta.transpose(1, 2)  # (batch, cells, axes)
    return moved.reshape(theta.shape[0], *cells, len(cells))


def _centres(count: Any, like: torch.Tensor, *, align_corners: bool) -> torch.Tensor:
    """The coordinates of so many cells from -1 to 1, by their centres or with both ends in it."""
    import torch

    index = torch.arange(count, device=like.device).to(like.dtype)
    last = index[-1:]
    if align_corners:
        return 2 * index / last.clamp(min=1) - (last > 0).to(like.dtype)
    return (2 * index + 1) / (last + 1) - 1


def _roll(input: torch.Tensor, shifts: Any, dims: Any = None) -> torch.Tensor:
    """What torch.roll computes: the elements at other places of each axis, or of all in a row."""
    import torch

    if dims is None or dims == () or dims == []:
        return _roll(input.flatten(), shifts, 0).reshape(input.shape)
    pairs = zip(_each(shifts), _each(dims), strict=True)
    for shift, dim in pairs:
        count = input.shape[dim]
        places = _remainder(torch.arange(count, device=input.device) - shift, count)
        input = input.index_select(dim, places)
    return input


def _remainder(input: torch.Tensor, other: Any) -> torch.Tensor:
    """What torch.remainder computes, by a tensor of the divisor."""
    import torch

    whole = torch.full((), other, dtype=torch.int64, device=input.device)
    return torch.remainder(input, whole)


def _fftshift(input: torch.Tensor, dim: Any = None) -> torch.Tensor:
    """What torch.fft.fftshift computes: each axis rolled by half."""
    dims = range(input.ndim) if dim is None else _each(dim)
    return _roll(input, [input.shape[each] // 2 for each in dims], [*dims])


def _ifftshift(input: torch.Tensor, dim: Any = None) -> torch.Tensor:
    """What undoes `_fftshift`."""
    dims = range(input.ndim) if dim is None else _each(dim)
    return _roll(input, [(input.shape[each] + 1) // 2 for each in dims], [*dims])


def _each(values: Any) -> Sequence[Any]:
    return values if isinstance(values, tuple | list) else (values,)
