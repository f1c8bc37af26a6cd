"""A request knows its inputs, and where its file goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.exporter import models
from toolkit.errors import InputError
from toolkit.exporter import request
from toolkit.exporter.request import ExportRequest
from toolkit.sources import reference
from toolkit.sources.source import Source

LINEAR = Source("tests.exporter.models:Linear")


@pytest.mark.parametrize(
    ("factory", "path"),
    [
        ("/anywhere/net.py:build", "net.onnx"),
        ("package.nets.small:Net", "small.onnx"),
        (reference.SOURCE.factory, "models/mlp/mlp.onnx"),
    ],
    ids=["file", "module", "reference"],
)
def test_a_file_is_named_by_its_source_where_no_name_is_given(factory: str, path: str) -> None:
    stated, traced = models.traced(models.Linear(), "x:float32[batch,4]")
    asked = ExportRequest(Source(factory), models.Linear(), stated, traced, own_values=False)

    assert asked.default_path == Path(path)


def test_the_reference_model_has_inputs_of_its_own_whatever_its_weights(tmp_path: Path) -> None:
    asked = request.of_source(reference.SOURCE, [])

    assert asked.reference
    assert request.is_reference(replace(reference.SOURCE, weights=tmp_path / "w.npz"))
    assert [str(spec) for spec in asked.specs] == ["input:float32[batch,64]"]
    assert asked.traced.sizes == {"batch": 2}


def test_a_module_is_traced_with_the_inputs_that_are_stated() -> None:
    asked = request.of_source(LINEAR, ["x:float32[batch=3,4]"])

    assert not asked.reference
    assert not asked.own_values
    assert asked.traced.tensors["x"].shape == (3, 4)


def test_inputs_that_nobody_states_are_asked_for() -> None:
    with pytest.raises(InputError, match=r"^what goes into Linear.forward\(x\) is not known$"):
        request.of_source(LINEAR, [])
