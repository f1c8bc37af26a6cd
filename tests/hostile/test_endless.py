"""Models that have no end, or that no memory holds: the command is ended in time, in one line that
names the node."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import command
from tests.hostile import graphs, stored
from tests.hostile.kind import Make, Place
from tests.hostile.modelfiles import text

pytestmark = pytest.mark.process

KINDS: dict[str, tuple[Make, str]] = {
    **{name: (text(body), says) for name, (body, says) in graphs.ENDLESS.items()},
    "a tree with a circle": (graphs.CIRCLE, "TreeEnsembleRegressor 'bad'"),
    "weights of 8 GiB that are nothing": (stored.sparse, "w.bin"),
}


@pytest.mark.parametrize(("make", "says"), KINDS.values(), ids=KINDS)
def test_a_model_without_an_end_is_ended_and_named(tmp_path: Path, make: Make, says: str) -> None:
    place = Place(tmp_path, tmp_path)
    make(place)

    ended = command.run(
        *("check", "m.onnx", "--target", "reference"),
        *("--timeout", "2s", "--memory-limit", "2GB"),
        cwd=tmp_path,
    )

    assert ended.code == 1
    (error,) = ended.errors
    assert re.search(says, error)
    assert command.workers(tmp_path) == []
