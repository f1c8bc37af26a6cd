"""Reads the inputs that `--input` states: 'x:float32[batch,seq=16,height=64..,40]'.

input      NAME:TYPE[DIMENSION,…]     no dimension between the brackets: a scalar
dimension  40                         fixed
           batch                      dynamic; the tool picks a size to trace with
           seq=16                     dynamic; 16 is the size to trace with
           height=64..  w=64..512     dynamic; the range that it may have
           seq=..512                  dynamic; from 1 to 512
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from toolkit.errors import InputError, unknown
from toolkit.tensors import Dim, TensorSpec

if TYPE_CHECKING:
    import torch

TYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
"""ONNX types that PyTorch has under the same name."""

EXAMPLE = "for example: --input 'x:float32[batch,seq=16,height=64..512,40]'"
_INPUT = re.compile(r"(?P<name>[^:\[\]]+):(?P<type>\w+)\[(?P<dims>[^\[\]]*)\]")
_RANGE = re.compile(r"(?P<least>\d*)\.\.(?P<most>\d*)")


@dataclass(frozen=True)
class Dimension:
    """A dynamic dimension: the size to trace with, where stated, and the range it may have."""

    name: str
    traced: int | None = None
    least: int = 1
    most: int | None = None

    def __contains__(self, size: int) -> bool:
        """Says whether a size lies in the range."""
        return self.least <= size and (self.most is None or size <= self.most)


@dataclass(frozen=True)
class Stated:
    """One input as the user stated it."""

    name: str
    type: str
    dims: tuple[int | Dimension, ...]

    @property
    def spec(self) -> TensorSpec:
        """The input as a file should have it."""
        shape: tuple[Dim, ...] = tuple(
            dim.name if isinstance(dim, Dimension) else dim for dim in self.dims
        )
        return TensorSpec(self.name, self.type, shape)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape at these sizes of the dynamic dimensions."""
        return tuple(sizes[dim.name] if isinstance(dim, Dimension) else dim for dim in self.dims)

    def with_dim(self, name: str, text: str) -> str:
        """The value of `--input` that states it, with another text for one dimension."""
        return self.with_dims({name: text})

    def with_dims(self, texts: Mapping[str, str]) -> str:
        """The value of `--input` that states it, with other texts for some dimensions."""
        parts = [
            texts.get(dim.name, dim.name) if isinstance(dim, Dimension) else str(dim)
            for dim in self.dims
        ]
        return f"{self.name}:{self.type}[{','.join(parts)}]"


def parse_all(texts: Iterable[str]) -> tuple[Stated, ...]:
    """All inputs. Raises InputError for one that is stated twice and for dimensions that differ."""
    by_name: dict[str, Stated] = {}
    for text in texts:
        stated = parse(text)
        if stated.name in by_name:
            raise InputError(f"--input {text!r}: the input {stated.name!r} is stated twice")
        by_name[stated.name] = stated
    dimensions(by_name.values())
    return tuple(by_name.values())


def parse(text: str) -> Stated:
    """One input. Raises InputError for a text that is not of the form above."""
    form = _INPUT.fullmatch(text.strip())
    if form is None:
        raise _wrong(text, f"{_what_lacks(text)}; the form is NAME:TYPE[DIMENSION,…]")
    if form["type"] not in TYPES:
        raise _wrong(text, unknown("type", form["type"], TYPES))
    parts = form["dims"].split(",") if form["dims"].strip() else []
    return Stated(
        form["name"].strip(), form["type"], tuple(_dimension(text, part.strip()) for part in parts)
    )


def dimensions(inputs: Iterable[Stated]) -> dict[str, Dimension]:
    """Each dynamic dimension once, with all that was stated of it in any input.

    Raises InputError where two statements contradict each other.
    """
    merged: dict[str, Dimension] = {}
    for stated in inputs:
        for dim in stated.dims:
            if isinstance(dim, Dimension):
                merged[dim.name] = _both(merged.get(dim.name, dim), dim)
    for dim in merged.values():
        if dim.traced is not None and dim.traced not in dim:
            raise InputError(f"{dim.name}={dim.traced} lies outside its range {_range(dim)}")
    return merged


def of_examples(tensors: Mapping[str, torch.Tensor]) -> tuple[Stated, ...]:
    """Inputs with the fixed shapes of example tensors."""
    return tuple(
        Stated(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in tensors.items()
    )


def _dimension(text: str, part: str) -> int | Dimension:
    """The dimension that one part between the brackets of a text states."""
    if part.isdecimal() and part.isascii():
        if int(part) < 1:
            raise _wrong(text, "a dimension has at least the size 1")
        return int(part)
    name, equals, value = part.partition("=")
    name, value = name.strip(), value.strip()
    if not name.isidentifier():
        fault = "a dimension is empty" if not part else f"{part!r} is no dimension"
        raise _wrong(text, f"{fault}; write a size (40), a name (batch), seq=16 or seq=16..512")
    if not equals:
        return Dimension(name)
    if value.isdecimal() and value.isascii() and int(value) > 0:
        return Dimension(name, int(value))
    span = _RANGE.fullmatch(value)
    if span is None or span[0] == ".." or int(span["least"] or 1) < 1:
        raise _wrong(
            text, f"{part!r}: after = stands a size from 1 on (16) or a range (16.. or 16..512)"
        )
    least, most = int(span["least"] or 1), int(span["most"]) if span["most"] else None
    if most is not None and most <= least:
        raise _wrong(text, f"{part!r}: a range goes from the smaller size to the larger")
    return Dimension(name, None, least, most)


def _both(first: Dimension, second: Dimension) -> Dimension:
    """Two statements of one dimension merged; a bare name says nothing new. Raises InputError where
    they contradict each other."""
    name = first.name
    if None not in (first.traced, second.traced) and first.traced != second.traced:
        raise InputError(f"the dimension {name} is stated as {first.traced} and {second.traced}")
    spans = [(dim.least, dim.most) for dim in (first, second) if (dim.least, dim.most) != (1, None)]
    if len(set(spans)) > 1:
        raise InputError(f"the dimension {name} is stated as {_range(first)} and {_range(second)}")
    least, most = spans[0] if spans else (1, None)
    return replace(first, traced=first.traced or second.traced, least=least, most=most)


def _range(dim: Dimension) -> str:
    return f"{dim.least}..{dim.most or ''}"


def _what_lacks(text: str) -> str:
    if ":" not in text:
        return "it has no type"
    if "[" not in text:
        return "it has no shape"
    return "it cannot be read" if text.rstrip().endswith("]") else "its shape has no end"


def _wrong(text: str, what: str) -> InputError:
    return InputError(f"--input {text!r}: {what}", EXAMPLE)
