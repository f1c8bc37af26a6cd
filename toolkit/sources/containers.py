"""Walks through what holds tensors: lists, dictionaries, dataclasses, objects such as caches."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias, cast

Key: TypeAlias = str | int


def parts(value: object) -> list[tuple[Key, object]] | None:
    """Lists what a container holds, each part with its key; None for what is no container.

    The keys of a dictionary, the fields of a named tuple or a dataclass and the attributes of any
    other object are its keys; a sequence has its indices.
    """
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return list(vars(value).items()) if _is_object(value) else None


def is_plain(value: object) -> bool:
    """Says whether PyTorch itself takes a container apart, whoever made its type, and tensors are
    all that is in it."""
    from torch.utils import _pytree

    inner = parts(value)
    if inner is None:
        return value is None or _is_tensor(value)
    known = isinstance(value, dict | tuple | list) or type(value) in (_pytree.SUPPORTED_NODES)
    return known and all(is_plain(part) for _, part in inner)


def rebuilt(value: object, replaced: Sequence[tuple[Key, object]]) -> object:
    """Gives a copy of a container with other parts in place of those of these keys."""
    new: dict[Key, Any] = dict(replaced)
    if isinstance(value, Mapping):
        held: Any = copy.copy(value) if hasattr(value, "__setitem__") else dict(value)
        for key in value:
            if str(key) in new:
                held[key] = new[str(key)]
        return cast(object, held)
    if isinstance(value, tuple | list):
        kind: Any = type(value)
        every = [new.get(key, part) for key, part in parts(value) or ()]
        return cast(object, kind(*every) if hasattr(value, "_fields") else kind(every))
    result = copy.copy(value)
    for key, part in replaced:
        # Past what a frozen dataclass refuses: nobody else has seen this copy.
        object.__setattr__(result, str(key), part)
    return result


def tensors(
    value: object, path: tuple[Key, ...] = (), above: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[Key, ...], object]]:
    """Yields each value that holds no others, None excepted, with the keys that lead to it.

    Of an object that is no dictionary, sequence or dataclass only tensors count: the rest is its
    own affair. The single attribute in which such an object holds them is no part of the way.
    `above` are the ids of the containers around.
    """
    if value is None:
        return
    held = parts(value)
    if held is None:
        yield path, value
        return
    inside = (*above, id(value))
    if _is_object(value):
        among = holding(value, above)
        for key, part in among:
            way = path if len(among) == 1 else (*path, key)
            for inner, leaf in tensors(part, way, inside):
                if _is_tensor(leaf):
                    yield inner, leaf
        return
    for key, part in held:
        if id(part) not in inside:
            yield from tensors(part, (*path, key), inside)


def holding(value: object, above: tuple[int, ...] = ()) -> list[tuple[Key, object]]:
    """Lists the parts of a container that hold a tensor, and do not lead back to it or to one that
    it lies in."""
    around = (*above, id(value))
    return [
        (key, part)
        for key, part in parts(value) or ()
        if id(part) not in around and holds_tensor(part, {*around})
    ]


def holds_tensor(value: object, seen: set[int] | None = None) -> bool:
    """Says whether a tensor lies anywhere in a value; `seen`: ids of what was looked into."""
    if _is_tensor(value):
        return True
    seen = set() if seen is None else seen
    held = None if id(value) in seen else parts(value)
    if held is None:
        return False
    seen.add(id(value))
    return any(holds_tensor(part, seen) for _, part in held)


def is_object(value: object) -> bool:
    """Says whether a value holds its parts in attributes, and is no dataclass."""
    return _is_object(value)


def _is_object(value: object) -> bool:
    import torch

    # What belongs to the code and not to a call: a module has its tensors for itself. A size that
    # torch traces leads to all that it was computed from.
    sizes = (torch.SymInt, torch.SymFloat, torch.SymBool)
    other = (torch.Tensor, *sizes, torch.nn.Module, type, ModuleType, FunctionType, MethodType)
    container = isinstance(value, Mapping | tuple | list) or dataclasses.is_dataclass(value)
    return not container and not isinstance(value, other) and hasattr(value, "__dict__")


def _is_tensor(value: object) -> bool:
    import torch

    return isinstance(value, torch.Tensor)
