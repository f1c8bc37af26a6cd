"""Functions of sizes: of the plain numbers beside tensors that torch keeps in a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, op


def sqrt(x: Value) -> Value:
    """√x."""
    return op.Sqrt(x)


def whole(x: Value, digits: int | None = None) -> Value:
    """The nearest whole number, the even one of two, as Python's round gives it."""
    if digits is not None:
        raise NotImplementedError("round(…) of a size to digits has no ONNX form")
    return op.Cast(op.Round(x), to=ir.DataType.INT64)


def forms() -> dict[str, tuple[Any, Callable[..., Any]]]:
    """The name of a function → torch's own for sizes, and its form."""
    import torch

    return {
        "math.sqrt": (torch.sym_sqrt, sqrt),
        "round": (round, whole),
    }
