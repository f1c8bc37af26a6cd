"""Gives large arrays to torch's kernels, and leaves all others to the evaluator's operators.

1. An array is large from `kernels.FEW` elements on; one large input is enough.
2. The floats among the inputs are all float32 or all float64. Others, such as indices and
   conditions, are int64 or bool. Any other type is the evaluator's.
3. The operator may decline: what the kernel does not know is the evaluator's, too.
4. No kernel writes into an input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators import kernels
from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch

Compute: TypeAlias = "Callable[..., torch.Tensor | tuple[torch.Tensor, ...] | None]"
"""Takes an operator's inputs as tensors (None for one that is left out) and its attributes by their
names; gives its output or outputs, or None where it declines."""

FLOATS = {"float32", "float64"}
OTHERS = {"bool", "int64"}


def large(kernels_of: Mapping[type[OpRun], Compute]) -> tuple[type[OpRun], ...]:
    """Derives the operators of a table: the one for small arrays → what computes large ones."""
    return tuple(_derived(base, compute) for base, compute in kernels_of.items())


def _derived(base: type[OpRun], compute: Compute) -> type[OpRun]:
    """Derives an operator that computes large arrays by `compute`, and all others as `base` does.

    It has the name of `base` without an underscore before it or a version behind it, by which the
    evaluator takes it for all versions of the operator.
    """

    def run(self: Any, *inputs: Array | None, **given: Any) -> tuple[Array, ...]:
        outputs = _by_torch(self, compute, inputs, given) if _suit(inputs) else None
        if outputs is None:
            whole: tuple[Array, ...] = base._run(self, *inputs, **given)  # type: ignore[no-untyped-call]
            return whole
        return outputs

    name = base.__name__.strip("_").partition("_")[0]
    members = {"_run": run, "__doc__": compute.__doc__, "__module__": compute.__module__}
    return type(name, (base,), members)


def _suit(inputs: Sequence[Array | None]) -> bool:
    """Says whether inputs keep the rules 1 and 2."""
    arrays = [each for each in inputs if each is not None]
    if not all(isinstance(each, np.ndarray) for each in arrays):
        return False
    names = {each.dtype.name for each in arrays}
    is_large = any(each.size >= kernels.FEW for each in arrays)
    return is_large and len(names & FLOATS) == 1 and names <= FLOATS | OTHERS


def _by_torch(
    node: Any, compute: Compute, inputs: Sequence[Array | None], given: dict[str, Any]
) -> tuple[Array, ...] | None:
    # The evaluator's unary operators are called without their attributes, and look them up.
    attributes = {name: getattr(node, name) for name in node.attributes_names_} | given
    tensors = [None if each is None else kernels.tensor(each) for each in inputs]
    is_much = any(each.size >= kernels.MANY for each in inputs if each is not None)
    with kernels.threads(all_of_them=is_much):
        results = compute(*tensors, **attributes)
    if results is None:
        return None
    return tuple(kernels.array(each) for each in _several(results))


def _several(results: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return results if isinstance(results, tuple) else (results,)
