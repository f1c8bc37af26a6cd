"""ONNX forms of aten operators for which torch's exporter has none, or a wrong one.

Each is a function that adds plain ONNX operators, of opset 18, to the graph that torch is making.
Its arguments are those of the aten operator: tensors are values of the graph, the rest is Python's.

T1  It holds at dynamic sizes.
T2  It gives what PyTorch gives for NaN and ties, where PyTorch says what that is.
T3  It is named once, in families.py; docs/translations.md says how it is written.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, MutableSet
from typing import Any, TypeAlias

Translation: TypeAlias = Callable[..., Any]


def table(used: MutableSet[str] | None = None) -> Mapping[Any, Translation]:
    """OpOverload, or function of sizes → its translation, as torch.onnx.export takes it.

    The names of those that torch calls are added to `used`: 'aten.kthvalue'.
    """
    from toolkit.exporter import recurrent
    from toolkit.exporter.translations import families, sizes

    noted: MutableSet[str] = set() if used is None else used
    recurrent.known()
    layers = {_overload(f"toolkit.{name}"): _layer(noted) for name in recurrent.SCHEMAS}
    own = {f"aten.{name}": form for name, form in families.ALL.items()} | families.BEYOND
    forms = {
        _overload(name): _noting(".".join(name.split(".")[:2]), form, noted)
        for name, form in own.items()
    }
    plain = {target: _noting(name, form, noted) for name, (target, form) in sizes.forms().items()}
    plain[operator.floordiv] = _quotient(noted)
    every = layers | forms | plain
    return {overload: form for overload, form in every.items() if overload is not None}


def _overload(name: str) -> Any:
    """'aten.median.dim' → the OpOverload; None where this torch has none of that name."""
    import torch

    namespace, packet, overload = (*name.split("."), "default")[:3]
    return getattr(getattr(getattr(torch.ops, namespace), packet, None), overload, None)


def _layer(noted: MutableSet[str]) -> Translation:
    """The form of a recurrent layer, which is noted as the operator that the user called."""
    from toolkit.exporter.translations import recurrent

    def layer(x: Any, lengths: Any, states: Any, weights: Any, kind: str, *other: Any) -> Any:
        noted.add(f"aten.{recurrent.NAMES[kind]}")
        return recurrent.layer(x, lengths, states, weights, kind, *other)

    return layer


def _quotient(noted: MutableSet[str]) -> Translation:
    """The form of `//` of sizes: torch's own where neither is negative."""
    from toolkit.exporter.translations import nodes, sizes

    def quotient(x: Any, y: Any) -> Any:
        if not sizes.may_be_negative(x) and not sizes.may_be_negative(y):
            return nodes.op.Div(x, y)
        noted.add("floordiv")
        return sizes.floor_quotient(x, y)

    return quotient


def _noting(name: str, translation: Translation, used: MutableSet[str]) -> Translation:
    @functools.wraps(translation)
    def noting(*args: Any, **kwargs: Any) -> Any:
        used.add(name)
        return translation(*args, **kwargs)

    return noting
