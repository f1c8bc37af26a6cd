"""Which destinations there are, by name."""

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
    """Raises InputError for an unknown name."""
    if name not in NAMES:
        raise InputError(unknown("destination", name, NAMES))
    module = importlib.import_module(f"toolkit.deployment.destinations.{name}")
    return cast(Destination, module.DESTINATION())


def parse(text: str) -> list[str]:
    """The names in 'onnxruntime,cpp', each once. Raises InputError."""
    names = [part.strip() for part in text.split(",")]
    for name in names:
        load(name)
    return list(dict.fromkeys(names))
