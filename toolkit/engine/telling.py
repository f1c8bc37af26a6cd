"""Looks for feeds that tell float32 from less, where the drawn ones cannot.

A network of random or constant weights may saturate at inputs of the usual size, and at a tenth of
it shows everything. So inputs of other scales are tried, and the test data that lie beside the
file. What tells is judged with the drawn feeds, and never timed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toolkit.answers.acceptance import FLOATS
from toolkit.answers.judge import Judge
from toolkit.errors import InputError
from toolkit.exporter import testdata
from toolkit.feeds import stored, supplied
from toolkit.feeds.feed import Feed
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.oracle.oracles import Expected, Oracle
from toolkit.units import Bytes

SCALES = (0.1, 10.0, 0.01, 100.0, 0.001)
"""What the floats of a drawn feed are multiplied by; the nearest first."""
FIRST_SETS = 3
"""Sets of test data that are looked at."""
ROOM = 64
"""Test data may be so many times as large as the drawn feed: what they cost is not known before."""
LEAST_ROOM: Bytes = 1 << 20

Build = Callable[[Sequence[Expected]], Judge]
"""Makes a judge of some feeds alone."""


@dataclass(frozen=True)
class Told:
    """Feeds that tell what the drawn ones cannot."""

    expected: tuple[Expected, ...] = ()
    note: str = ""
    """What was added, in words; empty: nothing."""


def more(file: ModelFile, oracle: Oracle, judge: Judge, drawn: Feed, build: Build) -> Told:
    """Finds feeds for the float outputs at which the judge's own cannot tell float32 from less.

    `drawn` is the largest of these: a small one may tell nothing at any scale. Nothing is found
    where all outputs tell, which costs no more than the verdicts cost anyhow, and where no other
    feed tells more.
    """
    open_ones = _silent(judge, [spec.name for spec in file.outputs if spec.type in FLOATS])
    added: list[Expected] = []
    for feed in _candidates(file, drawn) if open_ones else ():
        (answer,) = oracle.answer_all([feed.arrays])
        if not isinstance(answer, dict) or not _is_finite(answer):
            continue
        each = Expected(feed, answer)
        still = _silent(build([each]), open_ones)
        if len(still) < len(open_ones):
            added.append(each)
            open_ones = still
        if not open_ones:
            break
    if not added:
        return Told()
    names = ", ".join(dict.fromkeys(each.feed.origin for each in added))
    return Told(tuple(added), f"judged with {names} too: the drawn feeds tell too little")


def _silent(judge: Judge, outputs: Sequence[str]) -> list[str]:
    """The outputs at which even a perfect answer could be of a lower format."""
    return [name for name in outputs if not judge.near(name).is_clear(1.0)]


def _candidates(file: ModelFile, drawn: Feed) -> Iterator[Feed]:
    yield from beside(file, drawn)
    if any(array.dtype.kind == "f" for array in drawn.arrays.values()):
        yield from (_scaled(drawn, factor) for factor in SCALES)


def _scaled(feed: Feed, factor: float) -> Feed:
    arrays = {
        name: (array * factor).astype(array.dtype) if array.dtype.kind == "f" else array
        for name, array in feed.arrays.items()
    }
    return replace(feed, origin=f"inputs {factor:g} times as large", arrays=arrays)


def beside(file: ModelFile, drawn: Feed | None = None) -> list[Feed]:
    """The test data that lie beside a file and are its own, by its hash, or where the folder holds
    no other model. None of those that do not fit its inputs, or are far larger than a drawn feed.
    """
    most = max(LEAST_ROOM, ROOM * drawn.size) if drawn else None
    feeds: list[Feed] = []
    for path in sets_beside(file)[:FIRST_SETS]:
        if most is not None and _size(path) > most:
            continue
        try:
            (feed,) = supplied.read(path, file.inputs)
        except InputError:  # They do not fit, or are damaged: nobody asked for them.
            continue
        feeds.append(replace(feed, number=len(feeds)))
    return feeds


def sets_beside(file: ModelFile) -> list[Path]:
    """The folders of the test data that are a file's own."""
    apart = _home(file) != file.path.parent
    alone = apart or not any(each != file.path for each in file.path.parent.glob("*.onnx"))
    owners = {file.sha256, *([None] if alone else [])}
    try:
        return [each for each in stored.data_sets(_home(file)) if testdata.owner(each) in owners]
    except (InputError, OSError):
        return []


def cures(file: ModelFile) -> tuple[str, ...]:
    """A line that proposes the test data beside a file; none where there are no such."""
    if not sets_beside(file):
        return ()
    home = shlex.quote(str(_home(file)))
    return (f"--inputs {home}    takes the test data that lie beside the file",)


def _home(file: ModelFile) -> Path:
    apart = testdata.home_apart(file.path)
    return apart if apart.is_dir() else file.path.parent


def _size(folder: Path) -> Bytes:
    return sum(file.stat().st_size for file in folder.glob("input_*.pb") if file.is_file())


def _is_finite(answer: Mapping[str, object]) -> bool:
    return all(bool(np.isfinite(np.asarray(value, np.float64)).any()) for value in answer.values())
