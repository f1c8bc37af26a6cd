"""Forms of operators on complex numbers, of which torch's exporter has those of real ones alone.

A complex tensor is a real one with a last dimension of 2 there. custom_translation_table takes no
form for complex numbers, so that these stand in onnxscript's own list while torch exports.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, MutableSet, Sequence
from types import SimpleNamespace
from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    Size,
    Value,
    axes,
    index,
    number,
    numbered,
    op,
    rank,
    size,
)


def exp(x: Value) -> Value:
    real, imaginary = _parts(x)
    length = op.Exp(real)
    return _whole(op.Mul(length, op.Cos(imaginary)), op.Mul(length, op.Sin(imaginary)))


def unsqueeze(x: Value, dim: int) -> Value:
    return op.Unsqueeze(x, axes(dim if dim >= 0 else dim + rank(x)))


def select(x: Value, dim: int, index: Size) -> Value:
    place = number(index, ir.DataType.INT64) if isinstance(index, int) else index
    return op.Gather(x, place, axis=_axis(x, dim))


def index_select(x: Value, dim: int, index: Value) -> Value:
    return op.Gather(x, index, axis=_axis(x, dim))


def index_tensor(x: Value, indices: Sequence[Value | None]) -> Value:
    """Slices at the integers of one index."""
    given = [(axis, each) for axis, each in enumerate(indices) if each is not None]
    axis, places = given[0]
    if len(given) > 1 or places.dtype == ir.DataType.BOOL:
        raise NotImplementedError("complex numbers at a mask, or at several indices")
    return op.Gather(x, places, axis=axis)


def expand(x: Value, sizes: Sequence[Size], *, implicit: bool = False) -> Value:
    kept = [axes(1) if isinstance(each, int) and each == -1 else index(each) for each in sizes]
    return op.Expand(x, op.Concat(*kept, axes(1), axis=0))


def repeat(x: Value, repeats: Sequence[Size]) -> Value:
    new = len(repeats) - (rank(x) - 1)
    whole = op.Unsqueeze(x, axes(*range(new))) if new else x
    return op.Tile(whole, op.Concat(*map(index, repeats), axes(1), axis=0))


def copy(x: Value, source: Value, *, non_blocking: bool = False) -> Value:
    return op.Expand(source, op.Shape(x))


def slice_scatter(
    x: Value,
    source: Value,
    dim: int = 0,
    start: Size | None = None,
    end: Size | None = None,
    step: Size = 1,
) -> Value:
    """The tensor with a slice of an axis replaced: at each place by the source's or its own."""
    axis = _axis(x, dim)
    begin = axes(0) if start is None else index(start)
    stop = size(x, axis) if end is None else index(end)
    places = op.Slice(numbered(size(x, axis)), begin, stop, axes(0), index(step))
    order = [axis, *(each for each in range(rank(x)) if each != axis)]
    back = [order.index(each) for each in range(rank(x))]
    first, put = op.Transpose(x, perm=order), op.Transpose(source, perm=order)
    scattered = op.ScatterND(first, op.Unsqueeze(places, axes(1)), put)
    return op.Transpose(scattered, perm=back)


def fft_to_real(x: Value, dim: Sequence[int], normalization: int, last_dim_size: Size) -> Value:
    """The inverse transform of a half spectrum: of the whole one, whose other half is mirrored.

    onnxscript (0.7) asks DFT for both at once, which ONNX Runtime (1.32) refuses to run.
    """
    *others, last = (_axis(x, each) for each in dim)
    count = index(last_dim_size)
    half = op.Add(op.Div(count, axes(2)), axes(1))
    lacking = op.Max(op.Sub(half, size(x, last)), axes(0))
    nothing = op.Constant(value=ir.tensor([0] * rank(x), dtype=ir.DataType.INT64))
    behind = [lacking if axis == last else axes(0) for axis in range(rank(x))]
    padded = op.Pad(x, op.Concat(nothing, *behind, axis=0), number(0, x.dtype))
    for axis in others:
        padded = _inverse(padded, axis, normalization)
    place = numbered(count)
    mirrored = op.Sub(count, place)
    whole = op.Gather(padded, op.Min(place, mirrored), axis=last)
    real, imaginary = _parts(whole)
    sign = op.Where(op.Less(mirrored, place), number(-1, x.dtype), number(1, x.dtype))
    if last < rank(x) - 2:
        sign = op.Unsqueeze(sign, axes(*range(1, rank(x) - 1 - last)))
    return _parts(_inverse(_whole(real, op.Mul(imaginary, sign)), last, normalization))[0]


def _inverse(x: Value, axis: int, normalization: int) -> Value:
    """The inverse transform along one axis; DFT's divides by the count of points, and asks for a
    batch before that axis."""
    points = op.CastLike(size(x, axis), x)
    turned = op.Squeeze(op.DFT(op.Unsqueeze(x, axes(0)), axis=axis + 1, inverse=1), axes(0))
    if normalization == BY_COUNT:
        return turned
    return op.Mul(turned, op.Sqrt(points) if normalization == BY_ROOT else points)


def einsum(equation: str, tensors: Sequence[Value], *, path: Any = None) -> Value:
    """A sum of products of at most two tensors, by their parts."""

    def of(*parts: Value) -> Value:
        return op.Einsum(*parts, equation=equation)

    if len(tensors) > 2:
        raise NotImplementedError("torch.einsum of more than two complex tensors")
    if len(tensors) == 1:
        return _whole(*map(of, _parts(tensors[0])))
    (a, b), (c, d) = map(_parts, tensors)
    return _whole(op.Sub(of(a, c), of(b, d)), op.Add(of(a, d), of(b, c)))


def full(sizes: Sequence[Size], value: complex, *, dtype: int, **layout: Any) -> Value:
    """A tensor of one complex number."""
    pair = number([complex(value).real, complex(value).imag], REAL[dtype])
    return op.Expand(pair, op.Concat(*map(index, sizes), axes(2), axis=0))


def zeros(sizes: Sequence[Size], *, dtype: int, **layout: Any) -> Value:
    return full(sizes, 0, dtype=dtype)


def constant_pad(x: Value, pads: Sequence[Size], value: float = 0) -> Value:
    """Zeros around a tensor; `pads` begin with the last axis."""
    if value:
        raise NotImplementedError("padding of complex numbers with another one than zero")
    dims = rank(x) - 1
    pairs = [*zip(pads[::2], pads[1::2], strict=True)]
    pairs = [*[(0, 0)] * (dims - len(pairs)), *reversed(pairs), (0, 0)]
    ends = [index(size) for side in zip(*pairs, strict=True) for size in side]
    return op.Pad(x, op.Concat(*ends, axis=0), op.CastLike(number(0, ir.DataType.FLOAT), x))


FORMS: dict[str, Callable[..., Any]] = {
    "exp": exp,
    "unsqueeze": unsqueeze,
    "select.int": select,
    "index_select": index_select,
    "index.Tensor": index_tensor,
    "expand": expand,
    "repeat": repeat,
    "einsum": einsum,
    "copy": copy,
    "slice_scatter": slice_scatter,
    "constant_pad_nd": constant_pad,
}
INSTEAD: dict[str, Callable[..., Any]] = {"_fft_c2r": fft_to_real}
"""Those that stand in place of onnxscript's own."""
MADE: dict[str, Callable[..., Any]] = {"full": full, "zeros": zeros}
"""Those of operators that make complex numbers of none: they are listed among those of real ones,
and take over where the type that is asked for is complex."""
REAL = {
    int(ir.DataType.COMPLEX64): ir.DataType.FLOAT,
    int(ir.DataType.COMPLEX128): ir.DataType.DOUBLE,
}
"""The number of a complex type → the type of its parts."""
BY_ROOT, BY_COUNT = 1, 2
"""torch's words for the normalization of a transform; DFT's inverse divides by the count."""


@contextlib.contextmanager
def known(used: MutableSet[str]) -> Iterator[None]:
    """Makes the forms known to torch's exporter. Those that it has stay, but for INSTEAD.

    The names of those that torch calls are added to `used`.
    """
    from onnxscript.function_libs.torch_lib import ops, registration

    del ops  # Its import fills the list.
    with contextlib.ExitStack() as added:
        for name, form in {**FORMS, **INSTEAD}.items():
            qualified = f"aten::{name}"
            if qualified not in registration.default_registry:
                continue
            forms = registration.default_registry[qualified].complex
            if not forms or name in INSTEAD:
                added.callback(_restored, forms, list(forms))
                forms[:] = [_listed(name, form, used)]
        for name, form in MADE.items():
            qualified = f"aten::{name}"
            forms = registration.default_registry[qualified].overloads
            if len(forms) == 1:
                added.callback(_restored, forms, list(forms))
                forms[:] = [_choosing(name, form, forms[0], used)]
        yield


def _restored(forms: list[Any], before: list[Any]) -> None:
    forms[:] = before


def _listed(name: str, form: Callable[..., Any], used: MutableSet[str]) -> Callable[..., Any]:
    """A form with what onnxscript asks of those in its list."""

    def listed(*args: Any, **kwargs: Any) -> Any:
        used.add(f"aten.{name.partition('.')[0]}")
        return form(*args, **kwargs)

    listed.name = name  # type: ignore[attr-defined]
    listed.function_ir = SimpleNamespace(domain="")  # type: ignore[attr-defined]
    return listed


def _choosing(
    name: str, form: Callable[..., Any], real: Callable[..., Any], used: MutableSet[str]
) -> Callable[..., Any]:
    """onnxscript's own form, but for a complex type."""
    own = _listed(name, form, used)

    def choosing(*args: Any, **kwargs: Any) -> Any:
        return (own if kwargs.get("dtype") in REAL else real)(*args, **kwargs)

    choosing.name = name  # type: ignore[attr-defined]
    choosing.function_ir = own.function_ir  # type: ignore[attr-defined]
    return choosing


def _axis(x: Value, dim: int) -> int:
    return dim % (rank(x) - 1)


def _parts(x: Value) -> tuple[Value, Value]:
    """The real and the imaginary part."""
    real, imaginary = (op.Gather(x, number(place, ir.DataType.INT64), axis=-1) for place in (0, 1))
    return real, imaginary


def _whole(real: Value, imaginary: Value) -> Value:
    last = axes(-1)
    return op.Concat(op.Unsqueeze(real, last), op.Unsqueeze(imaginary, last), axis=-1)
