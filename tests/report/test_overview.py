"""The list of runs: a line or two that tell one from another."""

from __future__ import annotations

import msgspec
import pytest

from tests.report import runs
from toolkit.records.schema import Run
from toolkit.report import overview


@pytest.mark.parametrize(
    ("rows", "fastest", "answers"),
    [
        (runs.TWO, "onnxruntime cpu", "all right"),
        (runs.MIXED, "onnxruntime cpu, bound", "1 less precise, 1 wrong, 1 not measured"),
    ],
    ids=["two", "mixed"],
)
def test_a_run_is_summed_up(rows: tuple[runs.Row, ...], fastest: str, answers: str) -> None:
    run, _ = runs.make(rows)

    listed = overview.listed_run("20261123T224523Z-mlp", run)

    assert listed.targets == len(rows)
    assert listed.fastest == fastest
    assert listed.takes.endswith("µs")
    assert listed.answers == answers


def test_the_list_wraps_between_words_and_names_what_is_not_done() -> None:
    run: Run = msgspec.structs.replace(runs.make(runs.MIXED)[0], state="interrupted")
    listed = overview.listed_run("a-name\x1b[2J" + "-of-a-folder" * 5, run)

    text = overview.terminal([listed], 60)

    first, *rest = text.splitlines()
    assert first.startswith(f"{run.started[:10]} ")
    assert "\x1b" not in text
    assert max(map(len, rest)) <= 60
    assert "interrupted" in text
