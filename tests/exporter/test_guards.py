"""The conditions that torch relied on are found with their lines, and nothing stays behind."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest

from tests.exporter import models
from toolkit.exporter import guards
from toolkit.exporter.guards import SizeGuard
from toolkit.exporter.quiet import Chatter


class Closing(logging.NullHandler):
    """Says whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


def test_looking_for_guards_leaves_no_file_behind_and_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated, traced = models.traced(models.Branch(), "x:float32[batch,seq=16]")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert guards.find(models.Branch(), stated, traced, Chatter())

    # torch makes an empty cache folder of its own there.
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    links = [link for link in list(Path("/proc/self/fd").iterdir()) if link.is_symlink()]
    assert [link for link in links if str(tmp_path) in os.readlink(link)] == []


def test_a_log_of_the_users_own_stays_open() -> None:
    stated, traced = models.traced(models.Branch(), "x:float32[batch,seq=16]")
    logger, handler = logging.getLogger("torch.__trace"), Closing()
    logger.addHandler(handler)

    guards.find(models.Branch(), stated, traced, Chatter())

    assert handler in logger.handlers
    assert not handler.closed
    logger.removeHandler(handler)


def test_a_second_export_still_knows_the_lines() -> None:
    """torch numbers a file's name once a process, and the report of a second trace lacks it."""
    stated, traced = models.traced(models.Branch(), "x:float32[batch,seq=16]")

    first, second = (guards.find(models.Branch(), stated, traced, Chatter()) for _ in range(2))

    assert [str(guard.line).split("   ")[1] for guard in second] == ["if x.shape[1] > 12:"]
    assert first == second


@pytest.mark.parametrize(
    ("expression", "text", "right", "wrong"),
    [
        ("s27 > 12", "seq > 12", 13, 12),
        ("Eq(4*((s27//4)), s27)", "4 * (seq // 4) = seq", 8, 9),
    ],
)
def test_a_guard_is_read_and_said_in_the_users_names(
    expression: str, text: str, right: int, wrong: int
) -> None:
    guard = SizeGuard(expression, {"s27": "seq"}, None)

    assert guard.text == text
    assert guard.holds({"seq": right})
    assert not guard.holds({"seq": wrong})


@pytest.mark.parametrize("expression", ["__import__('os').system('true')", "s27 >", "f(s27) > 1"])
def test_a_guard_that_is_no_arithmetic_is_never_executed(expression: str) -> None:
    assert SizeGuard(expression, {"s27": "seq"}, None).holds({"seq": 1})
