"""What all operators of the domain com.microsoft share.

The source of each is ONNX Runtime 1.32: its documentation of contributed operators, which the
library itself carries, and what its CPU kernels compute; tests/oracle/test_microsoft_*.py hold ours
against those kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch

Outputs: TypeAlias = tuple[Array, ...]
NARROW = {"float16", "bfloat16"}
"""numpy types in which no sum is made: the kernels raise them to float32 too."""


class Fused(OpRun):
    """An operator of com.microsoft, which has no schema in the onnx package.

    A child computes in `compute`, whose keyword arguments are the attributes with their defaults,
    in the type of its inputs.
    """

    op_domain = "com.microsoft"
    op_schema = None

    def _run(self, *inputs: Any, **attributes: Any) -> Outputs:
        narrow = [each.dtype for each in inputs if _is_narrow(each)]
        outputs = self.compute(
            *(each.astype(np.float32) if _is_narrow(each) else each for each in inputs),
            **attributes,
        )
        if not narrow:
            return outputs
        return tuple(
            each.astype(narrow[0]) if each.dtype == np.float32 else each for each in outputs
        )

    def compute(self, *inputs: Any, **attributes: Any) -> Outputs:
        """Computes the outputs; an optional one that the node does not ask for may be left out."""
        raise NotImplementedError(f"{type(self).__name__} has no kernel")

    def asks_for(self, output: int) -> bool:
        """Says whether the node names an output."""
        names = self.onnx_node.output
        return len(names) > output and bool(names[output])


def tensor(array: Array) -> torch.Tensor:
    """Shares an array with PyTorch; one that is read-only is copied, since PyTorch knows no such
    tensors and warns."""
    import torch

    return torch.from_numpy(array if array.flags.writeable else array.copy())


def refuse_unless(holds: bool, what: str) -> None:
    """Raises NotImplementedError for what ONNX Runtime's documentation leaves open."""
    if not holds:
        raise NotImplementedError(what)


def _is_narrow(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.name in NARROW
