"""User models that the export is tested with."""

from __future__ import annotations

import fractions
import math
from typing import Any

import torch
from torch import nn

from toolkit.exporter import convert, tracing
from toolkit.exporter.convert import Converted
from toolkit.exporter.quiet import Chatter
from toolkit.exporter.tracing import Traced
from toolkit.sources import inputs
from toolkit.sources.inputs import Stated


class Branch(nn.Module):
    """Another function from 13 on."""

    def forward(self, x: Any) -> Any:
        if x.shape[1] > 12:
            return x * 2
        return x * 3


class Even(nn.Module):
    """Another function at even sizes: no range tells that."""

    def forward(self, x: Any) -> Any:
        return x * 2 if x.shape[1] % 2 == 0 else x * 3


class Fixing(nn.Module):
    """Makes a number of a size."""

    def forward(self, x: Any) -> Any:
        n = len(range(x.shape[1]))
        return x.reshape(-1, n) * torch.ones(n)


class CheckedThenFixing(nn.Module):
    """Asks for a length that all have, and makes a number of it later."""

    def forward(self, x: Any) -> Any:
        if x.shape[1] > 1000:
            raise ValueError("too long")
        n = len(range(x.shape[1]))
        return x.reshape(-1, n) * torch.ones(n)


class Added(nn.Module):
    """Wants two inputs of one shape."""

    def forward(self, x: Any, y: Any) -> Any:
        return x + y


class Strided(nn.Module):
    """Takes multiples of 4 only."""

    def forward(self, x: Any) -> Any:
        batch, channels, width = x.shape
        return x.reshape(batch, channels, width // 4, 4).sum(-1)


class Several(nn.Module):
    """Integers, several inputs, nested outputs, one of which has an input's name."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 8)

    def forward(self, ids: Any, x: Any, mask: Any = None, *, scale: Any = None) -> Any:
        hidden = self.table(ids) + x
        if scale is not None:
            hidden = hidden * scale
        return {"zeta": hidden, "alpha": (hidden.sum(-1), ids + 1), "x": x * 2}


class CheckedAndCounted(nn.Module):
    """Has a condition that fixes nothing before the line that fixes the size."""

    def forward(self, x: Any) -> Any:
        if x.shape[1] < 3:
            raise ValueError("too short")
        return torch.stack([x[:, i] * i for i in range(x.shape[1])], 1)


class Logarithm(nn.Module):
    """Cuts off at a whole logarithm of a size."""

    def forward(self, x: Any) -> Any:
        return x[:, : int(math.log2(x.shape[1]))]


class LogarithmOfSizes(nn.Module):
    """The same, as the refusal of the other says to write it."""

    def forward(self, x: Any) -> Any:
        n = x.shape[1]
        return x[:, : sum(torch.sym_min(1, n // 2**i) for i in range(1, 31))]  # type: ignore[no-untyped-call]


class Fractional(nn.Module):
    """Asks for a fraction of a size, which Python has for its own numbers only."""

    def forward(self, x: Any) -> Any:
        return x * float(fractions.Fraction(x.shape[1], 2))


class OnValues(nn.Module):
    """Chooses by the values in a tensor."""

    def forward(self, x: Any) -> Any:
        if x.sum() > 0:
            return x
        return -x


class NoOperator(nn.Module):
    """An operator that ONNX has not."""

    def forward(self, x: Any) -> Any:
        return torch.linalg.eigvals(x).real


class Linear(nn.Module):
    """An ordinary layer with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.fc(x))


SEVERAL = ("ids:int64[b,s]", "x:float32[b,s,8]", "scale:float32[1]")


def traced(module: nn.Module, *texts: str) -> tuple[tuple[Stated, ...], Traced]:
    """The inputs as stated, and what the module is traced with."""
    stated = inputs.parse_all(texts)
    return stated, tracing.find(module, stated)


def converted(module: nn.Module, *texts: str, opset: int | None = None) -> Converted:
    """The module's graph."""
    stated, accepted = traced(module, *texts)
    return convert.convert(module.eval(), stated, accepted, opset=opset, chatter=Chatter())
