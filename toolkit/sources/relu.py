"""The two models of the ReLU card as PyTorch modules: one Relu, and one between identity layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.sources.source import Source

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMS = {
    "alone": Source("toolkit.sources.relu:alone"),
    "fused": Source("toolkit.sources.relu:fused"),
}


def alone() -> nn.Module:
    """relu(x)."""
    import torch
    from torch import nn

    class Alone(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x)

    return Alone()


def fused() -> nn.Module:
    """A layer of weight 1, relu, a layer of weight 1; x is (rows, 1)."""
    import torch
    from torch import nn

    class Fused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before = nn.Linear(1, 1, bias=False)
            self.after = nn.Linear(1, 1, bias=False)
            for layer in (self.before, self.after):
                nn.init.ones_(layer.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.after(torch.relu(self.before(x)))
            return result

    return Fused()
