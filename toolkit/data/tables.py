"""Labelled data in a table: CSV by Python's own reader, Parquet by pyarrow.

A row is an example. Its columns are, in this order of preference: what the user's function takes;
the model's inputs, by name; a text, or a picture in bytes, for the files beside the model; or all
numbers but the label, in their order, where the model has one input with as many values.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import tensors
from toolkit.data import extra, imageprocessor, pictures, textprocessor
from toolkit.data.archives import label_name
from toolkit.data.examples import Inputs, Preprocess, Seen, SeenPicture, named
from toolkit.errors import InputError, os_reason, typed_line
from toolkit.tensors import Array, TensorSpec
from toolkit.units import Bytes, size

MOST_COLUMNS = 10_000
MOST_CELLS = 50_000_000
"""Cells of a CSV: each is a Python object while it is read."""
LARGEST_FILE: Bytes = 2 << 30
LARGEST_TABLE: Bytes = 4 << 30
"""Bytes of a Parquet file once it is unpacked: all of it lies in memory."""
LONGEST_CELL = 1 << 20
ELSE = "--data FILE.py:NAME    a function that yields one example after the other"

Columns = Mapping[str, Sequence[Any]]
"""Column → its values, one a row."""


@dataclass(frozen=True)
class Rows:
    """The rows of a table."""

    name: str
    columns: Columns
    labels: Array
    make: Callable[[dict[str, Any]], Inputs]
    look: Callable[[dict[str, Any]], Seen]
    classes: Sequence[str] = ()
    padding: Mapping[str, float] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.labels)

    def read(self, order: Sequence[int] | None) -> Iterator[tuple[int, Inputs, Array]]:
        for index in range(self.count) if order is None else order:
            yield index, self.make(self._row(index)), np.asarray(self.labels[index])

    def seen(self, index: int) -> Seen:
        return self.look(self._row(index))

    def _row(self, index: int) -> dict[str, Any]:
        return {name: _value(column[index]) for name, column in self.columns.items()}


def read(
    path: Path,
    inputs: Sequence[TensorSpec],
    beside: Path,
    labels: str | None,
    prepared: Preprocess | None,
) -> Rows:
    """The rows of a .csv, .tsv or .parquet; `beside` is the model's folder.

    Raises InputError for a table that is too large, has no labels, or no columns for the model.
    """
    tensors.demand_file(path)
    columns = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    name = label_name([*columns], labels, path.name)
    right, classes = _labels(path.name, name, columns[name])
    rest = {each: column for each, column in columns.items() if each != name}
    if prepared:
        return Rows(path.name, rest, right, prepared, _text, classes)
    wanted = [spec.name for spec in inputs]
    if {*wanted} <= {*rest}:
        kept = {each: rest[each] for each in wanted}
        return Rows(path.name, kept, right, _by_name(inputs, path.name), _text, classes)
    texts = [each for each, column in rest.items() if isinstance(_value(column[0]), str)]
    images = [each for each, column in rest.items() if _bytes(_value(column[0])) is not None]
    if len(images) == 1:
        processor = imageprocessor.beside(beside, inputs)
        return _pictured(path.name, images[0], rest, right, processor, classes)
    if texts and _takes_tokens(inputs):
        text = texts[0] if len(texts) == 1 else _only(texts, path.name)
        tokens = textprocessor.beside(beside, inputs)

        def make(row: dict[str, Any]) -> Inputs:
            return tokens(str(row[text]))

        return Rows(
            path.name, {text: rest[text]}, right, make, lambda row: str(row[text]), classes,
            tokens.padding,
        )  # fmt: skip
    numbers = {each: column for each, column in rest.items() if each not in texts}
    if len(inputs) == 1 and numbers and not texts:
        return Rows(path.name, numbers, right, _in_order(inputs[0], path.name), _text, classes)
    raise InputError(
        f"{path.name} has no column for the input {wanted[0]!r}; it has: "
        f"{', '.join([*columns][:12])}",
        "--preprocess FILE.py:NAME    a function of yours from one row, a dict, to the inputs",
    )


def _takes_tokens(inputs: Sequence[TensorSpec]) -> bool:
    return any(spec.name in textprocessor.PARTS for spec in inputs)


def _only(texts: Sequence[str], where: str) -> str:
    """The column of the text among several. Raises InputError where that cannot be told."""
    if "text" in texts:
        return "text"
    raise InputError(
        f"{where} has several columns of text, none called 'text': {', '.join(texts[:12])}",
        "--preprocess FILE.py:NAME    a function of yours from one row, a dict, to the inputs",
    )


def _csv(path: Path) -> dict[str, list[Any]]:
    """The columns of a CSV with a head. Numbers are numbers where a whole column is."""
    if (length := path.stat().st_size) > LARGEST_FILE:
        raise InputError(f"{path} has {size(length)}, {size(LARGEST_FILE)} are the most", ELSE)
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            head_line = stream.readline(LONGEST_CELL)
            head = next(
                csv.reader([head_line], delimiter="\t" if path.suffix == ".tsv" else ","), []
            )
            if len(head_line) == LONGEST_CELL or len(head) > MOST_COLUMNS:
                raise InputError(f"{path} has more than {MOST_COLUMNS:,} columns")
            if not head or len({*head}) < len(head):
                raise InputError(f"{path} has no head that names each column once")
            cells = _cells(
                path, csv.reader(stream, delimiter="\t" if path.suffix == ".tsv" else ","), head
            )
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else typed_line(error)
        raise InputError(f"{path} is no CSV that can be read: {reason}") from error
    finally:
        csv.field_size_limit(before)
    if not cells or not cells[0]:
        raise InputError(f"{path} has no rows")
    return {name: _typed(column) for name, column in zip(head, cells, strict=True)}


def _cells(path: Path, reader: Iterator[list[str]], head: Sequence[str]) -> list[list[str]]:
    columns: list[list[str]] = [[] for _ in head]
    for number, row in enumerate(reader):
        if not row:
            continue
        if len(row) != len(head):
            raise InputError(
                f"{path}: row {number + 1} has {len(row)} cells, the head has {len(head)}"
            )
        if (number + 1) * len(head) > MOST_CELLS:
            raise InputError(f"{path} has more than {MOST_CELLS:,} cells", ELSE)
        for column, cell in zip(columns, row, strict=True):
            column.append(cell)
    return columns


def _typed(column: list[str]) -> list[Any]:
    """A column as integers, or as floats, where every cell is one."""
    for kind in (int, float):
        try:
            return [kind(cell) for cell in column]
        except ValueError:
            continue
    return [*column]


def _parquet(path: Path) -> Columns:
    """The columns of a Parquet file."""
    library = extra.module("pyarrow.parquet", "reading Parquet")
    extra.module("pyarrow", "reading Parquet")
    try:
        file = library.ParquetFile(path)
        meta = file.metadata
        unpacked = sum(
            meta.row_group(g).column(c).total_uncompressed_size
            for g in range(meta.num_row_groups)
            for c in range(min(meta.num_columns, MOST_COLUMNS + 1))
        )
        if meta.num_columns > MOST_COLUMNS:
            raise InputError(
                f"{path} has {meta.num_columns:,} columns, {MOST_COLUMNS:,} are the most"
            )
        if unpacked > LARGEST_TABLE:
            raise InputError(
                f"{path} unpacks to {size(unpacked)}, {size(LARGEST_TABLE)} are the most", ELSE
            )
        table = file.read()
    except InputError:
        raise
    except Exception as error:  # pyarrow's errors are of many kinds.
        raise InputError(f"{path} is no Parquet that can be read: {typed_line(error)}") from error
    if not table.num_rows:
        raise InputError(f"{path} has no rows")
    return dict(zip(table.column_names, table.columns, strict=True))


def _labels(where: str, name: str, column: Sequence[Any]) -> tuple[Array, tuple[str, ...]]:
    """The labels as numbers, and the names of the classes where they are texts, in sorted order."""
    values = [_value(each) for each in column]
    if any(value is None or value == "" for value in values):
        row = next(i for i, value in enumerate(values) if value in (None, ""))
        raise InputError(f"{where} has no label in row {row + 1}")
    if all(isinstance(value, str) for value in values):
        classes = tuple(sorted({*values}))
        numbers = {each: number for number, each in enumerate(classes)}
        return np.array([numbers[value] for value in values], np.int64), classes
    try:
        right = np.array(values)
    except ValueError as error:
        raise InputError(f"{where}: the labels in {name!r} are not all of one length") from error
    if right.dtype.kind not in "biuf":
        raise InputError(f"{where}: the labels in {name!r} are neither numbers nor texts")
    return right, ()


def _value(cell: Any) -> Any:
    """A cell as Python has it; pyarrow's are objects of its own."""
    return cell.as_py() if hasattr(cell, "as_py") else cell


def _bytes(value: Any) -> bytes | None:
    """The bytes of a picture: by themselves, or as Hugging Face's datasets hold them."""
    data = value.get("bytes") if isinstance(value, Mapping) else value
    return data if isinstance(data, bytes) else None


def _pictured(
    where: str,
    column: str,
    columns: Columns,
    right: Array,
    processor: imageprocessor.ImageProcessor,
    classes: Sequence[str],
) -> Rows:
    """Rows whose one column of bytes holds pictures."""

    def image(row: dict[str, Any]) -> Any:
        data = _bytes(row[column])
        if data is None:
            raise InputError(f"{where} has a row without a picture in {column!r}")
        return pictures.decode(data, f"a picture of {where}")

    return Rows(
        where,
        {column: columns[column]},
        right,
        lambda row: processor(image(row)),
        lambda row: SeenPicture(pictures.pixels(image(row))),
        classes,
    )


def _by_name(inputs: Sequence[TensorSpec], where: str) -> Callable[[dict[str, Any]], Inputs]:
    """Each input from the column of its name."""
    flat = {spec.name: spec.shape is not None and len(spec.shape) == 2 for spec in inputs}

    def make(row: dict[str, Any]) -> Inputs:
        arrays = {name: _array(where, name, value) for name, value in row.items()}
        # A column of numbers for an input [batch,1].
        wide = {n: a[None] if flat[n] and not a.ndim else a for n, a in arrays.items()}
        return named(wide, inputs, where)

    return make


def _in_order(spec: TensorSpec, where: str) -> Callable[[dict[str, Any]], Inputs]:
    """One input from all columns of numbers, in their order."""

    def make(row: dict[str, Any]) -> Inputs:
        return {spec.name: _array(where, "a row", [*row.values()])}

    return make


def _array(where: str, name: str, value: Any) -> Array:
    try:
        array = np.array(value)
    except ValueError as error:
        raise InputError(f"{where}: {name} has lists of different lengths") from error
    if array.dtype.kind not in "biufU":
        raise InputError(f"{where}: {name} holds something that is no number: {str(value)[:80]}")
    return array


def _text(row: dict[str, Any]) -> str:
    """A row in words: its first texts and numbers."""
    shown = [(n, v) for n, v in row.items() if isinstance(v, str | int | float)]
    return ", ".join(f"{name} {value}" for name, value in shown[:8])
