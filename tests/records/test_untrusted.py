"""Folders in which somebody planted something: no file of the user is overwritten."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.test_report import keep
from tests.records.test_store import part
from tests.report import runs
from toolkit.cli.compare import command as compare
from toolkit.cli.report import command as report
from toolkit.errors import InputError
from toolkit.operatortests.outcome import OperatorOutcome, OutcomeLedger
from toolkit.records import store, untrusted
from toolkit.records.store import RunFolder

NOW = datetime(2026, 11, 23, 10, 45, 1, tzinfo=UTC)


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file of the user, outside of every folder that is written to."""
    file = tmp_path / "precious"
    file.write_bytes(b"mine")
    return file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, as a pull request may bring it: with a finished run in it."""
    folder = tmp_path / "here"
    (folder / "run").mkdir(parents=True)
    keep(folder / "run", *runs.make(runs.MIXED, runs.Shape(starts=7, calls=5)))
    monkeypatch.chdir(folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# A link that lies where the file beside was made, and one that has the name itself


@pytest.mark.parametrize("link", [".out.part", "out"])
def test_a_link_that_was_planted_is_not_written_through(
    tmp_path: Path, precious: Path, link: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / link).symlink_to(precious)

    untrusted.write(folder / "out", b"new")

    assert precious.read_bytes() == b"mine"
    assert (folder / "out").read_bytes() == b"new"
    assert not (folder / "out").is_symlink()
    assert names(folder) == sorted({link, "out"})


COMMANDS: dict[str, Callable[[str], tuple[object, list[str]]]] = {
    "report -o": lambda name: (report, ["run", "--format", "csv", "-o", name]),
    "report --format markdown": lambda name: (report, ["run", "--format", "markdown", "-o", name]),
    "report --format html": lambda name: (report, ["run", "--format", "html", "-o", name]),
    "compare --junit": lambda name: (compare, ["run", "run", "--junit", name]),
    "compare --markdown": lambda name: (compare, ["run", "run", "--markdown", name]),
}


@pytest.mark.parametrize("link", [".out.part", "out"])
@pytest.mark.parametrize("typed", COMMANDS.values(), ids=COMMANDS)
def test_no_command_writes_through_a_link_in_the_current_folder(
    here: Path, precious: Path, typed: Callable[[str], tuple[object, list[str]]], link: str
) -> None:
    (here / link).symlink_to(precious)
    command, words = typed("out")

    done = CliRunner().invoke(command, words, catch_exceptions=False)  # type: ignore[arg-type]

    assert done.exit_code == 0, done.output
    assert precious.read_bytes() == b"mine"
    assert (here / "out").stat().st_size > 0
    assert not (here / "out").is_symlink()


@pytest.mark.parametrize("name", ["run.json", "samples.npz", "generations/0000.npz"])
def test_a_run_goes_on_beside_links_that_were_planted_in_its_folder(
    tmp_path: Path, precious: Path, name: str
) -> None:
    run, _ = runs.make(runs.MIXED, runs.Shape(starts=1, calls=5))
    folder = RunFolder(tmp_path / "run")
    (folder.path / "generations").mkdir(parents=True)
    planted = folder.path / name
    planted.with_name(f".{planted.name}.part").symlink_to(precious)

    folder.begin(run)
    folder.append(*part(0))
    folder.finish(run)

    assert precious.read_bytes() == b"mine"
    assert not (folder.path / "run.json").is_symlink()


def test_a_folder_of_generations_that_is_a_link_takes_none(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "generations").symlink_to(elsewhere)

    with pytest.raises(InputError) as caught:
        RunFolder(tmp_path / "run").append(*part(0))

    assert caught.value.what == (
        f"{tmp_path}/run/generations is a link, and a run is written into its own folder alone"
    )
    assert names(elsewhere) == []


def test_the_file_beside_has_another_name_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        made.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    for _ in range(9):
        untrusted.write(tmp_path / "out", b"new")

    assert len(set(made)) == 9
    assert names(tmp_path) == ["out"]


def test_a_name_as_long_as_a_file_system_has_it_is_written(tmp_path: Path) -> None:
    longest = "語" * 85  # 255 bytes.

    untrusted.write(tmp_path / longest, b"new")

    assert names(tmp_path) == [longest]


def test_a_file_has_the_rights_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        untrusted.write(tmp_path / "out", b"new")
    finally:
        os.umask(before)

    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_a_pipe_a_device_and_a_folder_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()

    for name, kind in (("pipe", "a pipe"), ("link", "a device"), ("folder", "a folder")):
        with pytest.raises(InputError) as caught:
            untrusted.write(tmp_path / name, b"new")

        assert caught.value.what == f"{tmp_path / name} cannot be written: it is {kind}"
    assert names(tmp_path) == ["folder", "link", "pipe"]


# The ledger of conformance, which is added to


OUTCOME = OperatorOutcome("c", "Relu", 20, "oracle", "1", "1", "right")


def test_a_ledger_that_is_a_link_or_a_pipe_takes_nothing(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "link").symlink_to(precious)
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (
        ("link", "it is a link, which is not followed"),
        ("pipe", "it is a pipe or a socket"),
    ):
        with (
            pytest.raises(InputError) as caught,
            OutcomeLedger(tmp_path / name).begun(OUTCOME),
        ):
            pass

        assert caught.value.what == f"{tmp_path / name} cannot be written: {kind}"
    assert precious.read_bytes() == b"mine"


# Two runs at once


def test_runs_that_start_in_one_second_have_a_folder_each(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def create(turn: int) -> Path:
        together.wait(10)
        return store.create(tmp_path / str(turn // 4), "mlp.onnx", NOW).path

    with ThreadPoolExecutor(4) as pool:
        made = [*pool.map(create, range(400))]

    assert len(set(made)) == 400


def test_a_name_that_is_taken_in_between_is_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run makes its folder right after this one found the name free."""
    first = store.create(tmp_path, "mlp", NOW).path
    monkeypatch.setattr(Path, "exists", lambda self, **given: False)

    second = store.create(tmp_path, "mlp", NOW).path

    assert (first.name, second.name) == ("20261123T104501Z-mlp", "20261123T104501Z-mlp-2")
