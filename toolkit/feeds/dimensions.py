"""The dynamic dimensions of a model's inputs: their names, and the sizes and shapes they stand for.

A dynamic dimension without a name is called by its place, 'input.0', and can be given so. A
dimension may be arithmetic on others ('2*seq + 1'), as torch.export writes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from toolkit.errors import InputError, unknown
from toolkit.feeds import arithmetic
from toolkit.tensors import Dim, TensorSpec


def named(inputs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The inputs with a name for each dynamic dimension that has none: its place, 'input.0'."""
    return tuple(
        spec
        if spec.shape is None
        else TensorSpec(
            spec.name,
            spec.type,
            tuple(f"{spec.name}.{i}" if d is None else d for i, d in enumerate(spec.shape)),
        )
        for spec in inputs
    )


def free(inputs: Iterable[TensorSpec]) -> tuple[str, ...]:
    """The dynamic dimensions that have to be chosen, in order; of arithmetic, the names in it."""
    names = [
        name
        for spec in named(inputs)
        for dim in spec.shape or ()
        if isinstance(dim, str)
        for name in _names(dim)
    ]
    return tuple(dict.fromkeys(names))


def shape(spec: TensorSpec, dims: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of an input at these sizes. Raises InputError where the rank is unknown."""
    if spec.shape is None:
        raise InputError(
            f"the rank of the input {spec.name!r} is unknown",
            f"--shape {spec.name}=1x3x224x224   states it",
            "--inputs feeds.npz   gives whole inputs",
        )
    return tuple(value(dim, dims) for dim in named([spec])[0].shape or ())


def value(dim: Dim, dims: Mapping[str, int]) -> int:
    """The size of one dimension. Raises InputError where `dims` does not give it.

    >>> value("2*seq + 1", {"seq": 3}), value(64, {})
    (7, 64)
    """
    if isinstance(dim, int):
        return dim
    if dim is None:
        raise InputError("a dynamic dimension without a name has no size of its own")
    if dim in dims:
        return dims[dim]
    expression = arithmetic.dimension(dim)
    names = (dim,) if expression is None else expression.names
    if missing := [name for name in names if name not in dims]:
        what = f"the dynamic dimension {missing[0]!r} has no size"
        raise InputError(what, f"--dim {missing[0]}=8")
    try:
        return dims[dim] if expression is None else math.floor(expression.value(dims))
    except ZeroDivisionError as error:
        raise InputError(f"the dimension {dim!r} divides by 0") from error


def dims_of(inputs: Iterable[TensorSpec], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The sizes of the dynamic dimensions that whole shapes state.

    Raises InputError for a rank, a fixed size or two sizes of one name that do not agree.
    """
    sizes: dict[str, int] = {}
    for spec in named(inputs):
        if spec.name not in shapes or spec.shape is None:
            continue
        given = shapes[spec.name]
        if len(given) != len(spec.shape):
            raise InputError(
                f"the input {spec.name!r} has {len(spec.shape)} dimensions, {_x(given)}"
                f" has {len(given)}"
            )
        for dim, size in zip(spec.shape, given, strict=True):
            expected = sizes.setdefault(dim, size) if isinstance(dim, str) else dim
            if expected != size:
                wanted = f"{expected} is wanted" if isinstance(dim, int) else f"{dim} is {expected}"
                raise InputError(
                    f"the input {spec.name!r} of shape {_x(given)} has {size} where {wanted}"
                )
    return {name: size for name, size in sizes.items() if arithmetic.dimension(name) is None}


def check_names(inputs: Iterable[TensorSpec], given: Iterable[str]) -> None:
    """Raises InputError for a dimension that the model does not have, with a suggestion."""
    known = free(inputs)
    for name in given:
        if name not in known:
            what = unknown("dynamic dimension", name, known)
            raise InputError(what if known else "this model has no dynamic dimensions")


def _names(dim: str) -> tuple[str, ...]:
    expression = arithmetic.dimension(dim)
    # Arithmetic on numbers alone ('7') has no names: it counts as a name itself.
    return (expression.names if expression else ()) or (dim,)


def _x(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) or "(no dimensions)"
