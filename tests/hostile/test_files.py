"""Bad files of every kind: each ends its command in time, in one line that names what is wrong, and
nothing outside its folder is opened, read or written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import given, watching
from tests.hostile.commands import Commands, commands
from tests.hostile.kind import Kind, Place
from tests.hostile.listing import KINDS
from tests.hostile.watching import Watched
from toolkit.errors import SHOWN

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def toolkit() -> Iterator[Commands]:
    with commands() as started:
        yield started


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "inside", tmp_path / "outside")
    made.folder.mkdir()
    made.outside.mkdir()
    (made.outside / "w.bin").write_bytes(bytes(48))
    (made.outside / "run.json").write_bytes(b"{}")
    return made


@pytest.fixture
def outside(place: Place) -> Iterator[Watched]:
    with watching.watch(place.outside) as watched:
        yield watched


def wrong(text: str) -> list[str]:
    """The lines that say what is wrong, without those that say what to do."""
    return [line for line in text.splitlines() if not line.startswith("  ")]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_bad_file_is_told_in_one_line_and_nothing_outside_is_touched(
    toolkit: Commands, place: Place, outside: Watched, kind: Kind
) -> None:
    kind.make(place)
    before = sorted(path.name for path in place.folder.parent.iterdir())

    ended = toolkit.run(*kind.words, cwd=place.folder)

    assert ended.code == kind.code, ended.err
    assert [bool(re.search(kind.says, line)) for line in wrong(ended.err)] == [True] * kind.lines
    assert len(ended.err) < 2 * SHOWN
    assert outside.touched() == []
    assert sorted(path.name for path in place.folder.parent.iterdir()) == before
    assert not (place.folder / "stolen").exists()


def test_the_kinds_are_those_that_security_lists() -> None:
    assert len(KINDS) >= 150


def test_the_watch_sees_a_file_that_is_read_and_one_that_is_made(place: Place) -> None:
    with watching.watch(place.outside) as watched:
        (place.outside / "w.bin").read_bytes()
        assert set(watched.touched()) == {"w.bin"}
        (place.outside / "new").touch()
        assert set(watched.touched()) == {"new"}
        [*place.outside.iterdir()]
        assert watched.touched() == []


def test_a_pickle_that_makes_a_file_would_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the tests of pickles could not fail."""
    import pickle

    monkeypatch.chdir(tmp_path)

    pickle.loads(pickle.dumps(given.Malicious()))

    assert (tmp_path / "stolen").exists()
