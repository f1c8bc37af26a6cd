"""A file that changes after it was read is told, and one that does not is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.onnxfiles import filestates

CONTENT = b"0123456789"


def grow(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"more")


def truncate(file: Path) -> None:
    os.truncate(file, 3)


def rewrite(file: Path) -> None:
    before = file.stat().st_mtime_ns
    file.write_bytes(CONTENT[::-1])
    # Some file systems keep the time in steps of 10 ms, and this file was made a moment ago.
    os.utime(file, ns=(before + 1, before + 1))


def swap(file: Path) -> None:
    """Puts an identical copy in its place, with the time of the old one."""
    copy = file.with_name("copy")
    shutil.copy2(file, copy)
    copy.replace(file)


def relink(file: Path) -> None:
    """Lets the link lead to an identical copy."""
    other = file.with_name("other")
    shutil.copy2(file, other)
    file.unlink()
    file.symlink_to(other)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "grown": (grow, "it had 10 bytes, now it has 14"),
    "shorter": (truncate, "it had 10 bytes, now it has 3"),
    "rewritten": (rewrite, "it was written to"),
    "an identical copy": (swap, "another file was put in its place"),
    "another link": (relink, "another file was put in its place"),
    "gone": (Path.unlink, "it cannot be opened any more (No such file or directory)"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_named_with_its_file(
    tmp_path: Path, change: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "m.data"
    file.write_bytes(CONTENT)
    states = [filestates.of(file)]
    filestates.demand_unchanged(states)

    change(file)

    with pytest.raises(InputError) as caught:
        filestates.demand_unchanged(states)
    assert caught.value.what == (
        f"{file} changed while the command ran: {words}, so no result is shown"
    )
    assert caught.value.cures == ("run it again when nothing writes to that file",)


def test_a_file_that_was_only_read_linked_or_made_read_only_has_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "m.data"
    file.write_bytes(CONTENT)
    states = [filestates.of(file)]

    file.read_bytes()
    file.chmod(0o444)
    (tmp_path / "second").hardlink_to(file)

    filestates.demand_unchanged(states)


def test_an_error_of_a_block_in_which_a_file_changed_is_the_changes(tmp_path: Path) -> None:
    """What reads half of a new file raises whatever it likes."""
    file = tmp_path / "m.data"
    file.write_bytes(CONTENT)

    with pytest.raises(InputError, match=r"m\.data changed while") as caught:
        fail_in_a_block(file)
    assert isinstance(caught.value.__cause__, IndexError)


def fail_in_a_block(file: Path) -> None:
    with filestates.unchanged([filestates.of(file)]):
        truncate(file)
        raise IndexError("behind the end")


def test_another_error_of_a_block_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "m.data"
    file.write_bytes(CONTENT)

    with pytest.raises(IndexError), filestates.unchanged([filestates.of(file)]):
        raise IndexError("behind the end")
