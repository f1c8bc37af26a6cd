"""A call leaves a module as it was: its attributes, and the hooks that it registered."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.exporter import models
from toolkit.sources import attributes


class Collecting(nn.Module):
    """Registers a hook when it is called first, and says so, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)
        self.collected: list[Tensor] = []
        self.is_hooked = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_hooked:
            self.inner.register_forward_hook(self.collect)
            self.is_hooked = True
        self.collected = []
        self.inner(x)
        return torch.cat(self.collected, -1)

    def collect(self, module: nn.Module, given: Any, output: Tensor) -> None:
        self.collected.append(output)


def test_hooks_that_a_call_registers_go_with_its_attributes() -> None:
    module = Collecting()

    for _ in range(2):
        with attributes.kept(module):
            assert module(torch.ones(2, 4)).shape == (2, 3)

    assert not module.is_hooked
    assert not module.inner._forward_hooks


def test_a_hook_from_before_stays_and_its_handle_removes_it() -> None:
    module = Collecting()
    handle = module.inner.register_forward_hook(module.collect)

    with attributes.kept(module):
        handle.remove()

    assert len(module.inner._forward_hooks) == 1
    handle.remove()
    assert not module.inner._forward_hooks


@pytest.mark.export
def test_a_module_that_registers_hooks_when_it_is_called_is_exported() -> None:
    converted = models.converted(Collecting(), "x:float32[batch,4]")

    (output,) = converted.model.graph.outputs
    assert str(output.shape) == "[batch,3]"
