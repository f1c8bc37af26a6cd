"""Names the PyTorch source of a model: 'net.py:build', 'package.module:Net'."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import InputError


@dataclass(frozen=True)
class Source:
    """A factory, a class or a Module instance, and the weights that go into it."""

    factory: str
    """'package.module:name' or 'path/to/file.py:name'."""
    weights: Path | None = None
    """A .safetensors, .pt (weights_only) or .npz file; None: as the factory makes the module."""
    folder: Path | None = None
    """A folder that stands last on sys.path while the factory is imported, so that it shadows
    nothing, and stays there, since a forward may import too."""

    @property
    def name(self) -> str:
        """The source without any folder, as a file or a record may say it: 'net.py:build'."""
        head, _, attribute = self.factory.rpartition(":")
        return f"{Path(head).name}:{attribute}"

    @property
    def attribute(self) -> str:
        """The name that is looked up in the module: 'build'."""
        return self.factory.rpartition(":")[2]

    @property
    def file(self) -> Path | None:
        """The file that the factory stands in; None for a module's dotted name."""
        head = self.factory.rpartition(":")[0]
        return Path(head) if _is_path(head) else None


def parse(text: str, *, weights: Path | None = None, folder: Path | None = None) -> Source:
    """The source that a text names; relative paths start in `folder` (default: the current one).

    All paths of the result are absolute: a worker may have another current folder. Raises
    InputError where the text names no factory, or a file that is not there.
    """
    folder = (folder or Path.cwd()).resolve()
    head, _, attribute = text.rpartition(":")
    if not head or not attribute.isidentifier():
        example = text if _is_path(text) else f"{text.rstrip(':') or 'net.py'}"
        raise InputError(
            f"{text!r} names no factory; a source is FILE.py:NAME or MODULE:NAME",
            f"for example: toolkit export {example}:build",
        )
    if weights is not None:
        weights = folder / weights
        if not weights.is_file():
            raise InputError(f"no such file: {weights}")
    if not _is_path(head):
        return Source(text, weights, folder)
    file = folder / head
    if not file.is_file():
        raise InputError(f"no such file: {head}")
    return Source(f"{file.resolve()}:{attribute}", weights, file.resolve().parent)


def _is_path(head: str) -> bool:
    return head.endswith(".py") or "/" in head
