"""The smallest modules of which torch alone writes a file that is wrong at a size, each with the
reason, and with the architectures of the zoo that meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.zoo.entry import Factory, entry

PLANE = "x:float32[batch=2,3,height=8,width=8]"


@dataclass(frozen=True)
class Reason:
    """The reason why a file is wrong."""

    text: str
    models: tuple[str, ...]
    """The zoo's models whose files are wrong for it."""


REASONS: dict[str, Reason] = {}


def minimal(reason: str, *models: str, inputs: str) -> Callable[[Factory], Factory]:
    """Adds a module to the zoo, with the reason why torch's file of it is wrong."""

    def add(factory: Factory) -> Factory:
        REASONS[factory.__name__] = Reason(reason, models)
        return entry(inputs)(factory)

    return add


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@minimal(
    "The file pools with the window of the traced size. Traced at 8 rows for 2 cells, 9 rows give"
    " other numbers, and 7 or 12 another shape.",
    "adaptive_pools",
    "areas",
    inputs=PLANE,
)
def minimal_average_pool() -> nn.Module:
    """nn.AdaptiveAvgPool2d over a free size."""
    return nn.AdaptiveAvgPool2d(2)


@minimal(
    "As with the average.",
    "spatial_pyramid",
    inputs=PLANE,
)
def minimal_maximum_pool() -> nn.Module:
    """F.adaptive_max_pool2d over a free size."""
    return Of(lambda x: F.adaptive_max_pool2d(x, 2))


@minimal(
    "torch's exporter has no form for it (for nn.LSTM and nn.GRU it has): the file holds one step"
    " after the other, as many as were traced.",
    "rnn",
    inputs="input:float32[batch=2,seq=6,4]",
)
def minimal_rnn() -> nn.Module:
    """nn.RNN over a free length."""
    return nn.RNN(4, 3, batch_first=True)


@minimal(
    "Python counts up to the size, so that the size becomes a number; torch says nothing.",
    "hf_funnel",
    "hf_mamba",
    inputs="x:float32[batch=2,seq=6]",
)
def minimal_count() -> nn.Module:
    """A list of positions, made in Python."""
    return Of(lambda x: x + torch.tensor(list(range(x.shape[1]))))


@minimal(
    "torch's trace keeps the traced number of steps.",
    "hourglass",
    "warped",
    inputs="x:float32[batch=2,seq=6]",
)
def minimal_positions() -> nn.Module:
    """torch.linspace over a free size."""
    return Of(lambda x: x * torch.linspace(0, 1, x.shape[1]))


@minimal(
    "ONNX's ScatterElements knows no mean, and the file gives another number, at the traced size"
    " too.",
    "graph_sage",
    inputs="x:float32[nodes=6,3]",
)
def minimal_scattered_mean() -> nn.Module:
    """Tensor.scatter_reduce by the mean."""
    return Of(lambda x: x.scatter_reduce(0, torch.zeros_like(x, dtype=torch.int64), x, "mean"))


@minimal(
    "The file asks DFT for half a spectrum and its inverse at once, which ONNX Runtime refuses to"
    " run, at the traced size too.",
    "state_space_kernel",
    inputs="x:float32[batch=2,seq=6]",
)
def minimal_product_of_spectra() -> nn.Module:
    """torch.fft.irfft of a product of spectra."""
    return Of(lambda x: torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(x[0]), n=x.shape[1]))


@minimal(
    "torch's exporter writes the layer with states of its own size in place of the projected one:"
    " ONNX Runtime refuses it, at the traced size too.",
    "projected_lstm",
    inputs="input:float32[batch=2,seq=6,4]",
)
def minimal_projection() -> nn.Module:
    """nn.LSTM with proj_size."""
    return nn.LSTM(4, 5, proj_size=3, batch_first=True)


@minimal(
    "Its operator takes a plain integer for the length: the file breaks ONNX's rules.",
    "masked_spectrogram",
    inputs="x:float32[batch=2,time=32]",
)
def minimal_istft() -> nn.Module:
    """torch.istft over a free length."""
    window = torch.hann_window(8)

    def there_and_back(x: Tensor) -> Tensor:
        waves = torch.stft(x, 8, window=window, return_complex=True)
        return torch.istft(waves, 8, window=window, length=x.shape[1])

    return Of(there_and_back)


@minimal(
    "The file multiplies the matrix with zeros beside its diagonal: an infinity there gives NaN.",
    "banded_attention",
    inputs="x:float32[n=4,n]",
)
def minimal_diagonal() -> nn.Module:
    """torch.diagonal beside infinities, as masks of attention have them."""
    return Of(lambda x: x.masked_fill(x < 0, float("-inf")).diagonal())


@minimal(
    "The traced size needs no padding, so that the file has none.",
    "padded_windows",
    "hf_mamba2",
    inputs="x:float32[batch=2,seq=8]",
)
def minimal_windows() -> nn.Module:
    """Windows of four, padded where the size is no multiple."""

    def windows(x: Tensor) -> Tensor:
        lacking = -x.shape[1] % 4
        whole = F.pad(x, (0, lacking)) if lacking else x
        return whole.reshape(x.shape[0], -1, 4)

    return Of(windows)


@minimal(
    "int() makes the size a number; torch says nothing.",
    "hf_mobilenet",
    "hf_mobilevit",
    inputs="x:float32[batch=2,seq=6]",
)
def minimal_integer() -> nn.Module:
    """A size that Python's int() is called on."""
    return Of(lambda x: x * torch.arange(int(x.shape[1])))


@minimal(
    "int() makes the root a number, and the file has the traced square; torch says nothing.",
    "hf_depth_anything",
    inputs="x:float32[batch=2,count=16]",
)
def minimal_square() -> nn.Module:
    """A row made a square of int(count ** 0.5)."""

    def square(x: Tensor) -> Tensor:
        side = int(x.shape[1] ** 0.5)
        return x.reshape(x.shape[0], side, side)

    return Of(square)
