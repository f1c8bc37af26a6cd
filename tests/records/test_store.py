"""A run's folder: nothing that was measured is lost, and nothing that is broken is believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.report import runs
from toolkit.errors import DiskFull, RunError
from toolkit.records import store, untrusted, upgrade
from toolkit.records.parts import CasePart, GenerationPart, TargetPart
from toolkit.records.schema import VERSION, Generation, Run, Series, TargetRecord
from toolkit.records.store import RunFolder
from toolkit.tensors import Array

GOLDEN = Path(__file__).parent / "golden"
NOW = datetime(2026, 11, 23, 10, 45, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Run:
    """A run that has just begun: its plan, and nothing measured."""
    run, _ = runs.make(runs.MIXED, runs.Shape())
    records = [TargetRecord(target=record.target, verdict=record.verdict) for record in run.records]
    return msgspec.structs.replace(run, state="running", records=records, generations=[])


@pytest.fixture
def folder(tmp_path: Path, running: Run) -> RunFolder:
    fresh = store.create(tmp_path / "reports", "mlp", NOW)
    fresh.begin(running)
    return fresh


def part(number: int, *, loaded: float = 0.25) -> tuple[GenerationPart, dict[str, Array]]:
    """One generation of two targets."""
    series = Series(
        generation=number, starts=[0.5, 0.6], medians=[7.0, 8.0], means=[7.0, 8.0], switches=[0, 0]
    )
    case = CasePart(case=0, calls=3, discarded=1, series=series)
    generation = Generation(
        number=number, cores=[0], driver=[1], started=1.0, ended=2.0, steal=0.0, others=0.0
    )
    targets = [TargetPart(target=target, cases=[case], loaded=loaded) for target in (0, 1)]
    samples = {f"{target}/0/{number}": np.array([[7, 7, 7], [8, 8, 8]]) for target in (0, 1)}
    return GenerationPart(generation=generation, targets=targets), samples


def fill(folder: RunFolder, count: int) -> None:
    for number in range(count):
        folder.append(*part(number))


def counted(run: Run) -> tuple[list[int], list[int]]:
    """The numbers of the generations, and of those with a time of target 0."""
    series = run.records[0].timings[0].series if run.records[0].timings else []
    return [g.number for g in run.generations], [one.generation for one in series]


# What is there when


def test_a_run_is_named_by_the_time_and_the_model_and_no_two_are_the_same(tmp_path: Path) -> None:
    names = [store.create(tmp_path, name, NOW).path.name for name in ("ü", "a b/c", "m", "m")]

    assert [name.removeprefix("20261123T104501Z-") for name in names] == [
        "model", "a-b-c", "m", "m-2",
    ]  # fmt: skip


def test_a_run_that_measured_nothing_leaves_no_trace(tmp_path: Path, running: Run) -> None:
    reports = tmp_path / "reports"
    only = store.create(reports, "m", NOW)
    only.begin(running)
    only.discard()
    assert not reports.exists()

    first, second = (store.create(reports, name, NOW) for name in ("first", "second"))
    first.begin(running)
    second.begin(running)
    second.discard()
    assert (reports / "latest").resolve() == first.path.resolve()
    store.create(reports, "third", NOW).discard()
    assert {path.name for path in reports.iterdir()} == {first.path.name, "latest"}


def test_the_whole_plan_stands_there_before_anything_is_measured(
    folder: RunFolder, running: Run
) -> None:
    assert store.read(folder.path) == running
    assert (folder.path.parent / "latest").resolve() == folder.path.resolve()


def test_what_was_measured_is_read_while_the_run_goes_on(folder: RunFolder) -> None:
    fill(folder, 2)

    run = store.read(folder.path)

    assert run.state == "running"
    assert counted(run) == ([0, 1], [0, 1])
    assert run.records[1].cold.loaded == [0.25, 0.25]
    assert sorted(store.read_samples(folder.path)) == ["0/0/0", "0/0/1", "1/0/0", "1/0/1"]


def test_at_the_end_all_is_in_the_record_and_the_pieces_are_gone(
    folder: RunFolder, running: Run
) -> None:
    fill(folder, 3)
    before = store.read_samples(folder.path)

    whole = folder.finish(msgspec.structs.replace(running, state="done"))

    assert sorted(path.name for path in folder.path.iterdir()) == ["run.json", "samples.npz"]
    assert store.read(folder.path) == whole
    assert counted(whole) == ([0, 1, 2], [0, 1, 2])
    after = store.read_samples(folder.path)
    assert after.keys() == before.keys()
    assert all((after[key] == before[key]).all() and after[key].dtype == np.int64 for key in after)


def test_a_record_of_one_run_is_the_same_bytes_again(running: Run) -> None:
    assert store.encode(running) == store.encode(
        msgspec.json.decode(store.encode(running), type=Run)
    )


# What a fault leaves


def renames(monkeypatch: pytest.MonkeyPatch, fail_at: int) -> list[int]:
    """Makes the rename number `fail_at` the moment at which the process dies."""
    seen = [0]
    real = os.replace

    def replace(self: Path, target: Path) -> Path:
        seen[0] += 1
        if seen[0] == fail_at:
            raise SystemExit("killed")
        real(self, target)
        return target

    monkeypatch.setattr(Path, "replace", replace)
    return seen


def measure(folder: RunFolder, running: Run) -> None:
    fill(folder, 2)
    folder.finish(msgspec.structs.replace(running, state="done"))


@pytest.mark.parametrize("fail_at", range(1, 5))
def test_a_kill_before_any_rename_loses_the_generation_in_flight_at_most(
    folder: RunFolder, running: Run, monkeypatch: pytest.MonkeyPatch, fail_at: int
) -> None:
    """Renames: generation 0, generation 1, samples.npz, run.json."""
    renames(monkeypatch, fail_at)

    with pytest.raises(SystemExit):
        measure(folder, running)
    monkeypatch.undo()

    run = store.read(folder.path)
    measured = [*range(min(fail_at - 1, 2))]
    assert run.state == "running"
    assert counted(run) == (measured, measured)
    again = folder.finish(msgspec.structs.replace(running, state="done"))
    assert counted(again) == (measured, measured)
    assert len(store.read_samples(folder.path)) == 2 * len(measured)


def test_a_generation_counts_once_when_the_kill_came_before_its_file_was_removed(
    folder: RunFolder, running: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder, 2)
    kept = {path: path.read_bytes() for path in folder.path.glob("generations/*")}
    folder.finish(msgspec.structs.replace(running, state="done"))
    (folder.path / "generations").mkdir()
    for path, data in kept.items():
        path.write_bytes(data)

    assert counted(store.read(folder.path)) == ([0, 1], [0, 1])
    assert len(store.read_samples(folder.path)) == 4


FILLS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tests.records.test_store import part
from toolkit.records.store import RunFolder
folder = RunFolder(Path(sys.argv[1]))
for number in range(100_000):
    folder.append(*part(number))
    print(number, flush=True)
"""


@pytest.mark.process
def test_a_process_that_is_killed_while_it_writes_leaves_whole_generations(
    folder: RunFolder,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FILLS, str(folder.path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        written = [int(writer.stdout.readline()) for _ in range(20)]
        writer.send_signal(signal.SIGKILL)

    numbers, _ = counted(store.read(folder.path))

    assert numbers == [*range(len(numbers))]
    assert len(numbers) >= len(written)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.json"
    untrusted.write(file, b"old")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(DiskFull, match=r"run\.json cannot be written: the disk is full$"):
        untrusted.write(file, b"new")

    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def full(handle: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_system_without_links_has_no_latest_and_all_else(
    tmp_path: Path, running: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    made = store.create(tmp_path, "mlp", NOW)
    made.begin(running)

    assert [path.name for path in tmp_path.iterdir()] == [made.path.name]
    assert store.newest(tmp_path) == made.path


def test_two_processes_do_not_write_one_run(folder: RunFolder) -> None:
    with folder.held(), pytest.raises(RunError) as caught, folder.held():
        pass

    assert caught.value.what == f"{folder.path} is being measured by another process"
    with folder.held():
        pass


# What is not believed


def test_a_number_that_is_not_finite_is_never_written(folder: RunFolder, running: Run) -> None:
    with pytest.raises(ValueError, match="a number in it is not finite"):
        store.encode(msgspec.structs.replace(running, seconds=float("nan")))
    with pytest.raises(ValueError, match="a number in it is not finite"):
        folder.append(*part(0, loaded=float("inf")))

    assert store.read(folder.path) == running


def test_a_record_is_strict_json(folder: RunFolder, running: Run) -> None:
    generation = msgspec.structs.replace(part(0)[0].generation, steal="nan")
    run = msgspec.structs.replace(running, generations=[generation])

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads(store.encode(run), parse_constant=refuse)

    assert found["generations"][0]["steal"] == "nan"


RECORDS = {
    "no JSON": (b"not a record", "is no record of a run: JSON is malformed"),
    "nothing": (b"", "is no record of a run: Input data was truncated"),
    "cut off": (b'{"version": 1, "toolkit"', "is no record of a run: Input data was truncated"),
    "other JSON": (b"[1, 2]", "is no record of a run: Expected `object`, got `array`"),
    "no version": (b"{}", "is no record of a run: Object missing required field `version`"),
    "newer": (
        json.dumps({"version": VERSION + 1}).encode(),
        f"was written by a newer toolkit (record version {VERSION + 1}, this one knows {VERSION})",
    ),
    "half a record": (
        json.dumps({"version": VERSION}).encode(),
        "is a broken record: Object missing required field",
    ),
}


@pytest.mark.parametrize(("data", "said"), RECORDS.values(), ids=RECORDS)
def test_what_is_no_record_is_one_clear_line(folder: RunFolder, data: bytes, said: str) -> None:
    (folder.path / "run.json").write_bytes(data)

    with pytest.raises(RunError) as caught:
        store.read(folder.path)

    assert caught.value.what.startswith(f"{folder.path / 'run.json'} {said}")
    assert "\n" not in caught.value.what


def test_an_unknown_field_or_a_null_for_a_number_is_refused(
    folder: RunFolder, running: Run
) -> None:
    good = json.loads(store.encode(running))
    for change in ({"more": 1}, {"seconds": None}):
        (folder.path / "run.json").write_text(json.dumps({**good, **change}))

        with pytest.raises(RunError, match="is a broken record: "):
            store.read(folder.path)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 3
    return (
        data[:middle]
        + bytes(byte ^ 0xFF for byte in data[middle : middle + 40])
        + data[middle + 40 :]
    )


def emptied(data: bytes) -> bytes:
    return b""


def worded(data: bytes) -> bytes:
    return b"no archive, but words"


@pytest.mark.parametrize("damage", [cut, flipped, emptied, worded])
@pytest.mark.parametrize("name", ["generations/0000.npz", "samples.npz"])
def test_a_damaged_archive_is_one_clear_line(
    folder: RunFolder, running: Run, name: str, damage: Callable[[bytes], bytes]
) -> None:
    fill(folder, 1)
    kept = (folder.path / "generations" / "0000.npz").read_bytes()
    folder.finish(msgspec.structs.replace(running, state="done"))
    (folder.path / "generations").mkdir()
    (folder.path / "generations" / "0000.npz").write_bytes(kept)
    file = folder.path / name
    file.write_bytes(damage(file.read_bytes()))

    (line,) = store.damage(folder.path)

    assert line.startswith(f"{file} is broken: ")
    assert "\n" not in line
    assert len(store.read_samples(folder.path)) == 2  # The other file has them too.


def test_an_archive_of_something_else_is_one_clear_line(folder: RunFolder) -> None:
    (folder.path / "generations").mkdir()
    file = folder.path / "generations" / "0000.npz"
    for arrays, said in (
        ({"other": np.ones(3, np.int64)}, "'slice'"),
        ({"slice": np.frombuffer(b"{}", np.uint8)}, "Object missing required field `generation`"),
        ({"slice": np.frombuffer(b"words", np.uint8)}, "JSON is malformed"),
    ):
        np.savez(file, **arrays)

        line = store.damage(folder.path)[0]

        assert line.startswith(f"{file} is a broken record of a generation: {said}")
        assert counted(store.read(folder.path)) == ([], [])


class Evil:
    """Opening it runs code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran-by-a-record",)


@pytest.mark.parametrize("name", ["samples.npz", "generations/0000.npz"])
def test_a_pickle_in_an_archive_is_refused_and_not_opened(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(folder.path)
    (folder.path / "generations").mkdir()
    evil = np.array([Evil()], dtype=object)
    np.savez(folder.path / name, slice=evil, other=evil)

    assert store.read_samples(folder.path) == {}
    assert store.damage(folder.path) == [
        f"{folder.path / name} is broken: it holds object, and neither int64 nor bytes"
    ]
    assert not (folder.path / "ran-by-a-record").exists()


# Which run is meant


def test_the_newest_run_is_found_by_its_time_and_not_by_its_link(
    tmp_path: Path, running: Run
) -> None:
    for hour in (9, 11, 10):
        store.create(tmp_path, "m", NOW.replace(hour=hour)).begin(running)

    assert store.newest(tmp_path).name == "20261123T114501Z-m"


def test_the_newest_run_that_has_not_ended_goes_on(tmp_path: Path, running: Run) -> None:
    for hour, state in ((9, "interrupted"), (10, "running"), (11, "done")):
        made = store.create(tmp_path, "m", NOW.replace(hour=hour))
        made.begin(msgspec.structs.replace(running, state=state))

    assert store.unfinished(tmp_path).name == "20261123T104501Z-m"


def test_where_no_run_is_it_is_said_with_what_makes_one(tmp_path: Path) -> None:
    for find in (store.newest, store.unfinished, store.head):
        with pytest.raises(RunError) as caught:
            find(tmp_path)

        assert caught.value.what.startswith("there is no ")
        assert caught.value.what.endswith(f"run in {tmp_path}")
        assert caught.value.cures[0].startswith("toolkit bench    ")


def test_a_finished_run_does_not_go_on(folder: RunFolder, running: Run) -> None:
    folder.begin(msgspec.structs.replace(running, state="done"))

    for path in (folder.path, folder.path / "run.json"):
        with pytest.raises(RunError) as caught:
            store.reopen(path)
        assert caught.value.what == f"{folder.path} is finished: there is nothing to go on with"


def test_scratch_space_is_made_anew_whatever_lay_there(folder: RunFolder) -> None:
    planted = folder.work / "rooms" / "toolkit" / "workers" / "child"
    planted.mkdir(parents=True)
    (planted / "__init__.py").write_text("raise SystemExit('the wrong one')")

    assert [*folder.fresh().iterdir()] == []


def test_a_record_of_the_first_version_reads_as_one_of_today() -> None:
    """Golden: a run of version 1, as it was written. A new version adds its own file."""
    raw = json.loads((GOLDEN / "v1.json").read_text())

    run = store.head(GOLDEN / "v1.json")

    assert (raw["version"], run.version) == (1, VERSION)
    assert [r.conversion for r in run.records] == [None, None, None]
    assert [len(r.timings[0].series) for r in run.records] == [10, 10, 10]
    assert all(r.timings[0].into == [] for r in run.records)


@pytest.mark.parametrize("text", ['{"version": 2}', '{"version": 1, "plan": []}'])
def test_a_broken_record_of_an_older_version_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(RunError, match=r"run\.json is a broken record"):
        store.head(tmp_path)


def test_the_targets_of_a_record_of_the_second_version_have_the_threads_of_its_run() -> None:
    raw = json.loads((GOLDEN / "v2.json").read_text())

    run = store.head(GOLDEN / "v2.json")

    assert (raw["version"], raw["plan"]["threads"], run.version) == (2, 2, VERSION)
    assert [target.threads for target in run.plan.targets] == [2, 2]
    assert [g.busy for g in run.generations] == [[]] * len(run.generations)


def test_a_library_of_the_fourth_version_names_no_lock() -> None:
    raw = json.loads((GOLDEN / "v4.json").read_text())

    run = store.head(GOLDEN / "v4.json")

    assert (raw["version"], run.version) == (4, VERSION)
    libraries = [record.library for record in run.records]
    assert [(each.lock, each.unhashed) for each in libraries if each] == [("", []), ("", [])]


def test_what_version_5_called_right_without_showing_it_is_not_shown() -> None:
    """Its model has an output that is the same whatever is fed, indices and a size."""
    raw = json.loads((GOLDEN / "v5.json").read_text())

    run = store.head(GOLDEN / "v5.json")

    assert [record["verdict"]["right"] for record in raw["records"]] == [True, True]
    for record in run.records:
        assert record.verdict is not None
        assert (record.verdict.text, record.verdict.answer) == ("not shown", "not shown")
        assert not record.verdict.right
        assert [(o.output, o.answer, o.exact) for o in record.verdict.outputs] == [
            ("saturated", "not shown", False),
            ("label", "right", True),
            ("size", "right", True),
        ]
        assert record.verdict.reason == record.verdict.outputs[0].evidence


def test_every_older_version_has_a_step_and_a_golden_file() -> None:
    assert [*upgrade.STEPS] == [*range(1, VERSION)]
    assert {f"v{version}.json" for version in upgrade.STEPS} <= {f.name for f in GOLDEN.iterdir()}
