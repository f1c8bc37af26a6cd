"""Labelled data in an .npz: arrays named as the model's inputs, and one of labels."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from toolkit import tensors
from toolkit.data.examples import Preprocess, Whole
from toolkit.errors import InputError, first_line
from toolkit.tensors import Array, TensorSpec
from toolkit.units import Bytes, size

LARGEST: Bytes = 4 << 30
"""The most that the arrays may take: all of them lie in memory."""
LABELS = ("labels", "label")
"""The names of an array or a column of labels, where the user names none."""


def label_name(names: Sequence[str], given: str | None, where: str) -> str:
    """The name of the labels among the names of arrays or columns. Raises InputError where it is
    not there."""
    found = [name for name in ([given] if given else LABELS) if name in names]
    if found:
        return found[0]
    wanted = repr(given) if given else " or ".join(map(repr, LABELS))
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    raise InputError(
        f"{where} has no {wanted}; it has: {shown}", "--labels NAME    names the labels"
    )


def read(
    path: Path, inputs: Sequence[TensorSpec], labels: str | None, prepared: Preprocess | None
) -> Whole:
    """The examples of an .npz. Raises InputError for a file of another kind, one whose arrays are
    too large, and for arrays that do not belong together."""
    tensors.demand_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > LARGEST:
            raise InputError(
                f"{path} unpacks to {size(claimed)}, {size(LARGEST)} are the most",
                "--data FILE.py:NAME    a function that yields one example after the other",
            )
        arrays = tensors.read_npz(path)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error
    name = label_name([*arrays], labels, path.name)
    right = arrays.pop(name)
    if not right.ndim or not len(right):
        raise InputError(f"{path.name} has no labels: {name!r} is empty")
    if right.dtype.kind not in "biuf":
        raise InputError(f"{path.name}: {name!r} is {right.dtype.name}; labels are numbers")
    if not prepared:
        wanted = [spec.name for spec in inputs]
        if missing := [each for each in wanted if each not in arrays]:
            raise InputError(
                f"{path.name} has no array for the input {missing[0]!r}; it has: "
                f"{', '.join([*arrays][:12]) or 'the labels alone'}",
                f"numpy.savez({path.name!r}, {missing[0]}=…, {name}=…)    names them so",
            )
        arrays = {each: arrays[each] for each in wanted}
    for each, array in arrays.items():
        rows = len(array) if array.ndim else 0
        if rows != len(right):
            raise InputError(
                f"{path.name}: {each!r} has {rows:,} examples, the labels {len(right):,}"
            )
    return Whole(path.name, arrays, _classes(right), inputs, prepared)


def _classes(labels: Array) -> Array:
    """Classes in place of rows that are one-hot: a metric of classes is meant, and a mean square
    of such rows would pass any gate."""
    if labels.ndim != 2 or labels.shape[1] < 2:
        return labels
    is_one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()
    return labels.argmax(axis=1) if is_one_hot else labels
