"""A process tells its steps through a page, and another one reads them."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from toolkit.oracle import oracles
from toolkit.supervision import progress
from toolkit.supervision.progress import LEAVINGS, PAGE, SIZE, VARIABLE
from toolkit.tensors import TensorSpec


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[mmap.mmap]:
    """The page of this process, which has joined it."""
    (tmp_path / PAGE).write_bytes(bytes(SIZE))
    (tmp_path / LEAVINGS).touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(progress, "_page", progress._Page())
    assert progress.join()
    with open(tmp_path / PAGE, "r+b") as file, mmap.mmap(file.fileno(), SIZE) as mapped:
        yield mapped


def test_without_a_page_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert not progress.join()
    with progress.bounded():
        progress.step("a node")


def test_the_variable_goes_to_no_process_that_is_started(page: mmap.mmap) -> None:
    import os

    assert VARIABLE not in os.environ


def test_a_step_is_told_with_its_limit(page: mmap.mmap) -> None:
    assert not progress.look(page).bounded
    with progress.bounded():
        progress.step("MatMul 'é'", 3, 10)
        state = progress.look(page)

        assert (state.bounded, state.text) == (True, "MatMul 'é'")
        assert state.limit == progress.NODE_LIMIT
        assert 0 < state.left <= progress.WHOLE_LIMIT
    assert not progress.look(page).bounded


def test_a_stated_limit_is_that_of_a_step_and_of_all(page: mmap.mmap) -> None:
    with progress.bounded(500.0):
        progress.step("a")
        state = progress.look(page)

        assert state.limit == 500
        assert state.left <= 500
        with progress.bounded(1.0):  # Within another block its limits hold.
            progress.step("b")
            assert progress.look(page).limit == 500
        progress.step("c")
        assert progress.look(page).bounded


def test_what_waits_for_others_has_the_end_of_all_steps_alone(page: mmap.mmap) -> None:
    with progress.bounded():
        with progress.waiting("a worker"):
            assert progress.look(page).limit == float("inf")
            assert progress.look(page).left < float("inf")
        assert progress.look(page).limit == progress.NODE_LIMIT


def test_the_users_own_module_may_take_its_time(page: mmap.mmap) -> None:
    import torch

    limits = []

    class Slow(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            limits.append(progress.look(page).limit)
            return x * 2

    feed = {"x": np.ones(3, np.float32)}
    with progress.bounded():
        oracle = oracles.of_module(Slow(), [TensorSpec("x", "float32", (3,))], feed)
        oracle.in_float32(feed)

    assert limits == [float("inf")] * 2


def test_a_text_that_is_too_long_is_cut(page: mmap.mmap) -> None:
    with progress.bounded():
        progress.step("x" * 2 * SIZE)

        assert 0 < len(progress.look(page).text) < SIZE


def test_what_must_not_stay_is_named_as_long_as_it_is_there(
    page: mmap.mmap, tmp_path: Path
) -> None:
    leavings = tmp_path / LEAVINGS
    with progress.leaving(tmp_path / "one"), progress.leaving(tmp_path / "two"):
        assert leavings.read_text().splitlines() == [str(tmp_path / n) for n in ("one", "two")]
    assert leavings.read_text() == ""


def test_a_listener_hears_the_share_of_the_steps(
    page: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    heard: list[tuple[float | None, str]] = []
    with progress.listening(lambda share, text: heard.append((share, text))), progress.bounded():
        progress.step("a node", 1, 4)
        progress.step("reading")
    progress.step("nobody hears")

    assert heard[:2] == [(0.25, "a node"), (None, "reading")]
    assert "nobody hears" not in {text for _, text in heard}
