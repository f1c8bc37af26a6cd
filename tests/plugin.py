"""A plug-in's package: a runtime of another author, on disk as its installation leaves it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from toolkit.runtimes.listing import RuntimeEntry

HEAD = """
    from toolkit.runtimes.base import Placement
    from toolkit.runtimes.fake import Fake, FakeSession
"""


def package(folder: Path, body: str, name: str = "elsewhere") -> RuntimeEntry:
    """Writes the package `name` with a class Theirs in it; `body` is Python."""
    home = folder / name
    home.mkdir(parents=True)
    (home / "__init__.py").write_text("")
    text = textwrap.dedent(HEAD) + textwrap.dedent(body)
    (home / "runtime.py").write_text(text)
    return RuntimeEntry(name, f"{name}.runtime", "Theirs", home)


def installed(folder: Path, listed: RuntimeEntry) -> Path:
    """What an installer adds, so that the entry point is found; returns what goes on the path."""
    info = folder / f"{listed.name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {listed.name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[toolkit.runtimes]\n{listed.name} = {listed.module}:{listed.attribute}\n"
    )
    return folder
