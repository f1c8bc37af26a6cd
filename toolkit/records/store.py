"""The folder of a run, written step by step so that nothing measured is ever lost.

    reports/<UTC time>-<model>/
        run.json          the record; from the first second, with the state `running`
        generations/      while it runs: one file a generation, written beside and renamed
        work/             while it runs: what the workers need
        samples.npz       at the end: every sample
        report.md …       at the end, by report/
    reports/latest        → the newest

`kill -9` at any point loses at most the generation in flight.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from toolkit.errors import InputError, RunError, os_reason
from toolkit.machine import memory
from toolkit.records import privacy, schema, sound, untrusted
from toolkit.records.parts import GenerationPart, assemble
from toolkit.records.schema import Plan, Run
from toolkit.records.upgrade import upgraded
from toolkit.tensors import Array
from toolkit.units import Bytes

T = TypeVar("T")

RUN = "run.json"
SAMPLES = "samples.npz"
GENERATIONS = "generations"
WORK = "work"
LATEST = "latest"
NAME = 80
"""Characters of a model's name in that of a run's folder."""
GENERATION = re.compile(r"[0-9]{4,9}\.npz")
LARGEST_RECORD: Bytes = 128 << 20
"""The most that is read of a record: the largest of ours, of 24 targets, has 2 MB."""
MOST_SAMPLES: Bytes = 2 << 30
"""The most memory that the samples of a run may take: 1,600 blocks of 20 rounds of the shortest
calls that there are."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors of a text that is no JSON of the type that is asked for."""
PART = "slice"
"""The key in a generation's file under which its part lies, as JSON in bytes. It is an older word
for a part, kept so that a run that was begun then can go on."""


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run that is being written."""

    path: Path
    root_is_new: bool = False
    """The folder around it was made with it."""

    @property
    def work(self) -> Path:
        """The scratch space of the run; it is gone at its end."""
        return self.path / WORK

    def fresh(self) -> Path:
        """Makes the scratch space anew: nothing that lies in a run's folder is ever executed.

        Raises InputError where it cannot be.
        """
        self.clear()
        try:
            self.work.mkdir()
        except OSError as error:
            raise InputError(f"{self.work} cannot be made anew: {os_reason(error)}") from error
        return self.work

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from writing this run. Raises RunError where one does."""
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunError(f"{self.path} is being measured by another process") from error
            except OSError:
                pass  # A file system without locks: nothing can be held, and it is measured still.
            else:
                self._remove_left_behind()
            yield
        finally:
            os.close(handle)

    def sweep(self) -> None:
        """Removes what a killed process left half written, unless another one measures here."""
        if self._left_behind():  # Held only then: another process may be about to hold it.
            with contextlib.suppress(RunError, OSError), self.held():
                pass

    def _left_behind(self) -> list[Path]:
        folders = (self.path, self.path / GENERATIONS)
        return [path for folder in folders for path in untrusted.left_behind(folder)]

    def _remove_left_behind(self) -> None:
        for path in self._left_behind():
            with contextlib.suppress(OSError):  # On a disk that was mounted to be read, it stays.
                path.unlink()

    def begin(self, run: Run) -> None:
        """Writes or rewrites run.json; from the first time on, `latest` points here."""
        fresh = not (self.path / RUN).exists()
        untrusted.write(self.path / RUN, encode(privacy.run(run)))
        if fresh:
            _point(self.path.with_name(LATEST), self.path.name)

    def has_parts(self) -> bool:
        """Says whether a generation was measured and kept."""
        return any((self.path / GENERATIONS).glob("*"))

    def discard(self) -> None:
        """Removes a folder in which nothing was measured, and what was made around it."""
        root, latest = self.path.parent, self.path.with_name(LATEST)
        was_latest = latest.is_symlink() and os.readlink(latest) == self.path.name
        shutil.rmtree(self.path, ignore_errors=True)
        if was_latest:
            latest.unlink()
            with contextlib.suppress(RunError):  # It was the only one.
                _point(latest, newest(root).name)
        if self.root_is_new:
            with contextlib.suppress(OSError):  # It is not empty: another run lies there.
                root.rmdir()

    def append(self, part: GenerationPart, samples: Mapping[str, Array]) -> None:
        """Keeps one generation. Raises InputError where it cannot be written.

        `samples`: see `schema.Timing` for the keys and shapes.
        """
        folder = self.path / GENERATIONS
        folder.mkdir(exist_ok=True)
        if folder.is_symlink():
            raise InputError(f"{folder} is a link, and a run is written into its own folder alone")
        written = privacy.part(part)
        text = np.frombuffer(_checked(written, msgspec.json.encode(written)), dtype=np.uint8)
        # One file of both: a kill between two would leave a part without its samples.
        data = _npz({PART: text, **samples})
        untrusted.write(folder / f"{part.generation.number:04d}.npz", data)

    def finish(self, run: Run, conclude: Callable[[Run], Run] = lambda run: run) -> Run:
        """Puts the generations into run.json and samples.npz and clears up; returns the whole.

        `conclude` adds what is only known of the whole. Raises InputError where it cannot be
        written; then the generations are still there.
        """
        self.clear()
        generations, broken = _sorted(_each_part(self.path, run.plan))
        samples, unread = _samples(self.path)
        whole = conclude(assemble(run, generations))
        if samples:
            untrusted.write(self.path / SAMPLES, _npz(samples))
        self.begin(whole)
        if not broken and not unread:  # Else somebody may be able to read what this could not.
            shutil.rmtree(self.path / GENERATIONS, ignore_errors=True)
        return whole

    def clear(self) -> None:
        """Removes the scratch space."""
        shutil.rmtree(self.path / WORK, ignore_errors=True)


def create(root: Path, model: str, now: datetime) -> RunFolder:
    """Makes a new folder for a run under `root`, named by the time and `model`; what killed runs
    left half written there goes.

    Raises InputError where it cannot be written.
    """
    # The name of a model may hold what a shell, a URL or another file system does not take.
    words = re.sub(r"[^A-Za-z0-9_.-]+", "-", model).strip("-.") or "model"
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{words[:NAME]}"
    is_new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        for other in root.glob(f"*/{RUN}"):
            if not other.parent.is_symlink():
                RunFolder(other.parent).sweep()
        path = _made(root / name)
    except OSError as error:
        raise InputError(
            f"no report can be written to {root}: {os_reason(error)}", "-o FOLDER    names another"
        ) from error
    return RunFolder(path, is_new)


def reopen(path: Path) -> RunFolder:
    """The folder of a run that goes on, given it or its run.json.

    Raises RunError for what is no run, and for one that is whole.
    """
    folder = RunFolder(_folder(path))
    if head(path).state == "done":
        raise RunError(
            f"{folder.path} is finished: there is nothing to go on with",
            "toolkit bench    starts a new one",
        )
    return folder


def _made(path: Path) -> Path:
    """Makes a new folder. Runs that begin in one second are told apart by a number."""
    for number in itertools.count(1):
        numbered = path if number == 1 else path.with_name(f"{path.name}-{number}")
        # Not asked for before it is made: another run could take the name in between.
        with contextlib.suppress(FileExistsError):
            numbered.mkdir()
            return numbered
    raise AssertionError("the numbers do not end")


def _point(link: Path, name: str) -> None:
    beside = link.with_name(f".{LATEST}-{secrets.token_hex(8)}")
    # A file system without links has no `latest`; everything else works.
    with contextlib.suppress(OSError):
        beside.symlink_to(name)
        beside.replace(link)
    beside.unlink(missing_ok=True)


def encode(run: Run) -> bytes:
    """The bytes of run.json; raises ValueError where they do not read back as the same record."""
    return _checked(run, msgspec.json.format(msgspec.json.encode(run), indent=1)) + b"\n"


def _checked(record: Run | GenerationPart, data: bytes) -> bytes:
    try:
        same = msgspec.json.decode(data, type=type(record)) == record
    except msgspec.ValidationError:
        same = False
    if not same:
        raise ValueError("the record does not read back: a number in it is not finite")
    return data


def read(path: Path) -> Run:
    """The record of a run, given its folder or its run.json, with what is still in generations/.

    Raises RunError for what is no run, for a broken one and for a newer version. A generation that
    cannot be read is left out, and `damage` names it.
    """
    run = head(path)
    return assemble(run, parts(_folder(path), run.plan))


def head(path: Path) -> Run:
    """run.json alone. Raises RunError as `read`."""
    file = path / RUN if path.is_dir() else path
    try:
        data = untrusted.read(file, LARGEST_RECORD)
    except FileNotFoundError:
        raise RunError(
            f"there is no run in {path}", "toolkit bench    makes one under reports/"
        ) from None
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from error
    run = _decode(file, data)
    if fault := sound.fault(run):
        raise RunError(f"{file} is a broken record: {fault}")
    return run


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _decode(file: Path, data: bytes) -> Run:
    class Head(msgspec.Struct):  # Not strict: any version has more fields than this one.
        version: int

    try:
        version = msgspec.json.decode(data, type=Head).version
    except UNREADABLE as error:
        raise RunError(f"{file} is no record of a run: {untrusted.words(error)}") from error
    if version < 1:
        raise RunError(f"{file} is no record of a run: its version is {version}")
    if version > schema.VERSION:
        raise RunError(
            f"{file} was written by a newer toolkit (record version {version}, "
            f"this one knows {schema.VERSION})"
        )
    try:
        if version == schema.VERSION:
            return msgspec.json.decode(data, type=Run)
        return msgspec.convert(upgraded(msgspec.json.decode(data)), type=Run)
    except UNREADABLE as error:
        raise RunError(f"{file} is a broken record: {untrusted.words(error)}") from error
    # A step found another shape.
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{file} is a broken record of version {version}") from error


def parts(folder: Path, plan: Plan) -> list[GenerationPart]:
    """The generations that are not yet in run.json, in order, without those that cannot be read."""
    return _sorted(_each_part(folder, plan))[0]


def read_samples(folder: Path) -> dict[str, Array]:
    """Every sample of a run, by the keys of `schema.Timing`; empty where they were not kept.

    A file that cannot be read is left out, and `damage` names it.
    """
    return _samples(folder)[0]


def damage(path: Path) -> list[str]:
    """A line for each file beside a run's record that cannot be read, and is left out."""
    folder = _folder(path)
    _, broken = _sorted(_each_part(folder, head(path).plan))
    _, unread = _samples(folder)
    return [*dict.fromkeys(error.what for error in (*broken, *unread))]


def _samples(folder: Path) -> tuple[dict[str, Array], list[RunError]]:
    """The samples of a run, and the reasons why others are left out."""
    read, unread = _sorted(_each_samples(folder))
    return {key: array for arrays in read for key, array in arrays.items()}, unread


def _sorted(each: Iterable[T | RunError]) -> tuple[list[T], list[RunError]]:
    """Parts what could be read from the reasons why the rest could not be."""
    read: list[T] = []
    unread: list[RunError] = []
    for part in each:
        if isinstance(part, RunError):
            unread.append(part)
        else:
            read.append(part)
    return read, unread


def _each_part(folder: Path, plan: Plan) -> Iterator[GenerationPart | RunError]:
    for file in _generations(folder):
        try:
            yield _part(file, plan)
        except RunError as error:
            yield error


def _part(file: Path, plan: Plan) -> GenerationPart:
    """The record of one generation. Raises RunError for a broken one."""
    members = untrusted.arrays(file, LARGEST_RECORD, lambda name: name == PART)
    try:
        part = msgspec.json.decode(members[PART].tobytes(), type=GenerationPart)
    except (KeyError, *UNREADABLE) as error:
        raise RunError(
            f"{file} is a broken record of a generation: {untrusted.words(error)}"
        ) from error
    if fault := sound.part_fault(part, plan):
        raise RunError(f"{file} is a broken record of a generation: {fault}")
    return part


def _each_samples(folder: Path) -> Iterator[dict[str, Array] | RunError]:
    room = min(MOST_SAMPLES, memory.available() // 2)
    for file in [*_present(folder / SAMPLES), *_generations(folder)]:
        try:
            arrays = untrusted.arrays(file, room, lambda name: name != PART)
            if fault := sound.samples_fault(arrays):
                raise RunError(f"{file} is broken: {fault}")
        except RunError as error:
            yield error
            continue
        room -= sum(array.nbytes for array in arrays.values())
        yield arrays


def _present(file: Path) -> list[Path]:
    # Also a link that leads nowhere is there, and is told.
    return [file] if os.path.lexists(file) else []


def _generations(folder: Path) -> list[Path]:
    """The files of the generations by their numbers; none in a folder that is a link."""
    place = folder / GENERATIONS
    if place.is_symlink() or not place.is_dir():
        return []
    files = [path for path in place.iterdir() if GENERATION.fullmatch(path.name)]
    return sorted(files, key=lambda path: int(path.stem))


def runs(root: Path) -> list[Path]:
    """The folders of runs under `root`, the newest first."""
    folders = (path.parent for path in root.glob(f"*/{RUN}") if not path.parent.is_symlink())
    return sorted(folders, key=lambda path: path.name, reverse=True)


def newest(root: Path) -> Path:
    """The folder of the newest run under `root`. Raises RunError where there is none."""
    every = runs(root)
    if not every:
        raise RunError(f"there is no run in {root}", "toolkit bench    makes one")
    return every[0]


def unfinished(root: Path) -> Path:
    """The newest run under `root` that has not ended. Raises RunError where there is none."""
    for path in sorted((file.parent for file in root.glob(f"*/{RUN}")), reverse=True):
        if not path.is_symlink() and head(path).state != "done":
            return path
    raise RunError(f"there is no unfinished run in {root}", "toolkit bench    starts a new one")


def _npz(arrays: Mapping[str, Array]) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # The stubs take one keyword only.
    return out.getvalue()
