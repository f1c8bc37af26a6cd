"""Has torch trace torch.istft over free sizes, as what it computes.

Its operator takes a plain integer for the length of the signal, and comes out as a file that ONNX
refuses (torch 2.13).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def written() -> Mapping[Any, tuple[tuple[str, ...], Callable[..., bool], Callable[..., Any]]]:
    """Function → the names of its arguments, whether a call is written, and how."""
    import torch

    names = tuple(inspect.signature(_istft).parameters)
    return dict.fromkeys((torch.istft, torch.Tensor.istft), (names, _gives_real, _istft))


def _gives_real(return_complex: bool = False, **other: object) -> bool:
    return not return_complex


def _istft(
    input: torch.Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: torch.Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Any = None,
    return_complex: bool = False,
) -> torch.Tensor:
    """The frames (…, waves, T) turned back and added up where they overlap, over the sum of their
    squared windows there: (…, samples)."""
    import torch
    import torch.nn.functional as F

    hop, wide = hop_length or n_fft // 4, win_length or n_fft
    kind = input.real.dtype
    weights = torch.ones(wide, dtype=kind, device=input.device) if window is None else window
    left = (n_fft - wide) // 2
    weights = F.pad(weights, (left, n_fft - wide - left))
    waves = input if input.ndim == 3 else input[None]
    waves = waves.transpose(1, 2)  # (batch, T, waves)
    norm = "ortho" if normalized else "backward"
    if waves.shape[-1] != n_fft if onesided is None else onesided:
        frames = torch.fft.irfft(waves, n=n_fft, dim=-1, norm=norm)
    else:
        frames = torch.fft.ifft(waves, dim=-1, norm=norm).real
    samples = n_fft + hop * (frames.shape[1] - 1)
    signal = _added_up(frames * weights, samples, hop)
    around = _added_up(weights.square().expand(1, frames.shape[1], -1), samples, hop)
    begin = n_fft // 2 if center else 0
    end = samples - begin if length is None else samples
    signal = signal[:, begin:end] / around[:, begin:end]
    if length is not None:
        beyond = signal.new_zeros((signal.shape[0], length))
        signal = torch.cat([signal, beyond], 1)[:, :length]
    return signal if input.ndim == 3 else signal[0]


def _added_up(frames: torch.Tensor, samples: Any, hop: int) -> torch.Tensor:
    """Frames (batch, T, n), a hop apart, as one signal (batch, samples)."""
    import torch.nn.functional as F

    columns = frames.transpose(1, 2)
    whole = F.fold(columns, (1, samples), (1, frames.shape[2]), stride=(1, hop))
    return whole.flatten(1)
