"""Folders of runs of a stranger, or of a disk that failed."""

from __future__ import annotations

import copy
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz import base
from tests.hostile.kind import Kind, Make, Place
from toolkit.records import store

RUN, SOUND = "run", "sound"
REPORT = ("report", RUN)
COMPARE = ("compare", SOUND, RUN)
RESUME = ("bench", "--resume", RUN)

Way = tuple[str | int, ...]
MISSING = object()
"""Stands for a key that is taken away."""


def _finished(place: Place) -> Path:
    """A run that is whole, and one beside it that stays so."""
    base.put(base.finished(), place.folder / RUN)
    base.put(base.finished(), place.folder / SOUND)
    return place.folder / RUN


def _unfinished(place: Place) -> Path:
    base.put(base.unfinished(), place.folder / RUN)
    return place.folder / RUN


def _record(change: Callable[[bytes], bytes]) -> Make:
    """Other bytes of run.json."""

    def make(place: Place) -> None:
        file = _finished(place) / store.RUN
        file.write_bytes(change(file.read_bytes()))

    return make


def _field(*way: str | int, to: object) -> Make:
    """Another value at one place of run.json."""

    def change(data: bytes) -> bytes:
        raw = json.loads(data)
        _put(raw, way, to)
        return json.dumps(raw).encode()

    return _record(change)


def _put(raw: Any, way: Way, value: object) -> None:
    for key in way[:-1]:
        raw = raw[key]
    if value is MISSING:
        del raw[way[-1]]
    else:
        raw[way[-1]] = value


def _text(old: str, new: str) -> Make:
    """Another text in place of one, once."""

    def change(data: bytes) -> bytes:
        compact = json.dumps(json.loads(data))
        assert old in compact, old
        return compact.replace(old, new, 1).encode("utf-8", "surrogatepass")

    return _record(change)


def _instead(name: str, make: Callable[[Path], object]) -> Make:
    """Something else in place of a file of a finished run."""

    def changed(place: Place) -> None:
        file = _finished(place) / name
        file.unlink()
        make(file)

    return changed


def _generation(make: Callable[[Path], object]) -> Make:
    """Something else in place of a generation of an unfinished run."""

    def changed(place: Place) -> None:
        file = _unfinished(place) / base.generation(1)
        file.unlink()
        make(file)

    return changed


def _part(*way: str | int, to: object) -> Make:
    """Another value at one place of the part of a generation."""

    def changed(place: Place) -> None:
        file = _unfinished(place) / base.generation(1)
        arrays = dict(np.load(file))
        raw = json.loads(arrays[store.PART].tobytes())
        _put(raw, way, to)
        arrays[store.PART] = base.text(json.dumps(raw).encode())
        file.write_bytes(base.packed(arrays))

    return changed


def _sparse(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(50 << 30)


def npy(header: dict[str, object], content: bytes = bytes(16)) -> bytes:
    """An .npy file with any header."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, header)
    return out.getvalue() + content


def archive(content: bytes, name: str = "0/0/0.npy", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of one member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        packed.writestr(name, content)
    return out.getvalue()


def claiming(data: bytes, size: int) -> bytes:
    """The archive with another size of its one member, where it lists it."""
    place = data.index(b"PK\x01\x02") + 24
    return data[:place] + struct.pack("<I", size) + data[place + 4 :]


HEADER = {"descr": "<i8", "fortran_order": False, "shape": (2,)}


def _samples(data: bytes) -> Make:
    """Other bytes of samples.npz."""
    return _instead(store.SAMPLES, lambda file: file.write_bytes(data))


def _header(**fields: object) -> Make:
    return _samples(archive(npy({**HEADER, **fields})))


def _nested(depth: int) -> bytes:
    return b'{"version": 5, "a": ' + b"[" * depth + b"]" * depth + b"}"


BROKEN = r"run/run\.json is (a broken record|no record of a run)"
TIMING: Way = ("records", 0, "timings", 0)

RECORDS: dict[str, tuple[Make, str]] = {
    "a pipe as the record": (_instead(store.RUN, os.mkfifo), "run.json is not read: it is a pipe"),
    "a folder as the record": (
        _instead(store.RUN, Path.mkdir),
        "run.json is not read: it is a folder",
    ),
    "a link as the record": (
        lambda place: _instead(store.RUN, lambda file: file.symlink_to(place.outside / store.RUN))(
            place
        ),
        "it is a link, which is not followed",
    ),
    "a record of 50 GB": (_instead(store.RUN, _sparse), "run.json is not read: it has 53"),
    "no record": (_instead(store.RUN, lambda file: None), "there is no run in run"),
    "an empty record": (_record(lambda data: b""), BROKEN),
    "half a record": (_record(lambda data: data[: len(data) // 2]), BROKEN),
    "a record and more": (_record(lambda data: data + data), BROKEN),
    "a record in 16 bits": (_record(lambda data: data.decode().encode("utf-16")), BROKEN),
    "a record with a mark of its order": (_record(lambda data: b"\xef\xbb\xbf" + data), BROKEN),
    "a record that is no UTF-8": (
        _record(lambda data: data.replace(b"mlp.onnx", b"mlp\xe9onnx")),
        BROKEN,
    ),
    "a key that is no UTF-8": (_record(lambda data: data.replace(b'"seed"', b'"se\xe9d"')), BROKEN),
    "a list as the record": (_record(lambda data: b"[1, 2]"), BROKEN),
    "a number as the record": (_record(lambda data: b"5"), BROKEN),
    "a record 200,000 deep": (_record(lambda data: b"[" * 200_000), BROKEN),
    "a field 5,000 deep": (_record(lambda data: _nested(5000)), BROKEN),
    "NaN": (_text('"seconds": 5.1', '"seconds": NaN'), BROKEN),
    "Infinity": (_text('"seconds": 5.1', '"seconds": Infinity'), BROKEN),
    "1e999": (_text('"seconds": 5.1', '"seconds": 1e999'), BROKEN),
    "a number of 40 digits": (_field("plan", "model", "size", to=10**40), BROKEN),
    "a number of 5,000 digits": (_text('"size": 38213', f'"size": {"9" * 5000}'), BROKEN),
    "a half of a surrogate": (_text('"mlp.onnx"', '"\\ud800"'), BROKEN),
    "the version 999": (_field("version", to=999), "was written by a newer toolkit"),
    "the version 0": (_field("version", to=0), "its version is 0"),
    "the version -1": (_field("version", to=-1), "its version is -1"),
    "the version 'five'": (_field("version", to="five"), BROKEN),
    "no version": (_field("version", to=MISSING), BROKEN),
    "a key that is missing": (_field("plan", to=MISSING), BROKEN),
    "a key that nobody knows": (_field("evil", to=1), BROKEN),
    "a number as a text": (_field("plan", "seed", to="0"), BROKEN),
    "a text as a list": (_field("command", to="toolkit bench"), BROKEN),
    "null in place of targets": (_field("plan", "targets", to=None), BROKEN),
    "the baseline -7": (_field("plan", "baseline", to=-7), "its baseline is -7"),
    "the baseline 99": (_field("plan", "baseline", to=99), "its baseline is 99"),
    "results of target 99": (_field("records", 0, "target", to=99), "results of target 99"),
    "results of case 99": (_field(*TIMING, "case", to=99), "results of case 99"),
    "no targets": (_field("plan", "targets", to=[]), BROKEN),
    "an alpha of 2": (_field("plan", "alpha", to=2.0), "its alpha is 2.0"),
    "a state that there is not": (_field("state", to="won"), BROKEN),
    "a time below nothing": (
        _field(*TIMING, "series", 0, "medians", 0, to=-1.0),
        "a block has a time that no call takes",
    ),
    "columns of two lengths": (_field(*TIMING, "series", 0, "means", to=[1.0]), "equally many"),
    "a verdict on nothing": (
        _field("records", 0, "verdict", "outputs", to=[]),
        "a verdict judges no output",
    ),
}
"""Refused by `report`, by `compare` and by `bench --resume` alike."""

SAMPLES: dict[str, tuple[Make, str]] = {
    "a pipe as the samples": (_instead(store.SAMPLES, os.mkfifo), "it is a pipe"),
    "a folder as the samples": (_instead(store.SAMPLES, Path.mkdir), "it is a folder"),
    "a link as the samples": (
        lambda place: _instead(
            store.SAMPLES, lambda file: file.symlink_to(place.outside / "w.bin")
        )(place),
        "it is a link, which is not followed",
    ),
    "samples of 50 GB": (_instead(store.SAMPLES, _sparse), "it has 53"),
    "no bytes as the samples": (_samples(b""), "File is not a zip file"),
    "an archive that unpacks to 4 GB": (
        _samples(claiming(archive(npy(HEADER)), 2**32 - 2)),
        "it unpacks to 4",
    ),
    "an archive that holds less than it claims": (
        _samples(claiming(archive(npy(HEADER)), 2**30)),
        "it holds less than it claims",
    ),
    "an archive that holds more than it claims": (
        # Long to pack: not where the tests are only collected.
        lambda place: _samples(claiming(archive(bytes(1 << 26)), 200))(place),
        "Bad CRC-32",
    ),
    "an archive packed by bzip2": (
        _samples(archive(npy(HEADER), method=zipfile.ZIP_BZIP2)),
        "a way that numpy does not use",
    ),
    "an archive that breaks off": (_samples(archive(npy(HEADER))[:-20]), "File is not a zip file"),
    "a header of 10^15 elements": (_header(shape=(10**15,)), "the size that its header claims"),
    "a header below nothing": (_header(shape=(-1, -2)), "the size that its header claims"),
    "a header of objects": (_header(descr="|O"), "it holds object"),
    "a header of floats": (_header(descr="<f8"), "it holds float64"),
    "a header of times": (_header(descr="<M8[s]"), "it holds datetime64"),
    "a header that is no Python": (
        _samples(archive(b"\x93NUMPY\x01\x00\x10\x00('''(\n \n  (((\t\\ ")),
        "it holds no array",
    ),
    "a header of 4 GB": (
        _samples(archive(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(64))),
        "it holds no array",
    ),
    "a pickle": (_samples(archive(b"\x80\x04\x95" + bytes(40))), "it holds no array"),
    "samples below nothing": (
        _samples(archive(npy(HEADER, np.array([5, -5]).tobytes()))),
        "a sample that lasted less than no time",
    ),
    "samples that are bytes": (
        _samples(archive(npy({**HEADER, "descr": "|u1"}, bytes(2)))),
        "samples of the type uint8",
    ),
    "an empty generation": (_generation(Path.touch), "0001.npz is broken"),
    "a pipe as a generation": (_generation(os.mkfifo), "0001.npz is not read: it is a pipe"),
    "a generation of text": (_generation(lambda file: file.write_text("{}")), "0001.npz is broken"),
    "a generation without its part": (
        _generation(lambda file: file.write_bytes(base.packed({"0/0/1": np.array([[5]])}))),
        "0001.npz is a broken record of a generation",
    ),
    "a generation whose part is no UTF-8": (
        _generation(lambda file: file.write_bytes(base.packed({"slice": base.text(b"\xa3")}))),
        "0001.npz is a broken record of a generation",
    ),
    "a generation of target 99": (_part("targets", 0, "target", to=99), "results of target 99"),
    "a generation with a key that nobody knows": (
        _part("evil", to=1),
        "0001.npz is a broken record of a generation",
    ),
}
"""Left out of the report in one line, and the rest is shown."""


def _forms() -> dict[str, Kind]:
    kinds = {}
    for name, (make, says) in RECORDS.items():
        for words in (REPORT, COMPARE, RESUME):
            kinds[f"{name}, {words[0]}"] = Kind(make, says, words)
    return kinds


def _commands(*words: str) -> Make:
    """An unfinished run that was begun by another command."""

    def make(place: Place) -> None:
        file = _unfinished(place) / store.RUN
        raw = copy.deepcopy(json.loads(file.read_bytes()))
        raw["command"] = list(words)
        file.write_text(json.dumps(raw))

    return make


RESUMED = {
    "a command of help": (
        _commands("toolkit", "bench", "--help"),
        "the command in run cannot be typed again: it asks for help",
    ),
    "a command with an option that there is not": (
        _commands("toolkit", "bench", "--evil"),
        "the command in run cannot be typed again: No such option",
    ),
    "a command with a value that is none": (
        _commands("toolkit", "bench", "--seed", "many"),
        "the command in run cannot be typed again: ",
    ),
    "a command of a model whose name is too long": (
        _commands("toolkit", "bench", "é" * 300),
        "éé, the model of run, is not in this folder",
    ),
    "a command of another program": (_commands("rm", "-rf", "/"), "was started by rm -rf /"),
    "no command": (_commands(), "started from Python"),
    "a command that installs": (
        _commands("toolkit", "bench", "m.onnx", "--install"),
        "names code that is run only if you type it again: --install",
    ),
    "a command of a source": (
        _commands("toolkit", "bench", "m.onnx", "--source", "evil.py:run"),
        "names code that is run only if you type it again: --source evil.py:run",
    ),
    "a command that resumes": (_commands("toolkit", "bench", "--resume", "elsewhere"), "run|model"),
}
KINDS: dict[str, Kind] = {
    **_forms(),
    **{name: Kind(make, says, REPORT, code=0) for name, (make, says) in SAMPLES.items()},
    **{name: Kind(make, says, RESUME) for name, (make, says) in RESUMED.items()},
}
