"""The two models that special values of Relu are judged by, as PyTorch modules.

A runtime may compute a Relu of its own and one that it fused into a layer by different code.
"""

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
"""Form, as the report calls it → its source."""


def alone() -> nn.Module:
    """One Relu, of any shape."""
    import torch
    from torch import nn

    class Alone(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x)

    return Alone()


def fused() -> nn.Module:
    """A Relu between two layers of weight 1, which change nothing; x is (rows, 1)."""
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
