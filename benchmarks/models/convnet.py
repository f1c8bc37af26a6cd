"""Builds a small residual network for images of 3×32×32, with seeded random weights.

The batch normalisations hold statistics of a forward pass over noise: with those of a new module,
mean 0 and variance 1, a runtime could fold them away to nothing.

    toolkit export benchmarks/models/convnet.py:build --input 'image:float32[batch,3,32,32]' \\
        -o convnet.onnx
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SEED = 20261125


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.first_norm(self.first(x)))
        inner = self.second_norm(self.second(inner))
        return torch.relu(inner + self.shortcut(x))


class ConvNet(nn.Module):
    """218,000 weights, 10 million multiplications an image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.stages = nn.Sequential(Residual(16, 32, 1), Residual(32, 64, 2), Residual(64, 96, 2))
        self.score = nn.Linear(96, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.stem(image))
        x = nn.functional.max_pool2d(x, 2)  # (batch, 16, 16, 16)
        x = self.stages(x)  # (batch, 96, 4, 4)
        logits: Tensor = self.score(x.mean(dim=(2, 3)))
        return logits


def build() -> nn.Module:
    """The network, in eval mode."""
    torch.manual_seed(SEED)
    net = ConvNet()
    with torch.no_grad():
        net.train()(torch.randn(64, 3, 32, 32))
    return net.eval()
