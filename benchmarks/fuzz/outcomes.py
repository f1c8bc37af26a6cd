"""What came of a case: it was read to its end, refused in one line, or it shows a bug."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from toolkit.errors import ToolkitError, typed_line

GOOD = ("judged", "read", "refused", "memory")
Outcome: TypeAlias = tuple[str, str]
"""One of GOOD or 'bug', and what was said."""


class Cases(Protocol):
    """The cases of one kind, each made from its seed alone."""

    def write(self, seed: int, folder: Path) -> str:
        """Writes the files of a case into an empty folder; returns what it was made of."""

    def read(self, folder: Path) -> Outcome:
        """Reads them as toolkit does; raises what toolkit raises."""


def of(read: Callable[[], Outcome]) -> Outcome:
    """The outcome of reading a case."""
    try:
        return read()
    except ToolkitError as error:
        return refused(error)
    except MemoryError as error:
        return "memory", str(error)
    except Exception as error:  # noqa: BLE001 - every other one is what is looked for.
        return "bug", f"{_place(error)} {typed_line(error)}"


def refused(error: ToolkitError) -> Outcome:
    """The outcome of a case that was refused: a bug where that takes more than one line."""
    is_one_line = "\n" not in error.what and bool(error.what)
    return ("refused" if is_one_line else "bug"), error.what


def _place(error: BaseException) -> str:
    """The file and the line in which an error was raised."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    return f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
