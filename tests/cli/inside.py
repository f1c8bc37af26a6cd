"""A command in this process: torch is imported once for all. What must be seen from outside
(the terminal, signals, another user) is tested with processes of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from toolkit.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    code: object
    out: str
    err: str


Command: TypeAlias = Callable[..., Ran]


def commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs `toolkit …` in a folder; nothing imported from another test's folder is seen."""

    def run(*arguments: str) -> Ran:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["toolkit", *arguments])
        monkeypatch.setattr(sys, "path", [*sys.path])
        for name in ("net", "layers"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(ended.value.code, *capsys.readouterr())

    return run
