"""The packages of the extra `data`, which are imported when they are needed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from toolkit.errors import EnvironmentFault

PACKAGES = {
    "PIL": "Pillow",
    "pyarrow": "pyarrow",
    "tokenizers": "tokenizers",
    "torchmetrics": "torchmetrics",
}
"""Module → the package that has it, as the extra lists them."""


def demand(name: str, purpose: str) -> None:
    """Raises EnvironmentFault where a module is missing. It is not imported: that may take long."""
    if importlib.util.find_spec(name) is None:
        raise _missing(name, purpose)


def module(name: str, purpose: str) -> Any:
    """A module of the extra, such as 'PIL.Image'. Raises EnvironmentFault, with the command that
    installs it, where it is missing; `purpose` says what for: 'reading pictures'."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(name, purpose) from error


def _missing(name: str, purpose: str) -> EnvironmentFault:
    package = PACKAGES[name.partition(".")[0]]
    return EnvironmentFault(
        f"{purpose} needs {package}, which cannot be imported here",
        "pip install 'onnx-verdict[data]'    installs all that --data needs",
    )
