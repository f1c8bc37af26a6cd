"""How the PyTorch source of a model is named, and how the module is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A factory, a class or a Module instance, and the weights that go into it."""

    factory: str
    """'package.module:name' or 'path/to/file.py:name'."""
    weights: Path | None = None
    """.safetensors, .pt (weights_only) or .npz; None: as the factory made it."""
    folder: Path | None = None
    """Stands last on sys.path while the factory is imported."""
