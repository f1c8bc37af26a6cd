"""A run's folder of a stranger, or of a disk that failed: it ends nothing and takes no memory. What
can be read is shown, and what cannot is named in one line."""

from __future__ import annotations

import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.cli.test_report import keep
from tests.hostile.runfolders import archive as packed
from tests.hostile.runfolders import claiming, npy
from tests.records.test_store import part
from tests.report import runs
from toolkit.cli.bench import command as bench
from toolkit.cli.compare import command as compare
from toolkit.cli.report import command as report
from toolkit.errors import RunError, ToolkitError
from toolkit.operatortests.outcome import OutcomeLedger
from toolkit.pipelines.compare import compare as compared
from toolkit.records import store
from toolkit.records.schema import Run, TargetRecord
from toolkit.records.store import RunFolder
from toolkit.report.summary import summarize

PIPE, SPARSE, LINK, FOLDER = "a pipe", "a sparse file", "a link", "a folder"


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """A test that waits at a pipe is ended: an alarm raises in its call."""
    import signal

    def waited(number: int, frame: object) -> None:
        raise AssertionError("it waits at a pipe")

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run."""
    path = tmp_path / "reports" / "20261123T104501Z-mlp"
    path.mkdir(parents=True)
    keep(path, *runs.make(runs.MIXED, runs.Shape(starts=7, calls=5)))
    return path


@pytest.fixture
def unfinished(tmp_path: Path) -> Path:
    """A run with three generations of its own, which has not ended."""
    run, _ = runs.make(runs.MIXED, runs.Shape())
    records = [
        TargetRecord(target=record.target, verdict=record.verdict, library=record.library)
        for record in run.records
    ]
    fresh = RunFolder(tmp_path / "run")
    fresh.path.mkdir()
    fresh.begin(msgspec.structs.replace(run, state="running", records=records, generations=[]))
    for number in range(3):
        fresh.append(*part(number))
    return fresh.path


def plant(file: Path, kind: str) -> None:
    file.unlink(missing_ok=True)
    if kind == PIPE:
        os.mkfifo(file)
    elif kind == FOLDER:
        file.mkdir()
    elif kind == LINK:
        file.symlink_to("/etc/passwd")
    else:
        with file.open("wb") as out:
            out.truncate(50 << 30)


def typed(command: Any, *words: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, words)], catch_exceptions=False)


def refused(command: Any, *words: str | Path) -> str:
    """The one line of the error with which a command ends."""
    with pytest.raises(ToolkitError) as caught:
        typed(command, *words)
    assert "\n" not in caught.value.what
    return caught.value.what


# What is no file, and what is too large


SAID = {
    PIPE: "is not read: it is a pipe",
    LINK: "is not read: it is a link, which is not followed",
    SPARSE: "is not read: it has 53.7\u2009GB, ",
}


@pytest.mark.parametrize(("kind", "said"), SAID.items(), ids=SAID)
def test_a_record_that_is_no_file_of_its_own_is_refused_at_once(
    folder: Path, kind: str, said: str
) -> None:
    file = folder / "run.json"
    plant(file, kind)

    for line in (
        refused(report, folder),
        refused(report, file),
        refused(compare, folder, folder),
        refused(bench, "--resume", folder),
        refused(bench, "--resume", "-o", folder.parent),
    ):
        assert line.startswith(f"{file} {said}")


@pytest.mark.parametrize(("kind", "said"), SAID.items(), ids=SAID)
def test_samples_that_are_no_file_of_their_own_are_left_out(
    folder: Path, kind: str, said: str
) -> None:
    whole = typed(report, folder).stdout
    plant(folder / "samples.npz", kind)

    done = typed(report, folder)

    assert done.exit_code == 0
    assert done.stderr.startswith(f"left out: {folder / 'samples.npz'} {said}")
    assert done.stderr.count("\n") == 1
    assert done.stdout.splitlines()[0] == whole.splitlines()[0]


def test_a_ledger_that_is_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ledger.jsonl")

    with pytest.raises(RunError, match=r"ledger\.jsonl is not read: it is a pipe$"):
        OutcomeLedger(tmp_path / "ledger.jsonl").read()


# Archives that claim more than they hold, or hold more than they claim


INT64 = {"descr": "<i8", "fortran_order": False, "shape": (2,)}
WHOLE = npy(INT64, bytes(16))
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "unpacks to 4 GB": (lambda: claiming(packed(WHOLE), 2**32 - 2), "unpacks to 4.29\u2009GB, "),
    "holds less than it claims": (
        lambda: claiming(packed(WHOLE), 2**30),
        "it holds less than it claims",
    ),
    "holds 256 MB more than it claims": (
        lambda: claiming(packed(bytes(1 << 28)), 200),
        "Bad CRC-32",
    ),
    "a header of 10^15 elements": (
        lambda: packed(npy({**INT64, "shape": (10**15,)}, bytes(16))),
        "an array has not the size that its header claims",
    ),
    "a header of less than nothing": (
        lambda: packed(npy({**INT64, "shape": (-1, -2)}, bytes(16))),
        "an array has not the size that its header claims",
    ),
    "a header that is no Python": (
        lambda: packed(b"\x93NUMPY\x01\x00\x10\x00" + b"('''(\n \n  (((\t\\ "),
        "it holds no array: ",
    ),
    "pickled": (
        lambda: packed(npy({**INT64, "descr": "|O"})),
        "it holds object, and neither int64 nor bytes",
    ),
    "floats": (
        lambda: packed(npy({**INT64, "descr": "<f8"}, bytes(16))),
        "it holds float64, and neither int64 nor bytes",
    ),
    "times below nothing": (
        lambda: packed(npy(INT64, np.array([5, -5]).tobytes())),
        "it has a sample that lasted less than no time",
    ),
    "bytes": (
        lambda: packed(npy({**INT64, "descr": "|u1"}, bytes(2))),
        "it has samples of the type uint8",
    ),
    "packed by another method": (
        lambda: packed(WHOLE, method=zipfile.ZIP_BZIP2),
        "it is packed in a way that numpy does not use",
    ),
    "nothing": (lambda: b"", "File is not a zip file"),
}


@pytest.mark.parametrize(("archive", "said"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_that_lies_is_left_out_and_takes_no_memory(
    folder: Path, archive: Callable[[], bytes], said: str
) -> None:
    (folder / "samples.npz").write_bytes(archive())
    tracemalloc.start()
    try:
        (line,) = store.damage(folder)
        samples = store.read_samples(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert samples == {}
    assert said in line
    assert "\n" not in line
    assert peak < 50 << 20


def test_what_several_archives_hold_is_limited_together(
    unfinished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = store.read_samples(unfinished)
    monkeypatch.setattr(store, "MOST_SAMPLES", 500)  # Each has two arrays of 176 bytes.

    assert sorted(every) == ["0/0/0", "0/0/1", "0/0/2", "1/0/0", "1/0/1", "1/0/2"]
    assert sorted(store.read_samples(unfinished)) == ["0/0/0", "0/0/1", "1/0/0", "1/0/1"]
    (line,) = store.damage(unfinished)
    assert "generations/0002.npz is not read: it unpacks to 352\u2009bytes, " in line


# A record whose parts do not fit together


def changed(run: Run, *way: str | int, value: object) -> bytes:
    """The bytes of a record with another value at one place."""
    raw = json.loads(store.encode(run))
    inner = raw
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = value
    return json.dumps(raw).encode()


TIMING = ("records", 0, "timings", 0)
UNSOUND: dict[str, tuple[tuple[str | int, ...], object, str]] = {
    "baseline -7": (("plan", "baseline"), -7, "its baseline is -7, and it has 6 targets"),
    "baseline 99": (("plan", "baseline"), 99, "its baseline is 99, and it has 6 targets"),
    "target 99": (("records", 0, "target"), 99, "it has results of target 99, and 6 targets"),
    "target -1": (("records", 0, "target"), -1, "it has results of target -1, and 6 targets"),
    "a target twice": (("records", 1, "target"), 0, "it has the results of one target twice"),
    "case 5": ((*TIMING, "case"), 5, "it has results of case 5, and 1 case"),
    "a generation twice": (
        ("generations", 1, "number"),
        0,
        "it has the results of one generation twice",
    ),
    "a price below nothing": (("plan", "price"), -0.34, "its price is -0.34"),
    "a limit of no time": (("plan", "latency_limit"), 0.0, "its limit of latency is 0.0"),
    "alpha 2": (("plan", "alpha"), 2.0, "its alpha is 2.0"),
    "no blocks in one column": (
        (*TIMING, "series", 0, "medians"),
        [],
        "the blocks of a process start are not equally many in all columns",
    ),
    "a time below nothing": (
        (*TIMING, "series", 0, "means", 0),
        -1.0,
        "a block has a time that no call takes",
    ),
    "a number of 40 digits": (
        ("plan", "model", "size"),
        10**40,
        "it has a number that is beyond all sizes",
    ),
    "no output": (("records", 0, "verdict", "outputs"), [], "a verdict judges no output"),
}


@pytest.mark.parametrize(("way", "value", "said"), UNSOUND.values(), ids=UNSOUND)
def test_a_record_that_does_not_fit_together_is_one_line(
    folder: Path, way: tuple[str | int, ...], value: object, said: str
) -> None:
    run, _ = runs.make(runs.MIXED, runs.Shape(starts=7, calls=5))
    (folder / "run.json").write_bytes(changed(run, *way, value=value))

    for line in (
        refused(report, folder),
        refused(compare, folder, folder),
        refused(bench, "--resume", folder),
    ):
        assert line == f"{folder / 'run.json'} is a broken record: {said}"


@pytest.mark.parametrize("before", [b'{"version": 4, "x": ', b'{"version": ', b""])
def test_a_record_without_a_bottom_is_one_line(folder: Path, before: bytes) -> None:
    (folder / "run.json").write_bytes(before + b"[" * 200_000)

    assert refused(report, folder).startswith(f"{folder / 'run.json'} is no record of a run: ")


def test_an_error_has_no_control_characters_of_the_record(folder: Path) -> None:
    run, _ = runs.make(runs.MIXED, runs.Shape(starts=7, calls=5))
    (folder / "run.json").write_bytes(changed(run, "\x1b[31mred", value=1))

    line = refused(report, folder)

    assert line.isprintable()
    assert "red" in line


# A run of which one generation is damaged


def target_99(file: Path) -> None:
    generation, samples = part(1)
    targets = [msgspec.structs.replace(generation.targets[0], target=99)]
    broken = msgspec.structs.replace(generation, targets=targets)
    text = np.frombuffer(msgspec.json.encode(broken), np.uint8)
    np.savez_compressed(file, slice=text, **samples)  # type: ignore[arg-type]


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no bytes": (lambda file: file.write_bytes(b""), "is broken: File is not a zip file"),
    "a pipe": (lambda file: plant(file, PIPE), "is not read: it is a pipe"),
    "a folder": (lambda file: plant(file, FOLDER), "is not read: it is a folder"),
    "half of it": (
        lambda file: file.write_bytes(file.read_bytes()[:300]),
        "is broken: File is not a zip file",
    ),
    "no UTF-8": (
        lambda file: np.savez_compressed(file, slice=np.frombuffer(b'{"\xa3": 1}', np.uint8)),
        "is a broken record of a generation: 'utf-8' codec can't decode byte 0xa3 in position 0: "
        "invalid start byte",
    ),
    "target 99": (
        target_99,
        "is a broken record of a generation: it has results of target 99, and 6 targets",
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
def test_one_damaged_generation_costs_itself_alone(
    unfinished: Path, damage: Callable[[Path], object], said: str
) -> None:
    file = unfinished / "generations" / "0001.npz"
    damage(file)

    done = typed(report, unfinished)
    notes = compared(unfinished, unfinished).notes

    assert done.exit_code == 0
    assert done.stderr == f"left out: {file} {said}\n"
    assert notes[0] == f"left out: {file} {said}"
    run = store.read(unfinished)
    assert [generation.number for generation in run.generations] == [0, 2]
    assert summarize(run, store.read_samples(unfinished)).measured


def test_the_end_of_a_run_keeps_the_files_that_it_could_not_read(unfinished: Path) -> None:
    file = unfinished / "generations" / "0001.npz"
    file.write_bytes(b"half")
    folder = RunFolder(unfinished)

    whole = folder.finish(msgspec.structs.replace(store.head(unfinished), state="done"))

    assert [generation.number for generation in whole.generations] == [0, 2]
    assert file.read_bytes() == b"half"
    assert store.read(unfinished) == whole


def test_files_beside_the_generations_are_none(unfinished: Path) -> None:
    for name in (".0003.npz.12ab.part", "x\n\x1b[31m.npz", "latest.npz"):
        os.mkfifo(unfinished / "generations" / name)

    assert store.damage(unfinished) == []
    assert len(store.read(unfinished).generations) == 3
