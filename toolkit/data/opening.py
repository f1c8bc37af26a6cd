"""Opens the labelled data that a user names, whichever form it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.data import archives, examples, folders, generated, metrics, request, tables
from toolkit.data.examples import Examples, Whole
from toolkit.data.request import DIGITS, DataRequest
from toolkit.errors import InputError
from toolkit.onnxfiles import referencefile
from toolkit.onnxfiles.modelfile import Opened
from toolkit.tensors import TensorSpec

SIDE = 8
"""Pixels of a digit's side."""


def opened(model: Opened, asked: DataRequest) -> Examples:
    """The examples for a model, and nothing of them computed.

    Raises InputError for data that is not there, or does not fit the model's inputs, and
    EnvironmentFault, with the command that installs it, where a package is missing.
    """
    request.demand_metrics(asked)
    metrics.demand_known(asked.metrics)
    inputs = model.facts.inputs
    if asked.name == DIGITS:
        return _digits(model, asked)
    prepared = examples.preprocess(asked.preprocess, inputs) if asked.preprocess else None
    if request.is_code(asked.name):
        return generated.read(asked.name, inputs, prepared)
    path = Path(asked.name)
    if path.is_dir():
        return folders.read(path, inputs, model.folder, prepared)
    if path.suffix in (".csv", ".tsv", ".parquet"):
        return tables.read(path, inputs, model.folder, asked.labels, prepared)
    if path.suffix == ".npz" or not path.exists():
        return archives.read(path, inputs, asked.labels, prepared)
    raise InputError(
        f"{path} is no folder of classes, no .npz, .csv or .parquet, and no FILE.py:NAME",
        "numpy.savez('data.npz', input=array, labels=classes)    writes data that is one",
    )


def _digits(model: Opened, asked: DataRequest) -> Whole:
    """The digits that the reference model has never seen; two labels each."""
    from toolkit.sources import reference

    if not referencefile.matches(model):
        raise InputError(f"--data {DIGITS} belongs to the reference model, not to this one")
    if asked.preprocess:
        raise InputError(f"--data {DIGITS} needs no --preprocess")
    held = reference.split("digits")
    inputs: Sequence[TensorSpec] = model.facts.inputs
    return Whole(
        DIGITS, {inputs[0].name: held.held_x}, held.held_y > 0.5, inputs,
        classes=reference.LABELS, picture=(SIDE, SIDE),
    )  # fmt: skip
