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

from toolkit.exporter.translations.nodes import Size, Value, axes, index, number, op, rank


def exp(x: Value) -> Value:
    real, imaginary = _parts(x)
    size = op.Exp(real)
    return _whole(op.Mul(size, op.Cos(imaginary)), op.Mul(size, op.Sin(imaginary)))


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


FORMS: dict[str, Callable[..., Any]] = {
    "exp": exp,
    "unsqueeze": unsqueeze,
    "select.int": select,
    "index_select": index_select,
    "index.Tensor": index_tensor,
    "expand": expand,
    "repeat": repeat,
    "einsum": einsum,
}


@contextlib.contextmanager
def known(used: MutableSet[str]) -> Iterator[None]:
    """Makes the forms known to torch's exporter; those that it has of its own stay.

    The names of those that torch calls are added to `used`.
    """
    from onnxscript.function_libs.torch_lib import ops, registration

    del ops  # Its import fills the list.
    with contextlib.ExitStack() as added:
        for name, form in FORMS.items():
            qualified = f"aten::{name}"
            if qualified not in registration.default_registry:
                continue
            forms = registration.default_registry[qualified].complex
            if not forms:
                forms.append(_listed(name, form, used))
                added.callback(forms.clear)
        yield


def _listed(name: str, form: Callable[..., Any], used: MutableSet[str]) -> Callable[..., Any]:
    """A form with what onnxscript asks of those in its list."""

    def listed(*args: Any, **kwargs: Any) -> Any:
        used.add(f"aten.{name.partition('.')[0]}")
        return form(*args, **kwargs)

    listed.name = name  # type: ignore[attr-defined]
    listed.function_ir = SimpleNamespace(domain="")  # type: ignore[attr-defined]
    return listed


def _axis(x: Value, dim: int) -> int:
    return dim % (rank(x) - 1)


def _parts(x: Value) -> tuple[Value, Value]:
    """The real and the imaginary part."""
    real, imaginary = (op.Gather(x, number(place, ir.DataType.INT64), axis=-1) for place in (0, 1))
    return real, imaginary


def _whole(real: Value, imaginary: Value) -> Value:
    last = axes(-1)
    return op.Concat(op.Unsqueeze(real, last), op.Unsqueeze(imaginary, last), axis=-1)
