"""Publishes the JSON Schema of run.json, for programs that read a record without toolkit."""

from __future__ import annotations

import msgspec

from toolkit.records.schema import VERSION, Run


def json_schema() -> dict[str, object]:
    """The schema, made from the types that read the record, so that it cannot say anything else."""
    schema = msgspec.json.schema(Run)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"run.json, version {VERSION}",
        **schema,
    }
