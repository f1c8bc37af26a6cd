"""The user's own arrays as feeds: `--inputs` read from disk and held against the model's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit import tensors
from toolkit.errors import InputError, unknown
from toolkit.feeds import dimensions, stored
from toolkit.feeds.feed import Feed
from toolkit.tensors import BITS, Array, TensorSpec


def read(path: Path, inputs: Sequence[TensorSpec]) -> list[Feed]:
    """The feeds that `--inputs` names: an .npz or .safetensors with an array an input, or a folder
    of test data as the ONNX model zoo has it, a feed a data set.

    Raises InputError for a file of another kind and for arrays that do not fit the model.
    """
    sets = stored.read(path, [spec.name for spec in inputs])
    return [_feed(path, arrays, inputs, number) for number, arrays in enumerate(sets)]


def _feed(
    path: Path, arrays: Mapping[str, Array], inputs: Sequence[TensorSpec], number: int
) -> Feed:
    """One feed, its arrays in the order of the model's inputs."""
    wanted = {spec.name: spec for spec in inputs}
    for name in arrays:
        if name not in wanted:
            raise InputError(f"{path}: {unknown('input', name, wanted)}")
    for name, spec in wanted.items():
        if name not in arrays:
            raise InputError(f"{path} has no array for the input {name!r}")
        _check_type(path, spec, arrays[name])
    dims = dimensions.dims_of(inputs, {name: arrays[name].shape for name in wanted})
    return Feed(dims, path.name, {name: arrays[name] for name in wanted}, number)


def _check_type(path: Path, spec: TensorSpec, array: Array) -> None:
    dtype = tensors.dtype_of(spec.type)
    # numpy's strings have their length in the type: any length will do.
    same = array.dtype.kind == "U" if dtype.kind == "U" else array.dtype == dtype
    if not same:
        raise InputError(
            f"{path}: {spec.name!r} is {array.dtype.name}, the model wants {spec.type}"
            + ("" if spec.type not in BITS else f" as {dtype.name}, its bits")
        )
