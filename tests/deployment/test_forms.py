"""A destination whose runtime makes a form of its own of the model (R8)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests import plugin, small
from toolkit.deployment import forms
from toolkit.engine import assignment as assignments
from toolkit.engine import unoptimised
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.errors import EnvironmentFault, TargetError
from toolkit.workers import environments

pytestmark = pytest.mark.process

CONVERTING = """
    class Theirs(Fake):
        name = "elsewhere"

        def convert(self, program, feed, options, folder):
            shapes = {name: list(array.shape) for name, array in feed.items()}
            (folder / "model.txt").write_text(f"{program.model.name} {shapes}")
"""


@contextmanager
def assigned(folder: Path) -> Iterator[Assignment]:
    """The assignment of a small model, while its worker runs."""
    worker_code = environments.lay(folder / "assignment" / "rooms", [])
    start = partial(unoptimised.unoptimised, worker_code)
    yield assignments.ask(small.layer(folder / "layer.onnx"), FeedRequest(), folder, start)


def test_the_folder_that_convert_filled_is_what_goes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = plugin.package(tmp_path / "site", CONVERTING)
    monkeypatch.syspath_prepend(plugin.installed(tmp_path / "site", listed))
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))

    with assigned(tmp_path) as assignment:
        folder = forms.convert("elsewhere", assignment, tmp_path / "work")

    assert (folder / "model.txt").read_text() == "layer.onnx {'x': [1, 8]}"


def test_a_runtime_that_converts_nothing_is_told(tmp_path: Path) -> None:
    with assigned(tmp_path) as assignment, pytest.raises(TargetError, match="there is no form"):
        forms.convert("fake", assignment, tmp_path / "work")


def test_a_runtime_that_is_not_here_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    with assigned(tmp_path) as assignment, pytest.raises(EnvironmentFault, match="no Python env"):
        forms.convert(f"fake,env={tmp_path}/none", assignment, tmp_path / "work")
