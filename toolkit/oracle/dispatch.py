"""Raises what passes through PyTorch's dispatcher to float64. It imports torch: import it late.

A module's own tensors are borrowed: a `Borrowed` stands in the place of each, says that it is a
float64, and is raised where an operator uses it, for as long as that operator lasts. So the weights
are never there in double all at once, and never change, whatever a forward writes.

B1  A view of what is borrowed is borrowed: raised when it is used, it gives the same numbers.
B2  What is written into gets a twin in float64 while the mode lasts, one for each storage: all
    views of it, read later, show what was written.
B3  A tensor from elsewhere in a lower type (an attribute that is no buffer) is treated likewise.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from toolkit.oracle import steps

RAISED = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
}
"""Type → the one that takes its place, of tensors and of `dtype` arguments."""

READS_BITS = {torch.ops.aten.view.dtype}
"""Operations whose result is another number for the bits of a float64."""

READS_FEW = {
    torch.ops.aten.embedding.default,
    torch.ops.aten.gather.default,
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_select.default,
}
"""Operations that copy a few numbers of their first argument: raised after them, a table of words
is not raised as a whole."""


STEPS = {torch.ops.aten.floor.default, torch.ops.aten.ceil.default}
"""Operations that take a step (steps.py), besides a conversion to an integer."""


def _takes_step(func: Any, named: Mapping[str, Any]) -> bool:
    if func is not torch.ops.aten._to_copy.default:
        return func in STEPS
    to = named.get("dtype")
    return to is not None and not (to.is_floating_point or to.is_complex or to == torch.bool)


class Borrowed(torch.Tensor):
    """Stands for a tensor of the module: of its shape, and of the type to which it is raised."""

    low: torch.Tensor
    """The module's tensor itself, or a view of it."""

    # Else every call of torch's Python functions would take a detour.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, low: torch.Tensor) -> Borrowed:
        borrowed: Borrowed = torch.Tensor._make_wrapper_subclass(
            cls,
            low.shape,
            strides=low.stride(),
            storage_offset=low.storage_offset(),
            dtype=RAISED.get(low.dtype, low.dtype),
            device=low.device,
        )
        borrowed.low = low
        return borrowed

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        # There is no operator on it but those that RaiseFloats sees.
        return NotImplemented


class RaiseFloats(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is active, every operation takes and makes float64 where it asks for less."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Storage → its twin, flat, and the storage itself, whose number is free once it is gone.
        self._twins: dict[int, tuple[torch.Tensor, torch.UntypedStorage]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Where it should, torch imports its compiler with the first operation.
        return "torch._dynamo" in sys.modules

    @property
    def written(self) -> list[int]:
        """The storages that were written into, by torch's own numbers for them."""
        return list(self._twins)

    def value(self, tensor: torch.Tensor) -> torch.Tensor:
        """The numbers of a tensor as they are now, in float64 where it is a lower float.

        To be asked where the mode is not active.
        """
        low = _low(tensor)
        if low is None:
            return tensor
        twin, _ = self._twins.get(low.untyped_storage()._cdata, (None, None))
        if twin is None:
            return raised(low)
        # Complex numbers may be seen as pairs of floats: the offsets are those of their type.
        flat = twin.view(RAISED.get(low.dtype, low.dtype))
        return flat.as_strided(low.shape, low.stride(), low.storage_offset())

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in READS_BITS:
            raise TypeError("it reads the bits of a float as another type")
        named = dict(kwargs or {})
        low = _low(args[0]) if args else None
        if low is not None and torch.Tag.inplace_view in func.tags:
            raise TypeError("it gives a tensor of the module another shape in place")
        if low is not None and func.is_view:  # B1, B3
            return tree_map(_borrowed, func(low, *args[1:], **named))
        for argument in _written(func, args, named):
            self._write(argument)
        if low is not None and func in READS_FEW and not self._is_written(low):
            rest = tree_map(self._raise, (args[1:], named))
            return tree_map(self._raise, func(low, *rest[0], **rest[1]))
        given = tree_map(self._raise, (args, named))
        if _takes_step(func, named):
            given = ((steps.tensor_onto(given[0][0]), *given[0][1:]), given[1])
        return tree_map(self._raise, func(*given[0], **given[1]))

    def _raise(self, value: Any) -> Any:
        if isinstance(value, torch.dtype):
            return RAISED.get(value, value)
        return self.value(value) if isinstance(value, torch.Tensor) else value

    def _write(self, argument: Any) -> None:
        """Gives the storage of an argument its twin (B2), unless it needs none or has one."""
        low = _low(argument)
        if low is None or self._is_written(low):
            return
        storage = low.untyped_storage()
        flat = torch.empty(0, dtype=low.dtype, device=low.device).set_(storage)
        self._twins[storage._cdata] = (raised(flat, copy=True), storage)

    def _is_written(self, low: torch.Tensor) -> bool:
        return low.untyped_storage()._cdata in self._twins


def _low(value: Any) -> torch.Tensor | None:
    """The tensor of the module behind one that is borrowed; a lower float itself; else None."""
    if isinstance(value, Borrowed):
        return value.low
    return value if isinstance(value, torch.Tensor) and value.dtype in RAISED else None


def _borrowed(value: Any) -> Any:
    return Borrowed(value) if isinstance(value, torch.Tensor) else value


def raised(low: torch.Tensor, *, copy: bool = False) -> torch.Tensor:
    """The tensor in the type to which it is raised; a copy where that is another one, or asked for.

    What was expanded is raised before: each number once.
    """
    once = tuple(slice(0, 1 if step == 0 else None) for step in low.stride())
    dtype = RAISED.get(low.dtype, low.dtype)
    return low.detach()[once].to(dtype, copy=copy).expand(low.shape)


def _written(func: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Iterator[Any]:
    """The arguments that an operator writes into."""
    if not func._schema.is_mutable:
        return
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield args[index] if index < len(args) else named.get(argument.name)
