"""`toolkit train` as a user sees it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli import inside
from tests.cli.inside import Command


@pytest.fixture
def toolkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return inside.commands(tmp_path, monkeypatch, capsys)


def test_training_says_what_was_learnt_and_where_it_is(tmp_path: Path, toolkit: Command) -> None:
    ended = toolkit("train")

    assert ended.code == 0
    lines = ended.out.replace("\u2009", " ").splitlines()
    assert lines[0] == (
        "train    digits: 1,437 to learn from, 360 held out · 64-128-2, 8,578 weights"
    )
    form = r" {9}epoch 10/10   loss 0\.0\d+   odd 9\d\.\d %   five or more 9\d\.\d % +[\d.]+ m?s"
    assert re.fullmatch(form, lines[1])
    assert lines[2] == "         models/mlp/mlp.safetensors written"
    assert ended.err == ""


def test_other_weights_are_kept_and_that_is_said(tmp_path: Path, toolkit: Command) -> None:
    toolkit("train", "--data", "random")
    before = (tmp_path / "models/mlp/mlp.safetensors").read_bytes()

    ended = toolkit("train")

    assert ended.code == 0
    assert ended.out.splitlines()[-1] == (
        "         models/mlp/mlp.safetensors holds other weights: kept, and used from here on"
        " (--force overwrites it)"
    )
    assert (tmp_path / "models/mlp/mlp.safetensors").read_bytes() == before


def test_a_folder_as_output_is_one_line_and_exit_code_1(tmp_path: Path, toolkit: Command) -> None:
    ended = toolkit("train", "-o", str(tmp_path))

    assert ended.code == 1
    assert ended.err.splitlines()[0] == (f"error: {tmp_path} is a folder; a file's name is needed")


def test_the_help_has_an_example(tmp_path: Path, toolkit: Command) -> None:
    ended = toolkit("train", "--help")

    assert "toolkit train --data random" in ended.out
