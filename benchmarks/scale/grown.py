"""Models of any size: what shows how cost grows with weights, nodes and tokens.

A name says the kind and the size, so that a factory is one word in a command:

    toolkit export benchmarks/scale/grown.py:chain_1000 --input 'x:float32[batch,16]' -o chain.onnx
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

SEED = 20261129
LAYERS = 4
"""Square matrices of a dense net."""
WIDTH, HEADS, BLOCKS = 256, 4, 4
"""The encoder's width, its heads and its layers: 3.2 million weights."""


class Text(nn.Module):
    """An encoder that takes vectors of tokens and gives as many."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, BLOCKS, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layers(x)
        return output


def dense(millions: int) -> nn.Module:
    """A net of so many million weights in square matrices."""
    width = _width(millions)
    pairs = ((nn.Linear(width, width), nn.ReLU()) for _ in range(LAYERS))
    return _seeded(lambda: nn.Sequential(*(layer for pair in pairs for layer in pair)))


def chain(nodes: int) -> nn.Module:
    """A chain of so many nodes, every second a product by a small matrix."""
    pairs = ((nn.Linear(16, 16), nn.Tanh()) for _ in range(nodes // 2))
    return _seeded(lambda: nn.Sequential(*(layer for pair in pairs for layer in pair)))


def text(tokens: int) -> nn.Module:
    """An encoder; `tokens` stands in its input alone."""
    del tokens
    return _seeded(Text)


KINDS: dict[str, tuple[Callable[[int], nn.Module], Callable[[int], str], tuple[int, ...]]] = {
    "dense": (dense, lambda size: f"input:float32[batch,{_width(size)}]", (1, 4, 16, 64, 256)),
    "chain": (chain, lambda size: "input:float32[batch,16]", (10, 50, 250, 1000, 5000)),
    "text": (text, lambda size: f"x:float32[batch,{size},{WIDTH}]", (16, 64, 256, 1024)),
}
"""Kind → its factory, its input as --input states it, and the sizes that are measured."""


def inputs(name: str) -> tuple[str, ...]:
    """The inputs of a model by its name, as --input states them."""
    kind, size = name.split("_")
    return (KINDS[kind][1](int(size)),)


def __getattr__(name: str) -> Callable[[], nn.Module]:
    kind, _, size = name.partition("_")
    if kind not in KINDS or not size.isdecimal():
        raise AttributeError(name)
    return partial(KINDS[kind][0], int(size))


def _width(millions: int) -> int:
    return round(math.sqrt(millions * 1e6 / LAYERS))


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(SEED)
    return make().eval()
