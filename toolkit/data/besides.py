"""Reads the small JSON files beside a model that say how its inputs are made: untrusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit import tensors
from toolkit.errors import InputError, os_reason
from toolkit.units import Bytes, size

LARGEST: Bytes = 256 << 20
"""Bytes of such a file at most: a tokenizer of 250,000 pieces has 17 MB."""


def content(path: Path) -> bytes:
    """The bytes of a file. Raises InputError for what is no file, and for one that is too long."""
    tensors.demand_file(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {os_reason(error)}") from error
    if len(data) > LARGEST:
        raise InputError(f"{path} is longer than {size(LARGEST)}")
    return data


def mapping(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; empty where there is no file.

    Raises InputError for a file that holds something else.
    """
    if not path.exists():
        return {}
    try:
        value = json.loads(content(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} beside the model is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path.name} beside the model is no JSON object")
    return value
