"""Tests the JSON Schema of run.json."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.report import runs
from toolkit.records import store
from toolkit.report.published import json_schema


def test_a_record_keeps_the_published_schema() -> None:
    run, _ = runs.make(runs.MIXED)
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(store.encode(run)), schema)


def test_the_published_schema_refuses_another_field() -> None:
    run, _ = runs.make(runs.MIXED)
    broken = {**json.loads(store.encode(run)), "surprise": 1}
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.validate(broken, json_schema())
