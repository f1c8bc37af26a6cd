"""Makes a PyTorch module compute in float64 whatever it asks for.

`module.double()` is not enough: a `.float()` or a `torch.zeros(…)` in a user's forward leaves
float64 or raises, and the weights in double are twice as large again. Under the mode of dispatch.py
every operation that PyTorch dispatches takes and makes float64.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from toolkit.oracle.dispatch import RaiseFloats


def borrowing(module: nn.Module) -> nn.Module:
    """A copy of a module, in eval mode, that borrows all its tensors: it runs within `float64`, and
    whatever its forward writes, the module is as before."""
    from toolkit.oracle.dispatch import Borrowed

    tensors = (*module.parameters(), *module.buffers(), *_computed(module))
    # deepcopy takes what stands there for the copies that it has made already.
    borrowed = copy.deepcopy(module, {id(t): Borrowed(t.detach()) for t in tensors}).eval()
    _keep_epsilons(module, borrowed)
    return borrowed


def sharing(module: nn.Module, written: Collection[int] = ()) -> nn.Module:
    """A copy of a module, in eval mode, that shares its parameters, but for those in the storages
    `written`, and has buffers of its own: these are what a forward writes into."""
    shared: dict[int, torch.Tensor] = {
        id(parameter): parameter
        for parameter in module.parameters()
        if parameter.untyped_storage()._cdata not in written
    }
    shared |= {id(tensor): tensor.detach().clone() for tensor in _computed(module)}
    return copy.deepcopy(module, shared).eval()


def _keep_epsilons(module: nn.Module, borrowed: nn.Module) -> None:
    """Writes down the ε of each RMSNorm that states none: PyTorch takes that of the type in which
    it computes, so that in float64 small numbers would come out otherwise."""
    import torch

    for own, other in zip(module.modules(), borrowed.modules(), strict=True):
        if isinstance(other, torch.nn.RMSNorm) and other.eps is None:
            weight = getattr(own, "weight", None)
            dtype = torch.get_default_dtype() if weight is None else weight.dtype
            wide = torch.float64 if dtype == torch.float64 else torch.float32
            other.eps = torch.finfo(wide).eps


def _computed(module: nn.Module) -> list[torch.Tensor]:
    """Tensors among a module's attributes that were computed from its weights, which deepcopy
    refuses: `nn.utils.weight_norm` keeps the weight of its last call so."""
    names = ("_parameters", "_buffers", "_modules")
    held = [
        value
        for part in module.modules()
        for name, value in vars(part).items()
        if name not in names
    ]
    return [tensor for tensor in _tensors(held) if not tensor.is_leaf]


def _tensors(value: object) -> Iterator[torch.Tensor]:
    """The tensors in lists, tuples and dictionaries."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def tensor(low: torch.Tensor) -> torch.Tensor:
    """A tensor in float64 where it is a lower float, in complex128 where it is complex; else
    itself."""
    from toolkit.oracle import dispatch

    return dispatch.raised(low)


@contextmanager
def float64() -> Iterator[RaiseFloats]:
    """Makes all floats of torch's operations float64, complex numbers complex128, while it lasts.

    Whoever reads the bits of a float (`view` as another type) gets a TypeError. The default type is
    float64 meanwhile, since `torch.zeros(3)` and the quotient of two integers take it before
    anything is dispatched.
    """
    import torch

    from toolkit.oracle.dispatch import RaiseFloats

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with RaiseFloats() as mode:
            yield mode
    finally:
        torch.set_default_dtype(before)
