"""No tensor of a model is overlooked: a runtime opens the external data of each that it meets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from onnx import ModelProto, TensorProto

from toolkit.errors import InputError
from toolkit.onnxfiles import storedtensors


def places(kind: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of the fields from a message to each tensor below it; what holds itself, as a
    graph does by an attribute, is entered once more."""
    for field in kind.fields:
        inside = field.message_type
        if inside is None:
            continue
        if inside.name == "TensorProto":
            yield (*above, field.name)
        elif above.count(field.name) < 2:
            yield from places(inside, (*above, field.name))


PLACES = [*places(ModelProto.DESCRIPTOR)]


def placed(path: tuple[str, ...]) -> tuple[ModelProto, TensorProto]:
    """A model that has one tensor, at this place."""
    model = message = ModelProto()
    for name in path:
        field = getattr(message, name)
        message = field.add() if hasattr(field, "add") else field
    assert isinstance(message, TensorProto)
    message.name = "w"
    return model, message


def test_the_places_are_those_of_onnx() -> None:
    assert ("graph", "initializer") in PLACES
    assert ("functions", "node", "attribute", "g", "initializer") in PLACES
    assert ("graph", "node", "attribute", "sparse_tensor", "values") in PLACES


@pytest.mark.parametrize("location", ["../secret.bin", "/dev/zero", "pipe"])
def test_external_data_is_looked_at_wherever_a_tensor_stands(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    folder = tmp_path / "model"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    refused = []
    for path in PLACES:
        model, tensor = placed(path)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        try:
            storedtensors.external_data(folder / "m.onnx", model)
        except InputError:
            refused.append(path)

    assert refused == PLACES


def test_a_tensor_that_lies_inside_names_no_file(tmp_path: Path) -> None:
    """A runtime looks at the location only where the tensor says that it lies elsewhere."""
    model, tensor = placed(("graph", "initializer"))
    tensor.external_data.add(key="location", value="../secret.bin")

    assert storedtensors.external_data(tmp_path / "m.onnx", model) == {}
