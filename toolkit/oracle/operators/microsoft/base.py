"""What all operators of the domain com.microsoft share.

The source of each is ONNX Runtime 1.32: its documentation of contributed operators, which the
library itself carries, and what its CPU kernels compute; tests/oracle/test_microsoft_*.py hold ours
against those kernels.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators import kernels
from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class Fused(OpRun):
    """An operator of com.microsoft, which has no schema in the onnx package.

    A child computes in `compute`, whose keyword arguments are the attributes with their defaults,
    in the type of its inputs; float16 and bfloat16 come to it as float32.
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


FEW = 1 << 20
"""Multiplications up to which numpy multiplies. torch gives even such to several threads, and where
other processes hold their cores the threads wait for each other longer than they compute: 5,040
nodes of 16 tokens and a width of 32 took 0.6 s by numpy and 5 to 22 s by torch, on two busy cores.
"""


def product(a: Array, b: Array) -> Array:
    """Multiplies floats as numpy.matmul does; large ones on torch's kernels."""
    import torch

    if a.size * b.shape[-1] <= FEW:
        return np.asarray(np.matmul(a, b))
    return kernels.array(torch.matmul(kernels.tensor(a), kernels.tensor(b)))


def refuse_unless(holds: bool, what: str) -> None:
    """Raises NotImplementedError for what ONNX Runtime's documentation leaves open."""
    if not holds:
        raise NotImplementedError(what)


def _is_narrow(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.name in kernels.NARROW
