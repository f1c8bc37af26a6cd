"""Makes a module's state an input and an output: what forward keeps in buffers from call to call
comes in and goes out, since a file has no memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from toolkit.sources import calls, nested

if TYPE_CHECKING:
    import torch
    from torch import nn


def handed_over(module: nn.Module, inputs: Sequence[str], state: Sequence[str]) -> nn.Module:
    """Puts a module behind a forward that takes the named buffers after the inputs, and returns
    them after the outputs, as they are at the end of the call."""
    return _class()(module, inputs, state).eval()


def is_handed_over(module: nn.Module) -> bool:
    """Says whether a module is one that `handed_over` made."""
    return type(module) is _class()


@cache
def _class() -> type[nn.Module]:
    """The class of such modules; PyTorch is imported when the first is made."""
    from torch import nn

    class HandedOver(nn.Module):
        """Calls the user's module with the buffers that it is given."""

        def __init__(self, module: nn.Module, inputs: Sequence[str], state: Sequence[str]) -> None:
            super().__init__()
            self.module = module
            self.state = tuple(state)
            self.input_names = (*inputs, *state)

        def forward(self, *tensors: torch.Tensor) -> dict[str, torch.Tensor]:
            given = dict(zip(self.input_names, tensors, strict=True))
            handed = {name: given.pop(name) for name in self.state}
            holders = {name: self._holder(name) for name in self.state}
            own = {name: buffers[key] for name, (buffers, key) in holders.items()}
            try:
                for name, (buffers, key) in holders.items():
                    buffers[key] = handed[name].clone()  # A caller's tensor is not written to.
                arguments = nested.arguments(self.module, given)
                result = nested.inner(self.module)(*arguments.args, **arguments.kwargs)
                after = {name: buffers[key] for name, (buffers, key) in holders.items()}
            finally:
                for name, (buffers, key) in holders.items():
                    buffers[key] = own[name]
            return {**calls.outputs(result), **after}

        def _holder(self, name: str) -> tuple[dict[str, Any], str]:
            """The dictionary of buffers that has one of them, and its key there."""
            path, _, key = name.rpartition(".")
            return nested.inner(self.module).get_submodule(path)._buffers, key

    return HandedOver
