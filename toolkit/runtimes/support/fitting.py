"""What a library gives, brought to the ONNX type and shape of an output, or refused.

Some know neither int64 nor bool, and drop or add dimensions of size 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes.base import Program
from toolkit.tensors import Array, Dim, Feed, TensorSpec, dtype_of


def outputs(program: Program, feed: Feed, arrays: Sequence[Array]) -> dict[str, Array]:
    """The program's outputs by name, of the types and, where they are known, of the shapes.

    Raises TargetError for another number or kind, ShapeRefused for a shape that the model does not
    give for this feed.
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
    """Floats are rounded to a narrower type, never widened: that would claim a precision."""
    wanted = dtype_of(spec.type)
    if array.dtype == wanted:
        return array
    same = array.dtype.kind in "f" and wanted.kind == "f" and wanted.itemsize < array.dtype.itemsize
    whole = array.dtype.kind in "iub" and wanted.kind in "iub"
    if same or (whole and (array.astype(wanted) == array).all()):
        return array.astype(wanted)
    raise TargetError(f"it gives {spec.name!r} as {array.dtype.name}, the model as {spec.type}")


def _shaped(array: Array, spec: TensorSpec, sizes: dict[str, int]) -> Array:
    if spec.shape is None:
        return array
    wanted = tuple(_size(dim, sizes) for dim in spec.shape)
    if len(wanted) == array.ndim and all(
        size in (None, found) for size, found in zip(wanted, array.shape, strict=True)
    ):
        return array
    known = tuple(size for size in wanted if size is not None)
    if len(known) == len(wanted) and _larger(known) == _larger(array.shape):
        return array.reshape(known)
    said = ", ".join("?" if size is None else str(size) for size in wanted)
    raise ShapeRefused(f"it gives {spec.name!r} the shape {array.shape}, the model ({said})")


def _size(dim: Dim, sizes: dict[str, int]) -> int | None:
    return dim if isinstance(dim, int) else sizes.get(dim or "")


def _larger(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
