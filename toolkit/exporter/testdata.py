"""Writes test data beside a model, as the ONNX model zoo has it, so that any other tool can check
itself: test_data_set_0/input_0.pb, output_0.pb …, each a TensorProto with its name. Beside another
model they stand in NAME.testdata.

The zoo's form does not say which model data belongs to. So each tensor's doc_string, which every
reader of the form skips, holds the sha256 of its model; and data is ours to replace where that is
the model that stands beside it, or one that this tool exported to its name before.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from toolkit.errors import InputError
from toolkit.feeds import elements, stored
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.oracle.oracles import Expected
from toolkit.tensors import Array, Feed, TensorSpec

OWNER = "onnx model, sha256 "
"""The beginning of the doc_string of a tensor of ours."""


@dataclass(frozen=True)
class DataSet:
    """One set of test data: a feed, and the outputs that are right for it."""

    inputs: Feed
    outputs: Mapping[str, Array]


def of_expected(model: ModelFile, expected: Expected) -> DataSet:
    """A feed with its float64 outputs, rounded to the types of the file: what any tool can check
    itself by. Outputs are matched by their place."""
    outputs = zip(model.outputs, expected.outputs.values(), strict=True)
    return DataSet(
        expected.feed.arrays,
        {spec.name: elements.as_type(array, spec.type) for spec, array in outputs},
    )


def write(
    model: ModelFile, sets: Sequence[DataSet], *, owners: Sequence[str] = (), force: bool = False
) -> list[Path]:
    """Writes test_data_set_0, 1 … beside the model, each whole or not at all, and removes those of
    ours that are left over.

    `owners`: sha256 of earlier files under the model's name, whose data may be replaced. Raises
    InputError for data of another model, unless `force`.
    """
    folder = model.path.parent
    old = replaceable(folder, {model.sha256, *owners}, force=force)
    written = [folder / f"test_data_set_{number}" for number in range(len(sets))]
    for target, data in zip(written, sets, strict=True):
        _write_one(target, model, data)
    for left in old:
        if left not in written:
            shutil.rmtree(left)
    return written


def home(model: Path, owners: Collection[str]) -> Path:
    """The folder in which a model's data sets stand: its own, or NAME.testdata in that, where the
    folder has another model, or data that belongs to none of `owners` (sha256)."""
    folder, apart = model.parent, home_apart(model)
    if not folder.is_dir() or apart.is_dir():
        return apart if apart.is_dir() else folder
    present = _present(folder)
    if present:
        return folder if all(owner(each) in owners for each in present) else apart
    is_alone = all(each.suffix != ".onnx" or each == model for each in folder.iterdir())
    return folder if is_alone else apart


def home_apart(model: Path) -> Path:
    """The folder that holds the data sets of one model alone, whatever stands beside it."""
    return model.with_name(f"{model.stem}.testdata")


def read(model: ModelFile) -> list[DataSet]:
    """The data sets of a model. Raises InputError where there are none."""
    return [
        DataSet(
            stored.tensors_of(folder, "input", [spec.name for spec in model.inputs]),
            stored.tensors_of(folder, "output", [spec.name for spec in model.outputs]),
        )
        for folder in stored.data_sets(home(model.path, {model.sha256}))
    ]


def replaceable(folder: Path, owners: Collection[str], *, force: bool = False) -> list[Path]:
    """The data sets in a folder, which new ones replace. Raises InputError for data of a model that
    is none of `owners`, by their sha256, unless `force`."""
    present = _present(folder)
    if not force:
        for data_set in present:
            _refuse_foreign(data_set, set(owners))
    return present


def _present(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if stored.DATA_SET.fullmatch(path.name))


def _refuse_foreign(folder: Path, owners: set[str]) -> None:
    if owner(folder) in owners:
        return
    raise InputError(
        f"{folder} holds the test data of another model",
        "-o elsewhere/model.onnx   writes into another folder",
        "--force   overwrites it",
    )


def owner(folder: Path) -> str | None:
    """The sha256 of the model that a data set belongs to; None where it was not written by us."""
    files = sorted(folder.glob("*.pb")) if folder.is_dir() else []
    owners = set()
    for file in files:
        try:
            text = stored.read_tensor(file).doc_string
        except InputError:
            return None
        owners.add(text.removeprefix(OWNER) if text.startswith(OWNER) else None)
    return owners.pop() if len(owners) == 1 else None


def _write_one(target: Path, model: ModelFile, data: DataSet) -> None:
    """Writes one set beside its name, then renames it: an interrupted export leaves no half set."""
    beside = target.with_name(f".{target.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        _write_tensors(beside, "input", model.inputs, data.inputs, model.sha256)
        _write_tensors(beside, "output", model.outputs, data.outputs, model.sha256)
        if target.exists():
            shutil.rmtree(target)
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_tensors(
    folder: Path,
    role: str,
    specs: Sequence[TensorSpec],
    arrays: Mapping[str, Array],
    sha256: str,
) -> None:
    for index, spec in enumerate(specs):
        tensor: TensorProto = elements.tensor_of(spec.name, arrays[spec.name], spec.type)
        tensor.doc_string = OWNER + sha256
        # Deterministic: version control shall see no change where there is none.
        content = tensor.SerializeToString(deterministic=True)
        (folder / f"{role}_{index}.pb").write_bytes(content)
