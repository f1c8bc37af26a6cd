"""Files land whole or not at all."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.exporter import landing


def _fail_within(final: Path, error: BaseException) -> None:
    with landing.beside(final) as folder:
        (folder / final.name).write_text("half")
        raise error


def test_a_file_lands_under_its_name_with_ordinary_rights(tmp_path: Path) -> None:
    final = tmp_path / "new" / "folder" / "m.onnx"

    with landing.beside(final) as folder:
        (folder / "m.onnx").write_text("whole")
        landing.land(folder / "m.onnx", final)

    assert final.read_text() == "whole"
    assert final.stat().st_mode & 0o777 == 0o644
    assert list(final.parent.iterdir()) == [final]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError], ids=["^C", "a failure"])
def test_nothing_is_left_where_the_block_ends_early(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        _fail_within(tmp_path / "new" / "folder" / "m.onnx", error())

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_where_the_interrupt_comes_as_the_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def made_then_interrupted(path: str, mode: int = 0o777) -> None:
        make(path, mode)
        if Path(path).name.startswith("."):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "mkdir", made_then_interrupted)
    with pytest.raises(KeyboardInterrupt), landing.beside(tmp_path / "new" / "m.onnx"):
        pass

    assert [*tmp_path.iterdir()] == []


def test_the_old_file_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    final = tmp_path / "m.onnx"
    final.write_text("old")

    with pytest.raises(ValueError, match="no proof"):
        _fail_within(final, ValueError("no proof"))

    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_a_folder_in_the_place_of_the_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        with landing.beside(tmp_path):
            pass

    assert caught.value.what == f"{tmp_path} is a folder; a file's name is needed"


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "f").touch()

    with pytest.raises(InputError) as caught:
        with landing.beside(tmp_path / "f" / "m.onnx"):
            pass

    assert caught.value.what == f"{tmp_path}/f/m.onnx was not written: part of its path is a file"


@pytest.mark.process
def test_a_full_disk_is_one_clear_line_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk, in a process of its own."""
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from toolkit.exporter import landing\n"
        "from toolkit.errors import InputError\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        "try:\n"
        "    with landing.beside(Path('new/m.onnx')) as folder:\n"
        "        (folder / 'm.onnx').write_bytes(bytes(2000))\n"
        "except InputError as error:\n"
        "    print(error.what)\n"
    )

    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)

    assert ran.stdout == (
        "new/m.onnx was not written: the file would be larger than this process may write\n"
    ), ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_folders_of_test_data_replace_their_predecessors(tmp_path: Path) -> None:
    old = tmp_path / "data_0"
    old.mkdir()
    (old / "old").touch()

    with landing.beside(tmp_path / "m.onnx") as folder:
        new = folder / "data_0"
        new.mkdir()
        (new / "new").touch()
        landed = landing.land_folders([new], tmp_path, instead_of=[old])

    assert landed == [old]
    assert [file.name for file in old.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [old]
