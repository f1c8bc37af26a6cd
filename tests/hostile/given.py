"""Inputs and weights of a stranger: arrays, tensors and checkpoints that are none."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from onnx import TensorProto

from tests.hostile.kind import CHECK, Kind, Make, Place
from tests.hostile.modelfiles import put, sound
from tests.hostile.runfolders import archive, claiming, npy

NET = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x)
"""
FLOATS = {"descr": "<f4", "fortran_order": False, "shape": (1, 4)}


class Malicious:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch stolen",)


def _beside(name: str, make: Callable[[Path], object]) -> Make:
    """A model, and a file of inputs beside it."""

    def made(place: Place) -> None:
        put(place, sound())
        make(place.folder / name)

    return made


def _bytes(name: str, content: bytes) -> Make:
    return _beside(name, lambda file: file.write_bytes(content))


def _many() -> bytes:
    """An archive of 16 million numbers."""
    return archive(npy({**FLOATS, "shape": (1, 1 << 24)}, bytes(1 << 26)), "x.npy")


def _net(name: str, make: Callable[[Path], object]) -> Make:
    """A module, and a file of weights beside it."""

    def made(place: Place) -> None:
        (place.folder / "net.py").write_text(NET)
        make(place.folder / name)

    return made


def _weights(name: str, content: bytes) -> Make:
    return _net(name, lambda file: file.write_bytes(content))


def safetensors(header: object, content: bytes = bytes(16), length: int | None = None) -> bytes:
    """A .safetensors with any header, and any length of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


def _entry(**fields: object) -> dict[str, object]:
    return {"x": {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 16], **fields}}


def _saved(held: object) -> bytes:
    out = io.BytesIO()
    torch.save(held, out)
    return out.getvalue()


def _renamed_members(data: bytes) -> bytes:
    """A checkpoint whose pickle names a function in place of a tensor."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, pickle.dumps(Malicious()) if name.endswith("data.pkl") else content)
    return out.getvalue()


def _sparse(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(50 << 30)


def _data_set(**files: bytes) -> Make:
    def make(place: Place) -> None:
        put(place, sound())
        folder = place.folder / "data" / "test_data_set_0"
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / f"{name}.pb").write_bytes(content)

    return make


def _tensor(**fields: object) -> bytes:
    data: bytes = TensorProto(name="x", **fields).SerializeToString()  # type: ignore[arg-type]
    return data


def _elsewhere() -> bytes:
    tensor = TensorProto(name="x", data_type=1, dims=[1, 4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../outside/w.bin")
    data: bytes = tensor.SerializeToString()
    return data


def _pipe_of_a_set(place: Place) -> None:
    _data_set()(place)
    os.mkfifo(place.folder / "data" / "test_data_set_0" / "input_0.pb")


SOUND_STATE = {"layer.weight": torch.zeros(3, 4), "layer.bias": torch.zeros(3)}
OBJECTS = npy({**FLOATS, "descr": "|O"}, pickle.dumps(Malicious()))
NPZ: dict[str, tuple[Make, str]] = {
    "inputs that are no archive": (_bytes("x.npz", b"nonsense" * 9), r"x\.npz"),
    "inputs that are empty": (_bytes("x.npz", b""), r"x\.npz"),
    "inputs that are a pipe": (_beside("x.npz", os.mkfifo), r"x\.npz"),
    "inputs that are a device": (_beside("x.npz", lambda f: f.symlink_to("/dev/zero")), r"x\.npz"),
    "inputs that are a link to nowhere": (
        _beside("x.npz", lambda f: f.symlink_to("nowhere")),
        "no such file: x.npz",
    ),
    "inputs of 50 GB": (_beside("x.npz", _sparse), r"x\.npz"),
    "inputs that claim 10^15 elements": (
        _bytes("x.npz", archive(npy({**FLOATS, "shape": (10**15,)}), "x.npy")),
        r"x\.npz",
    ),
    "inputs that claim less than nothing": (
        _bytes("x.npz", archive(npy({**FLOATS, "shape": (-1, 4)}), "x.npy")),
        r"x\.npz",
    ),
    "inputs that are pickled": (_bytes("x.npz", archive(OBJECTS, "x.npy")), r"x\.npz"),
    "inputs that are no Python": (
        _bytes("x.npz", archive(b"\x93NUMPY\x01\x00\x10\x00('''(\n \n  (((\t\\ ", "x.npy")),
        r"x\.npz",
    ),
    "inputs that unpack to 4 GB": (
        _bytes("x.npz", claiming(archive(npy(FLOATS), "x.npy"), 2**32 - 2)),
        r"x\.npz",
    ),
    "inputs of 16 million numbers where four are wanted": (
        lambda place: _bytes("x.npz", _many())(place),  # Made where it is needed alone.
        "x",
    ),
    "inputs of another archive": (_bytes("x.npz", archive(b"hello", "readme.txt")), r"x\.npz"),
    "inputs of another name": (_bytes("x.npz", archive(npy(FLOATS), "z.npy")), r"x\.npz.*'z'"),
    "inputs of another type": (
        _bytes("x.npz", archive(npy({**FLOATS, "descr": "<i4"}), "x.npy")),
        r"x\.npz: 'x' is int32",
    ),
    "inputs of another rank": (
        _bytes("x.npz", archive(npy({**FLOATS, "shape": (4,)}), "x.npy")),
        "'x'|x",
    ),
    "inputs packed by a method that there is not": (
        _bytes("x.npz", archive(npy(FLOATS), "x.npy").replace(b"\x08\x00", b"\x63\x00")),
        r"x\.npz",
    ),
}
TENSORS: dict[str, tuple[Make, str]] = {
    "tensors that are nothing": (_bytes("x.safetensors", b""), r"x\.safetensors"),
    "tensors whose header never ends": (
        _bytes("x.safetensors", safetensors(_entry(), length=2**63)),
        r"x\.safetensors",
    ),
    "tensors whose header is no JSON": (
        _bytes("x.safetensors", safetensors(b"{{{{")),
        r"x\.safetensors",
    ),
    "tensors 100,000 deep": (
        _bytes("x.safetensors", safetensors(b'{"a":' * 100_000)),
        r"x\.safetensors",
    ),
    "tensors beyond the end": (
        _bytes("x.safetensors", safetensors(_entry(data_offsets=[0, 9999]))),
        r"x\.safetensors",
    ),
    "tensors below nothing": (
        _bytes("x.safetensors", safetensors(_entry(data_offsets=[-16, 0]))),
        r"x\.safetensors",
    ),
    "tensors of 2^64 elements": (
        _bytes("x.safetensors", safetensors(_entry(shape=[2**32, 2**32]))),
        r"x\.safetensors",
    ),
    "tensors of another length": (
        _bytes("x.safetensors", safetensors(_entry(shape=[1, 5]))),
        r"x\.safetensors",
    ),
    "tensors of a type that there is not": (
        _bytes("x.safetensors", safetensors(_entry(dtype="F33"))),
        r"x\.safetensors",
    ),
    "tensors that are a pipe": (_beside("x.safetensors", os.mkfifo), r"x\.safetensors"),
    "tensors of 50 GB": (_beside("x.safetensors", _sparse), r"x\.safetensors"),
}
SETS: dict[str, tuple[Make, str]] = {
    "test data without inputs": (_data_set(), "'x'|data"),
    "test data that is text": (_data_set(input_0=b"hello"), r"input_0\.pb holds no tensor"),
    "test data that is empty": (_data_set(input_0=b""), r"input_0\.pb|'x'"),
    "test data that lies elsewhere": (_data_set(input_0=_elsewhere()), r"input_0\.pb"),
    "test data that is too short": (
        _data_set(input_0=_tensor(data_type=1, dims=[1, 4], raw_data=bytes(8))),
        r"input_0\.pb",
    ),
    "test data of 2^62 elements": (
        _data_set(input_0=_tensor(data_type=1, dims=[2**31, 2**31], raw_data=bytes(8))),
        r"input_0\.pb",
    ),
    "test data below nothing": (
        _data_set(input_0=_tensor(data_type=1, dims=[-1, 4], raw_data=bytes(16))),
        r"input_0\.pb|'x'",
    ),
    "test data of the type 77": (
        _data_set(input_0=_tensor(data_type=77, dims=[1, 4], raw_data=bytes(16))),
        r"input_0\.pb",
    ),
    "test data that is a pipe": (_pipe_of_a_set, r"input_0\.pb|'x'"),
}
WEIGHTS: dict[str, tuple[str, Make, str]] = {
    "weights that are a pickle": (
        "w.pt",
        _weights("w.pt", pickle.dumps(Malicious())),
        r"w\.pt",
    ),
    "a checkpoint that runs a program": (
        "w.pt",
        _weights("w.pt", _renamed_members(_saved(SOUND_STATE))),
        r"w\.pt holds more than tensors",
    ),
    "a checkpoint that breaks off": (
        "w.pt",
        _weights("w.pt", _saved(SOUND_STATE)[:-200]),
        r"w\.pt",
    ),
    "a checkpoint of nothing": ("w.pt", _weights("w.pt", b""), r"w\.pt"),
    "a checkpoint that is text": ("w.pth", _weights("w.pth", b"hello" * 50), r"w\.pth"),
    "a checkpoint of numbers": ("w.pt", _weights("w.pt", _saved({"a": 1})), r"w\.pt"),
    "a checkpoint of another module": (
        "w.pt",
        _weights("w.pt", _saved({"other": torch.zeros(2)})),
        r"w\.pt does not hold this module's weights",
    ),
    "a checkpoint that is a pipe": ("w.pt", _net("w.pt", os.mkfifo), r"w\.pt"),
    "a checkpoint that is a folder": ("w.pt", _net("w.pt", Path.mkdir), r"w\.pt"),
    "weights with a header that never ends": (
        "w.safetensors",
        _weights("w.safetensors", safetensors(_entry(), length=2**63)),
        r"w\.safetensors",
    ),
    "weights beyond the end of their file": (
        "w.safetensors",
        _weights("w.safetensors", safetensors(_entry(data_offsets=[0, 9999]))),
        r"w\.safetensors",
    ),
    "weights that are tensors in a pipe": (
        "w.safetensors",
        _net("w.safetensors", os.mkfifo),
        r"w\.safetensors",
    ),
    "weights that are pickled arrays": (
        "w.npz",
        _weights("w.npz", archive(OBJECTS, "layer.weight.npy")),
        r"w\.npz",
    ),
    "weights that claim 10^15 elements": (
        "w.npz",
        _weights("w.npz", archive(npy({**FLOATS, "shape": (10**15,)}), "layer.weight.npy")),
        r"w\.npz",
    ),
    "weights that are a pipe": ("w.npz", _net("w.npz", os.mkfifo), r"w\.npz"),
}


def _inputs(makes: dict[str, tuple[Make, str]], name: str) -> dict[str, Kind]:
    words = (*CHECK, "--inputs", name)
    return {kind: Kind(make, says, words) for kind, (make, says) in makes.items()}


KINDS: dict[str, Kind] = {
    **_inputs(NPZ, "x.npz"),
    **_inputs(TENSORS, "x.safetensors"),
    **_inputs(SETS, "data"),
    **{
        kind: Kind(
            make,
            says,
            (
                "export",
                "net.py:Net",
                "--input",
                "x:float32[n,4]",
                "--weights",
                name,
                "-o",
                "o.onnx",
            ),
        )
        for kind, (name, make, says) in WEIGHTS.items()
    },
}
