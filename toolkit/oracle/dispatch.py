"""Raises what passes through PyTorch's dispatcher to float64. It imports torch: import it late."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakIdKeyDictionary

RAISED = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
}
"""Type → the one that takes its place, of tensors and of `dtype` arguments."""

READS_BITS = {torch.ops.aten.view.dtype}
"""Operations whose result is another number for the bits of a float64."""


class RaiseFloats(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is active, every operation takes and makes float64 where it asks for less."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # A float32 tensor from outside (an attribute that is no buffer) has one raised twin, so
        # that what is written into it is read again.
        self.twins: Any = WeakIdKeyDictionary()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Where it should, torch imports its compiler with the first operation.
        return "torch._dynamo" in sys.modules

    def _raise(self, value: Any) -> Any:
        if isinstance(value, torch.dtype):
            return RAISED.get(value, value)
        if not isinstance(value, torch.Tensor) or value.dtype not in RAISED:
            return value
        if value not in self.twins:
            self.twins[value] = value.detach().to(RAISED[value.dtype])
        return self.twins[value]

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in READS_BITS:
            raise TypeError("it reads the bits of a float as another type")
        given = tree_map(self._raise, (args, dict(kwargs or {})))
        return tree_map(self._raise, func(*given[0], **given[1]))
