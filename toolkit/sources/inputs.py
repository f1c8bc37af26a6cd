"""Reads the inputs that `--input` states: 'x:float32[batch,seq=16,height=64..,40]'.

input      NAME:TYPE[DIMENSION,…]     no dimension between the brackets: a scalar
dimension  40                         fixed
           batch                      dynamic; the tool picks a size to trace with
           seq=16                     dynamic; 16 is the size to trace with
           height=64..  w=64..512     dynamic; the range that it may have
           seq=..512                  dynamic; from 1 to 512
           height=32*k                dynamic; a multiple of 32
           height=32*k=224            the same; 224 is the size to trace with
           height=32*k=64..512        the same; 64, 96 and so on up to 512
           seq=16=1..512              a range with the size to trace with

A multiple is written as torch.export writes it when it suggests one ('height = 32*_height'); what
stands for the k is any name, and another number in each dimension.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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

EXAMPLE = "for example: --input 'x:float32[batch,seq=16,height=64..512,width=32*k,40]'"
_INPUT = re.compile(r"(?P<name>[^:\[\]]+):(?P<type>\w+)\[(?P<dims>[^\[\]]*)\]")
_RANGE = re.compile(r"(?P<least>\d*)\.\.(?P<most>\d*)")
_MULTIPLE = re.compile(r"(?P<multiple>\d+)\s*\*\s*[^\W\d]\w*", re.ASCII)
_LONG = re.compile(r"\d{13,}")
"""More digits than any size has: Python refuses to read thousands of them."""


@dataclass(frozen=True)
class Dimension:
    """A dynamic dimension: the size to trace with, where stated, and the sizes it may have.

    Both ends of its range are sizes that it may have: they are moved inwards to multiples.
    """

    name: str
    traced: int | None = None
    least: int = 1
    most: int | None = None
    multiple: int = 1
    """Each of its sizes is a multiple of this."""

    def __post_init__(self) -> None:
        inward = -(-self.least // self.multiple) * self.multiple
        object.__setattr__(self, "least", inward)
        if self.most is not None:
            object.__setattr__(self, "most", self.most // self.multiple * self.multiple)

    def __contains__(self, size: int) -> bool:
        """Says whether it may have a size."""
        in_range = self.least <= size and (self.most is None or size <= self.most)
        return in_range and size % self.multiple == 0

    def from_on(self, size: int) -> int:
        """The smallest of its sizes from a given one on, or its largest where there is none.

        >>> Dimension("height", multiple=32).from_on(33), Dimension("seq", most=12).from_on(16)
        (64, 12)
        """
        moved = max(self.least, -(-size // self.multiple) * self.multiple)
        return moved if self.most is None else min(moved, self.most)

    @property
    def is_limited(self) -> bool:
        """Says whether it may not have every size."""
        return (self.least, self.most, self.multiple) != (1, None, 1)

    @property
    def range(self) -> str:
        """The sizes that it may have, as `--input` states them: '64..', '1..512', '32*k',
        '32*k=64..512'; any size: '1..'."""
        return "=".join(self._parts())

    @property
    def text(self) -> str:
        """The dimension as `--input` states it: 'batch', 'seq=16', 'height=32*k=224'."""
        traced = [] if self.traced is None else [str(self.traced)]
        return "=".join((self.name, *traced, *(self._parts() if self.is_limited else ())))

    def _parts(self) -> list[str]:
        """The multiple and the range, each where it says something; a range where neither does."""
        says_more = (self.least, self.most) != (self.multiple, None)
        multiple = [f"{self.multiple}*k"] if self.multiple > 1 else []
        return [*multiple, *([f"{self.least}..{self.most or ''}"] * (says_more or not multiple))]


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

    @property
    def text(self) -> str:
        """The value of `--input` that states it."""
        return self.with_dims({})

    def with_dim(self, name: str, text: str) -> str:
        """The value of `--input` that states it, with another text for one dimension."""
        return self.with_dims({name: text})

    def with_dims(self, texts: Mapping[str, str]) -> str:
        """The value of `--input` that states it, with other texts for some dimensions."""
        parts = [
            texts.get(dim.name, dim.text) if isinstance(dim, Dimension) else str(dim)
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
            raise InputError(f"{dim.name}={dim.traced} is no size of {dim.name}={dim.range}")
    return merged


def ranges(text: str) -> dict[str, Dimension]:
    """Dimensions with the sizes that they may have, of a text as `in_words` writes it.

    Raises InputError for a text of another form.
    """
    parts = [_dimension(text, part.strip()) for part in text.split(",")]
    return {dim.name: replace(dim, traced=None) for dim in parts if isinstance(dim, Dimension)}


def in_words(dims: Iterable[Dimension]) -> str:
    """The dimensions that may not have every size: 'seq=1..512, height=32*k'; empty: none."""
    return ", ".join(f"{dim.name}={dim.range}" for dim in dims if dim.is_limited)


def of_examples(tensors: Mapping[str, torch.Tensor]) -> tuple[Stated, ...]:
    """Inputs with the fixed shapes of example tensors."""
    return tuple(
        Stated(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in tensors.items()
    )


def _dimension(text: str, part: str) -> int | Dimension:
    """The dimension that one part between the brackets of a text states."""
    if longest := _LONG.search(part):
        raise _wrong(text, f"{longest[0][:20]}… is no size of a tensor")
    if part.isdecimal() and part.isascii():
        if int(part) < 1:
            raise _wrong(text, "a dimension has at least the size 1")
        return int(part)
    name, equals, value = part.partition("=")
    name, value = name.strip(), value.strip()
    if not name.isidentifier():
        fault = "a dimension is empty" if not part else f"{part!r} is no dimension"
        forms = "a size (40), a name (batch), seq=16, seq=16..512 or seq=32*k"
        raise _wrong(text, f"{fault}; write {forms}")
    if not equals:
        return Dimension(name)
    return _limited(text, part, name, value.split("="))


def _limited(text: str, part: str, name: str, values: Sequence[str]) -> Dimension:
    """The dimension of which each value states a size, a range or a multiple."""
    sizes: list[int] = []
    spans: list[tuple[int, int | None]] = []
    multiples: list[int] = []
    for value in map(str.strip, values):
        span, form = _RANGE.fullmatch(value), _MULTIPLE.fullmatch(value)
        if value.isdecimal() and value.isascii():
            sizes.append(int(value))
        elif form is not None:
            multiples.append(int(form["multiple"]))
        elif span is not None and span[0] != "..":
            spans.append((int(span["least"] or 1), int(span["most"]) if span["most"] else None))
        else:
            break
    numbers = [*sizes, *multiples, *(end for span in spans for end in span if end is not None)]
    each_once = max(len(sizes), len(spans), len(multiples)) <= 1
    if len(sizes) + len(spans) + len(multiples) < len(values) or not each_once or min(numbers) < 1:
        raise _wrong(
            text,
            f"{part!r}: after = stands a size from 1 on (16), a range (16.. or 16..512) or a"
            " multiple (32*k, 32*k=224, 32*k=64..512)",
        )
    least, most = next(iter(spans), (1, None))
    if most is not None and most <= least:
        raise _wrong(text, f"{part!r}: a range goes from the smaller size to the larger")
    dim = Dimension(name, next(iter(sizes), None), least, most, next(iter(multiples), 1))
    if dim.most is not None and dim.most < dim.least:
        raise _wrong(text, f"{part!r}: no multiple of {dim.multiple} lies in that range")
    return dim


def _both(first: Dimension, second: Dimension) -> Dimension:
    """Two statements of one dimension merged; a bare name says nothing new. Raises InputError where
    they contradict each other."""
    name = first.name
    if None not in (first.traced, second.traced) and first.traced != second.traced:
        raise InputError(f"the dimension {name} is stated as {first.traced} and {second.traced}")
    limited = [dim for dim in (first, second) if dim.is_limited]
    if len({dim.range for dim in limited}) > 1:
        raise InputError(f"the dimension {name} is stated as {first.range} and {second.range}")
    return replace(next(iter(limited), first), traced=first.traced or second.traced)


def _what_lacks(text: str) -> str:
    if ":" not in text:
        return "it has no type"
    if "[" not in text:
        return "it has no shape"
    return "it cannot be read" if text.rstrip().endswith("]") else "its shape has no end"


def _wrong(text: str, what: str) -> InputError:
    return InputError(f"--input {text!r}: {what}", EXAMPLE)
