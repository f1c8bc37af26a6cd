"""Damages the archives of a run's samples: their arrays, their members, their bytes; or puts
something else than a file in their place."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz import arrays, base, reading
from benchmarks.fuzz.outcomes import Outcome
from benchmarks.fuzz.records import RUN, SOUND
from toolkit.records import store
from toolkit.report.plots import Plot, distribution
from toolkit.report.view import View
from toolkit.tensors import Array

NAMES = (
    "0/0/0", "0/0/99", "99/0/0", "-1/0/0", "0/0", "0/0/0/0", "", "a", "../../x", "/etc/passwd",
    "0/0/0.npy", "slice", "0/0/1e3", "\x1b[31m", "0/0/ 1", "é" * 200, "0//0", "0/0/00",
)  # fmt: skip
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
LENGTHS = (0, 1, 200, 2**20, 2**31, 2**32 - 2)


class Samples:
    """Runs whose samples are damaged."""

    def write(self, seed: int, folder: Path) -> str:
        """Writes a run, and a sound one beside it; returns which archive is damaged."""
        draw = Random(seed)
        files = dict(draw.choice((base.finished, base.sweep, base.unfinished))())
        name = draw.choice([name for name in files if name != store.RUN])
        reading.may_draw(folder, draw)
        base.put(base.finished(), folder / SOUND)
        base.put(files, folder / RUN)
        file = folder / RUN / name
        if draw.random() < 0.04:
            _replace(file, draw)
        else:
            file.write_bytes(_damaged(files[name], draw))
        return name

    def read(self, folder: Path) -> Outcome:
        """Reads it with all that reads a run."""
        return reading.read(folder / RUN, folder / SOUND, _drawn)


def _drawn(view: View) -> list[Plot]:
    """The plots that show samples: the others are those of the record, which is sound."""
    plots = (distribution.draw(view, table) for table in view.tables)
    return [plot for plot in plots if plot is not None]


def _damaged(data: bytes, draw: Random) -> bytes:
    members = {f"{name}.npy": arrays.plain(each) for name, each in _arrays(data).items()}
    if draw.random() < 0.85:
        for _ in range(draw.choice((1, 1, 2, len(members)))):
            name = draw.choice([*members])
            members[name] = arrays.damaged(_arrays(data)[name.removesuffix(".npy")], draw)
    if draw.random() < 0.25:
        members = {_renamed(name, draw): each for name, each in members.items()}
    packed = _packed(members, draw)
    return draw.choice(DAMAGES)(packed, draw) if draw.random() < 0.3 else packed


def _arrays(data: bytes) -> dict[str, Array]:
    return dict(np.load(io.BytesIO(data)))


def _renamed(name: str, draw: Random) -> str:
    return f"{draw.choice(NAMES)}.npy" if draw.random() < 0.3 else name


def _packed(members: dict[str, bytes], draw: Random) -> bytes:
    method = draw.choice(METHODS) if draw.random() < 0.1 else zipfile.ZIP_DEFLATED
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A name twice.
        with zipfile.ZipFile(out, "w", method) as archive:
            for name, data in members.items():
                for _ in range(draw.choice((1,) * 20 + (2,))):
                    archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def _claims(data: bytes, draw: Random) -> bytes:
    """Another size of a member, where the archive lists it or before its bytes."""
    magic, offset = draw.choice(((b"PK\x01\x02", 24), (b"PK\x01\x02", 20), (b"PK\x03\x04", 22)))
    places = [at for at in range(len(data)) if data.startswith(magic, at)]
    if not places:
        return data
    at = draw.choice(places) + offset
    return data[:at] + struct.pack("<I", draw.choice(LENGTHS)) + data[at + 4 :]


def _flags(data: bytes, draw: Random) -> bytes:
    """Another flag, method, version or place of a member."""
    places = [at for at in range(len(data)) if data.startswith(b"PK\x01\x02", at)]
    if not places:
        return data
    at = draw.choice(places) + draw.choice((6, 8, 10, 42, 28, 30, 32))
    return data[:at] + struct.pack("<H", draw.randrange(2**16)) + data[at + 2 :]


def _cut(data: bytes, draw: Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _flipped(data: bytes, draw: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 4, 16))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _framed(data: bytes, draw: Random) -> bytes:
    return draw.choice((b"", b"x" * 1000 + data, data + b"x" * 1000, data + data, data[:30]))


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (_claims, _flags, _cut, _flipped, _framed)


def _replace(file: Path, draw: Random) -> None:
    """Something else in place of a file."""
    file.unlink()
    kind = draw.choice(("pipe", "folder", "link", "dangling", "sparse"))
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "sparse":
        with file.open("wb") as out:
            out.truncate(50 << 30)
    else:
        file.symlink_to("/etc/passwd" if kind == "link" else "nowhere")
