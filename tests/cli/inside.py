"""A command in this process: torch is imported once for all. What must be seen from outside
(the terminal, signals, another user) is tested with processes of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.command import Ended
from toolkit import cli

Command: TypeAlias = Callable[..., Ended]


def commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Returns a function that runs `toolkit …` in a folder; nothing imported from another test's
    folder is seen."""

    def run(*arguments: str) -> Ended:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(cli, "SUPERVISED", set())  # Else a process of its own does the work.
        monkeypatch.setattr(sys, "argv", ["toolkit", *arguments])
        monkeypatch.setattr(sys, "path", [*sys.path])
        for name in ("net", "layers"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run
