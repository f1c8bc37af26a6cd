"""One kind of bad file: what makes it, with which command it is met, and what that has to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

CHECK = ("check", "m.onnx", "--target", "reference")


@dataclass(frozen=True)
class Place:
    """The folder in which a bad file lies, and one beside it whose files are nobody's business."""

    folder: Path
    outside: Path

    @property
    def model(self) -> Path:
        """The file that CHECK reads."""
        return self.folder / "m.onnx"


Make: TypeAlias = Callable[[Place], object]


@dataclass(frozen=True)
class Kind:
    """A bad file, or several that belong together."""

    make: Make
    says: str
    """A pattern of what the one line of the error has to say."""
    words: tuple[str, ...] = CHECK
    """The command, typed in the folder of the file."""
    code: int = 1
    """Its exit code; 0 where what is bad is told in one line and left out."""

    @property
    def lines(self) -> int:
        """The lines that say what is wrong: none where the file is odd, but means something."""
        return 1 if self.says else 0


def each(makes: dict[str, tuple[Make, str]], *words: str) -> dict[str, Kind]:
    """Kinds that are met with one command."""
    return {name: Kind(make, says, words or CHECK) for name, (make, says) in makes.items()}
