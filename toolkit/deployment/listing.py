"""Lists the destinations by name, and finds their classes."""

from __future__ import annotations

import importlib
from typing import cast

from toolkit.deployment.base import Destination
from toolkit.errors import InputError, unknown

NAMES = (
    "onnxruntime",
    "openvino",
    "cpp",
    "node",
    "web",
    "iree",
    "litert",
    "ncnn",
    "executorch",
    "mnn",
)


def load(name: str) -> Destination:
    """Returns the destination of this name. Raises InputError for an unknown name."""
    if name not in NAMES:
        raise InputError(unknown("destination", name, NAMES))
    module = importlib.import_module(f"toolkit.deployment.destinations.{name}")
    return cast(Destination, module.DESTINATION())


def parse(text: str) -> list[str]:
    """Returns the names in 'onnxruntime,cpp', each once. Raises InputError for an unknown one."""
    names = [part.strip() for part in text.split(",")]
    for name in names:
        load(name)
    return list(dict.fromkeys(names))
