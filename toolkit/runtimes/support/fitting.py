"""Brings the arrays that a library gives to the types and shapes of the model's outputs.

Some libraries know neither int64 nor bool, and drop or add dimensions of size 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes.base import Program
from toolkit.tensors import Array, Dim, Feed, TensorSpec, dtype_of


def outputs(program: Program, feed: Feed, arrays: Sequence[Array]) -> dict[str, Array]:
    """The program's outputs by name, of the types and, where they are known, of the shapes.

    `arrays` stand in the order of the program's outputs. Raises TargetError for another number of
    them or another kind of type, and ShapeRefused for a shape that the model does not give for this
    feed.
    """
    if len(arrays) != len(program.outputs):
        raise TargetError(f"it gives {len(arrays)} outputs, the model {len(program.outputs)}")
    sizes = {
        dim: size
        for spec in program.inputs
        for dim, size in zip(spec.shape or (), feed[spec.name].shape, strict=spec.shape is not None)
        if isinstance(dim, str)
    }
    return {
        spec.name: _shaped(_typed(array, spec), spec, sizes)
        for spec, array in zip(program.outputs, arrays, strict=True)
    }


def _typed(array: Array, spec: TensorSpec) -> Array:
    """The array in the output's type. Floats are rounded to a narrower type and never widened, as
    that would claim a precision; integers change their type where no value changes."""
    own, declared = array.dtype, dtype_of(spec.type)
    if own == declared:
        return array
    narrower = own.kind == declared.kind == "f" and declared.itemsize < own.itemsize
    whole = own.kind in "iub" and declared.kind in "iub"
    if narrower or (whole and (array.astype(declared) == array).all()):
        return array.astype(declared)
    raise TargetError(f"it gives {spec.name!r} as {array.dtype.name}, the model as {spec.type}")


def _shaped(array: Array, spec: TensorSpec, sizes: dict[str, int]) -> Array:
    """The array in the output's shape, as far as `sizes` (dimension → size in the feed) tell it."""
    if spec.shape is None:
        return array
    expected = tuple(_size(dim, sizes) for dim in spec.shape)
    if len(expected) == array.ndim and all(
        size in (None, own) for size, own in zip(expected, array.shape, strict=True)
    ):
        return array
    known = tuple(size for size in expected if size is not None)
    if len(known) == len(expected) and _without_ones(known) == _without_ones(array.shape):
        return array.reshape(known)
    text = ", ".join("?" if size is None else str(size) for size in expected)
    raise ShapeRefused(f"it gives {spec.name!r} the shape {array.shape}, the model ({text})")


def _size(dim: Dim, sizes: dict[str, int]) -> int | None:
    return dim if isinstance(dim, int) else sizes.get(dim or "")


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
