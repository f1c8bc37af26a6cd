"""The packages of the extra `data`, which are imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from toolkit.errors import EnvironmentFault

PACKAGES = {
    "PIL": "Pillow",
    "pyarrow": "pyarrow",
    "tokenizers": "tokenizers",
    "torchmetrics": "torchmetrics",
}
"""Module → the package that has it, as the extra lists them."""


def module(name: str, purpose: str) -> Any:
    """A module of the extra, such as 'PIL.Image'. Raises EnvironmentFault, with the command that
    installs it, where it is missing; `purpose` says what for: 'reading pictures'."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = PACKAGES[name.partition(".")[0]]
        raise EnvironmentFault(
            f"{purpose} needs {package}, which cannot be imported here",
            "pip install 'onnx-verdict[data]'    installs all that --data needs",
        ) from error
