"""ONNX forms of aten operators for which torch's exporter has none, or a wrong one.

Each is a function that adds plain ONNX operators, of opset 18, to the graph that torch is making.
Its arguments are those of the aten operator: tensors are values of the graph, the rest is Python's.

T1  It holds at dynamic sizes.
T2  It gives what PyTorch gives for NaN and ties, where PyTorch says what that is.
T3  It is named once, in families.py; docs/translations.md says how it is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, MutableSet
from typing import Any, TypeAlias

Translation: TypeAlias = Callable[..., Any]


def table(used: MutableSet[str] | None = None) -> Mapping[Any, Translation]:
    """OpOverload → its translation, as torch.onnx.export takes it.

    The names of those that torch calls are added to `used`: 'aten.kthvalue'.
    """
    import torch

    from toolkit.exporter.translations import families

    noted: MutableSet[str] = set() if used is None else used
    overloads = {name: _overload(torch.ops.aten, name) for name in families.ALL}
    return {
        overload: _noting(f"aten.{name.partition('.')[0]}", families.ALL[name], noted)
        for name, overload in overloads.items()
        if overload is not None
    }


def _overload(namespace: Any, name: str) -> Any:
    """'median.dim' → the OpOverload; None where this torch has none of that name."""
    packet, _, overload = name.partition(".")
    return getattr(getattr(namespace, packet, None), overload or "default", None)


def _noting(name: str, translation: Translation, used: MutableSet[str]) -> Translation:
    @functools.wraps(translation)
    def noting(*args: Any, **kwargs: Any) -> Any:
        used.add(name)
        return translation(*args, **kwargs)

    return noting
