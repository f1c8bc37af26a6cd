"""Makes a PyTorch module compute in float64 whatever it asks for.

`module.double()` is not enough: a `.float()` or a `torch.zeros(…)` in a user's forward leaves
float64 or raises. Under the mode below every operation that PyTorch dispatches takes and makes
float64.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def float64() -> Iterator[None]:
    """Makes all floats of torch's operations float64, complex numbers complex128, while it lasts.

    Whoever reads the bits of a float (`view` as another type) gets a TypeError. The default type is
    float64 meanwhile, since `torch.zeros(3)` and the quotient of two integers take it before
    anything is dispatched.
    """
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _mode():
            yield
    finally:
        torch.set_default_dtype(before)


def _mode() -> TorchDispatchMode:
    """Makes the dispatch mode; torch is imported here, not with this module."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map
    from torch.utils.weak import WeakIdKeyDictionary

    up = {
        torch.float32: torch.float64,
        torch.float16: torch.float64,
        torch.bfloat16: torch.float64,
        torch.complex64: torch.complex128,
    }
    # These give another number for the bits of a float64.
    bits = {torch.ops.aten.view.dtype}

    class Raise(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            # A float32 tensor from outside (an attribute that is no buffer) has one raised twin, so
            # that what is written into it is read again.
            self.twins: Any = WeakIdKeyDictionary()

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            # Where it should, torch imports its compiler with the first operation.
            return "torch._dynamo" in sys.modules

        def raised(self, value: Any) -> Any:
            if isinstance(value, torch.dtype):
                return up.get(value, value)
            if not isinstance(value, torch.Tensor) or value.dtype not in up:
                return value
            if value not in self.twins:
                self.twins[value] = value.detach().to(up[value.dtype])
            return self.twins[value]

        def __torch_dispatch__(
            self,
            func: Callable[..., Any],
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            if func in bits:
                raise TypeError("it reads the bits of a float as another type")
            given = tree_map(self.raised, (args, dict(kwargs or {})))
            return tree_map(self.raised, func(*given[0], **given[1]))

    return Raise()
