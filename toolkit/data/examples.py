"""Examples and how they become batches of a model's inputs.

A source of examples (a folder, an archive, a table, a function) is read piece by piece and is
untrusted; what it holds is held against the model's inputs before a worker gets it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from toolkit.errors import InputError
from toolkit.sources import importing, source
from toolkit.sources.running import result
from toolkit.tensors import PLAIN, Array, TensorSpec, dtype_of
from toolkit.units import Bytes, Seconds

FIRST_ROWS = 32
"""The examples of the first batch: a large model holds the activations of all of them."""
MOST_ROWS = 1024
"""The most examples of one batch."""
QUICK: Seconds = 0.03
"""A batch that takes less of each target is mostly the way to the worker and back: the next one is
twice as large. What takes less holds little."""
MOST_BYTES: Bytes = 1 << 24
"""The most that the inputs of one batch may take."""
STEP = 32
"""Lengths of padded examples are multiples of it: some runtimes compile each new shape."""

Inputs = Mapping[str, Array]
"""Input → its values for one example, without the axis of the batch."""


@dataclass(frozen=True)
class Batch:
    """Some examples, ready to be fed."""

    indices: Array
    """int64 (examples,): their places in the data."""
    feed: dict[str, Array]
    """Input → (rows, …). The last rows may repeat the last example, since a file may have one size
    only; they are in no result."""
    labels: Array
    """(examples, …)"""


@dataclass(frozen=True)
class SeenPicture:
    """An example that can be seen: uint8 (height, width) or (height, width, 3)."""

    pixels: Array


Seen = SeenPicture | str
"""How an example looks to a reader; '' where it is neither picture nor text."""


class Examples(Protocol):
    """A source of labelled examples."""

    @property
    def name(self) -> str:
        """What a record calls it, without a folder."""

    @property
    def count(self) -> int | None:
        """How many there are; None where that shows only at the end, and they come in one order."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes, by their number; empty where there are none."""

    @property
    def padding(self) -> Mapping[str, float]:
        """Input → what examples shorter than the others of their batch are filled up with."""

    def read(self, order: Sequence[int] | None) -> Iterator[tuple[int, Inputs, Array]]:
        """The examples of these places, one after the other: place, inputs, label. None: all, as
        they come."""

    def seen(self, index: int) -> Seen:
        """How one example looks."""


@dataclass(frozen=True)
class Preprocess:
    """A function of the user's: one example → the inputs of the model."""

    name: str
    function: Callable[[Any], Any]
    inputs: Sequence[TensorSpec]

    def __call__(self, example: object) -> Inputs:
        """The inputs of one example. Raises InputError where the function raises, or gives
        something else."""
        return named(result(self.name, lambda: self.function(example)), self.inputs, self.name)


def preprocess(text: str, inputs: Sequence[TensorSpec]) -> Preprocess:
    """The function that --preprocess names. Raises InputError where there is none."""
    return Preprocess(source.parse(text).name, function(text), inputs)


def function(text: str) -> Callable[..., Any]:
    """A function of the user's, FILE.py:NAME. Raises InputError where there is none."""
    parsed = source.parse(text)
    found = getattr(importing.module_of(parsed), parsed.attribute, None)
    if not callable(found):
        raise InputError(f"{parsed.name} is no function")
    return found  # type: ignore[no-any-return]


def named(given: object, inputs: Sequence[TensorSpec], where: str) -> Inputs:
    """The inputs of one example: a mapping as it is, an array as the only input.

    Raises InputError where that does not name every input.
    """
    if not isinstance(given, Mapping):
        if len(inputs) != 1:
            raise InputError(f"{where} gives one array, and the model has {len(inputs)} inputs")
        given = {inputs[0].name: given}
    missing = [spec.name for spec in inputs if spec.name not in given]
    if missing:
        raise InputError(f"{where} has nothing for the input {missing[0]!r}")
    return {spec.name: np.asarray(given[spec.name]) for spec in inputs}


@dataclass
class BatchSize:
    """How many examples a batch has: what the file fixes, else more while batches are quick."""

    now: int
    most: int
    is_fixed: bool = False
    """The file takes this number alone."""

    def quicker(self, seconds: Seconds) -> None:
        """Makes batches larger where one took so little time of each target."""
        if seconds < QUICK and 2 * self.now <= self.most and not self.is_fixed:
            self.now *= 2

    def until(self, place: int) -> int:
        """The rows of a batch that shall not go beyond so many examples: halved until it does not,
        so that a runtime that compiles for each shape sees few."""
        rows = self.now
        while rows > max(1, place) and not self.is_fixed:
            rows //= 2
        return rows


def batches(
    examples: Examples,
    order: Sequence[int] | None,
    inputs: Sequence[TensorSpec],
    rows: Callable[[], int],
) -> Iterator[Batch]:
    """The examples in batches, each of as many rows as `rows` says when it begins.

    Raises InputError, naming the example, where one does not fit the model or the others.
    """
    waiting: list[tuple[int, Inputs, Array]] = []
    size = rows()
    for each in examples.read(order):
        waiting.append(each)
        if len(waiting) == size:
            yield _batch(waiting, inputs, size, examples.padding)
            waiting, size = [], rows()
    if waiting:
        yield _batch(waiting, inputs, size, examples.padding)


def batch_size(inputs: Sequence[TensorSpec], first: Inputs) -> BatchSize:
    """How many examples a batch has: what the file fixes, else what is not too much.

    Raises InputError where two inputs fix two numbers.
    """
    fixed = {spec.shape[0] for spec in inputs if spec.shape and isinstance(spec.shape[0], int)}
    if len(fixed) > 1:
        raise InputError(
            f"the first axes of the inputs have {' and '.join(map(str, sorted(fixed)))} rows: "
            "which of them are examples cannot be told"
        )
    if fixed:
        rows = max(1, fixed.pop())
        return BatchSize(rows, rows, is_fixed=True)
    one = sum(array.nbytes for array in first.values())
    most = max(1, min(MOST_ROWS, MOST_BYTES // max(1, one)))
    return BatchSize(min(FIRST_ROWS, most), most)


def _batch(
    rows: Sequence[tuple[int, Inputs, Array]],
    inputs: Sequence[TensorSpec],
    size: int,
    padding: Mapping[str, float],
) -> Batch:
    indices = np.array([index for index, _, _ in rows], np.int64)
    feed = {}
    for spec in inputs:
        arrays = [_cast(index, spec, each[spec.name]) for index, each, _ in rows]
        if spec.name in padding:
            arrays = _padded(spec, arrays, padding[spec.name])
        for (index, _, _), array in zip(rows, arrays, strict=True):
            _demand_shape(index, spec, array.shape, arrays[0].shape)
        feed[spec.name] = np.stack([*arrays, *[arrays[-1]] * (size - len(arrays))])
    labels = [label for _, _, label in rows]
    for (index, _, _), label in zip(rows, labels, strict=True):
        if label.shape != labels[0].shape:
            raise InputError(
                f"the label of example {index} has the shape {list(label.shape)}, others have "
                f"{list(labels[0].shape)}"
            )
    return Batch(indices, feed, np.stack(labels))


def _cast(index: int, spec: TensorSpec, array: Array) -> Array:
    """An array in the input's type. Raises InputError where values would be lost."""
    if spec.type not in PLAIN and spec.type != "string":
        raise InputError(f"the input {spec.name!r} is {spec.type}, which data cannot be read as")
    wanted = dtype_of(spec.type)
    if array.dtype == wanted or (wanted.kind == "U" and array.dtype.kind == "U"):
        return array
    # Numbers in a table are float64 or int64, whatever the model takes.
    if array.dtype.kind in "biuf" and wanted.kind in "biuf":
        cast = array.astype(wanted)
        if wanted.kind == "f" or bool((cast == array).all()):
            return cast
    raise InputError(
        f"example {index} has {array.dtype.name} for the input {spec.name!r}, which is {spec.type}"
    )


def _demand_shape(
    index: int, spec: TensorSpec, shape: tuple[int, ...], other: tuple[int, ...]
) -> None:
    if shape != other:
        raise InputError(
            f"example {index} has the shape {list(shape)} for the input {spec.name!r}, another "
            f"{list(other)}: they cannot be in one batch",
            "--preprocess FILE.py:NAME    a function that gives all one shape",
        )
    wanted = None if spec.shape is None else spec.shape[1:]
    if wanted is None:
        return
    fits = len(wanted) == len(shape) and all(
        not isinstance(dim, int) or dim == length for dim, length in zip(wanted, shape, strict=True)
    )
    if not fits:
        raise InputError(
            f"example {index} has the shape {list(shape)} for the input {spec}, without its first "
            "axis: one example",
            "--preprocess FILE.py:NAME    a function from one example to the model's inputs",
        )


def _padded(spec: TensorSpec, arrays: Sequence[Array], value: float) -> list[Array]:
    """Fills the last axis up to one length: that of the file, else a multiple of STEP."""
    last = spec.shape[-1] if spec.shape else None
    longest = max(array.shape[-1] for array in arrays)
    length = last if isinstance(last, int) else STEP * math.ceil(longest / STEP)
    return [
        np.pad(array, (0, length - len(array)), constant_values=value)
        if len(array) < length
        else array
        for array in arrays
    ]


@dataclass(frozen=True)
class Whole:
    """Examples that lie in memory: an archive, or what was made there."""

    name: str
    arrays: Mapping[str, Array]
    """Name → (examples, …)"""
    labels: Array
    """(examples, …)"""
    inputs: Sequence[TensorSpec]
    prepared: Preprocess | None = None
    classes: Sequence[str] = ()
    picture: tuple[int, ...] = ()
    """The shape in which a flat input is a picture; empty: as it stands."""
    padding: Mapping[str, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.labels)

    def read(self, order: Sequence[int] | None) -> Iterator[tuple[int, Inputs, Array]]:
        for index in range(self.count) if order is None else order:
            one = {name: array[index] for name, array in self.arrays.items()}
            inputs = self.prepared(one) if self.prepared else named(one, self.inputs, self.name)
            yield index, inputs, np.asarray(self.labels[index])

    def seen(self, index: int) -> Seen:
        first = next(iter(self.arrays.values()))[index]
        return seen_as(first.reshape(self.picture) if self.picture else first)


def seen_as(array: Array) -> Seen:
    """An array as a picture, where it has the form of one; its numbers in words, where few."""
    if array.dtype.kind == "U":
        return " ".join(map(str, array.reshape(-1)[:64]))
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3)
    if is_picture and min(array.shape[:2]) > 3 and array.dtype.kind in "biuf":
        values = np.nan_to_num(array.astype(np.float64))
        low, high = values.min(), values.max()
        scaled = (values - low) / (high - low) if high > low else values * 0
        return SeenPicture(np.round(255 * scaled).astype(np.uint8))
    if array.size <= 16:
        return ", ".join(f"{value:.4g}" for value in array.reshape(-1).tolist())
    return ""
