"""Keeps in the user's cache what an unfinished run needs to go on and its folder does not tell.

A record shows no folder of the machine (`privacy.py`), and an anonymous one no machine. The whole
command and the machine's identity stand in a file of the user's own, one for each run, and go when
the run is finished. Without the file a run goes on where the user names its files again.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

from toolkit.errors import ToolkitError
from toolkit.records import untrusted
from toolkit.strict import Strict
from toolkit.units import Bytes
from toolkit.workers import cache

LARGEST: Bytes = 1 << 20
"""The most that is read of such a file: a command line has at most 128 KiB a word on Linux."""


class Whereabouts(Strict, frozen=True, kw_only=True):
    """The facts of an unfinished run that its record leaves out."""

    folder: str
    """The folder of the run."""
    started: str
    """The record's own: another run that has the folder now is another one."""
    command: list[str]
    """The command with whole paths; empty: the record's is whole."""
    identity: str
    """The machine's."""


def keep(facts: Whereabouts) -> None:
    """Writes the facts of a run, and removes those of runs that are gone.

    A cache that cannot be written costs no run: then the user names its files when it goes on.
    """
    folder = _folder()
    with contextlib.suppress(OSError, ToolkitError):
        cache.private(folder)
        for file in folder.glob("*.json"):
            known = _decoded(file)
            if known is None or not Path(known.folder).is_dir():
                file.unlink(missing_ok=True)
        untrusted.write(_file(Path(facts.folder)), msgspec.json.encode(facts), 0o600)


def of(run: Path, started: str) -> Whereabouts | None:
    """The facts of the run in a folder, by the start that its record tells; None: none are kept."""
    try:
        known = _decoded(_file(run))
    except ToolkitError:  # There is no home: so there is no cache.
        return None
    return known if known is not None and known.started == started else None


def forget(run: Path) -> None:
    """Removes the facts of a run that is finished, or of which nothing is kept."""
    with contextlib.suppress(OSError, ToolkitError):
        _file(run).unlink(missing_ok=True)


def _decoded(file: Path) -> Whereabouts | None:
    try:
        return msgspec.json.decode(untrusted.read(file, LARGEST), type=Whereabouts)
    except (OSError, ToolkitError, msgspec.DecodeError):
        return None


def _folder() -> Path:
    return cache.root() / "runs"


def _file(run: Path) -> Path:
    return _folder() / f"{hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:32]}.json"
