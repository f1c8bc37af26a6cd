"""What lies in place of a model's file, and bytes that are no model."""

from __future__ import annotations

import gzip
import os
import random
import socket
from collections.abc import Callable

from onnx import ModelProto, TensorProto

from tests.hostile.kind import Kind, Make, Place, each
from tests.hostile.modelfiles import data, parsed, put, sound

KINDS_OF = (("float", TensorProto.FLOAT), ("bool", TensorProto.BOOL))
WHOLE = sound().SerializeToString()


def _socket(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.getcwd()
        os.chdir(place.folder)  # Its path may have 107 characters.
        try:
            listening.bind(place.model.name)
        finally:
            os.chdir(before)


def _large(place: Place) -> None:
    with place.model.open("wb") as file:
        file.truncate((1 << 31) + 1)


def _flipped(seed: int) -> bytes:
    """SOUND with three other bytes."""
    draw, changed = random.Random(seed), bytearray(WHOLE)
    for _ in range(3):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _field(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes."""
    length, left = b"", len(content)
    while True:
        length += bytes([left & 127 | (128 if left > 127 else 0)])
        left >>= 7
        if not left:
            return bytes([number << 3 | 2]) + length + content


def _branches(levels: int) -> bytes:
    """A model of an If within an If, so many times: protobuf's own library writes no such file."""
    shape = _field(1, _field(1, b"\x08\x02"))
    kind = {name: _field(2, _field(1, bytes([8, n]) + _field(2, shape))) for name, n in KINDS_OF}
    out = _field(12, _field(1, b"y") + kind["float"])
    node = _field(1, b"x") + _field(2, b"y") + _field(4, b"Neg")
    leaf = _field(1, node) + _field(2, b"leaf") + out
    graph = leaf
    for _ in range(levels):
        branches = b"".join(
            _field(5, _field(1, name) + _field(6, each) + b"\xa0\x01\x05")
            for name, each in ((b"then_branch", graph), (b"else_branch", leaf))
        )
        node = _field(1, b"c") + _field(2, b"y") + _field(4, b"If") + branches
        graph = _field(1, node) + _field(2, b"g") + out
    inputs = _field(11, _field(1, b"x") + kind["float"]) + _field(
        11, _field(1, b"c") + kind["bool"]
    )
    return b"\x08\x0a" + _field(7, graph + inputs) + _field(8, b"\x10\x14")


NO_FILES: dict[str, tuple[Make, str]] = {
    "a pipe": (lambda place: os.mkfifo(place.model), "is a named pipe, not an .onnx file"),
    "a folder": (lambda place: place.model.mkdir(), "is a folder, not an .onnx file"),
    "a socket": (_socket, "is a socket, not an .onnx file"),
    "a device": (
        lambda place: place.model.symlink_to("/dev/zero"),
        "is a device, not an .onnx file",
    ),
    "a link to nowhere": (lambda place: place.model.symlink_to("nowhere"), "no such file: m.onnx"),
    "a link to itself": (lambda place: place.model.symlink_to("m.onnx"), "m.onnx cannot be read"),
    "nothing at all": (lambda place: None, "no such file: m.onnx"),
    "an empty file": (data(b""), "m.onnx is empty"),
    "zeros beyond 2 GiB": (_large, "an .onnx file ends at 2 GiB"),
    "zeros": (data(bytes(1 << 20)), "is not an .onnx file"),
    "text": (data(b"ir_version: 10\ngraph {}\n"), "is a text file"),
    "text in 16 bits": (data("graph {}".encode("utf-16")), "is not an .onnx file"),
    "JSON": (data(b'{"irVersion": "10", "graph": {}}'), "is a text file"),
    "gzip": (data(gzip.compress(WHOLE)), "is compressed by gzip"),
    "a zip archive": (data(b"PK\x03\x04" + bytes(99)), "is a zip archive"),
    "a pickle": (data(b"\x80\x04\x95" + bytes(99)), "is a pickle"),
    "a picture": (data(b"\x89PNG\r\n\x1a\n" + bytes(99)), "is a PNG picture"),
    "HDF5": (data(b"\x89HDF\r\n\x1a\n" + bytes(99)), "is an HDF5 file"),
    "a pointer of Git LFS": (
        data(b"version https://git-lfs.github.com/spec/v1\n"),
        "is a Git LFS pointer",
    ),
    "an .ort file": (data(b"\x18\x00\x00\x00ORTM" + bytes(200)), "is not an .onnx file"),
    "safetensors": (data(b"\x10" + bytes(7) + b'{"a":{}}' + bytes(99)), "is not an .onnx file"),
    "noise": (data(random.Random(0).randbytes(5000)), "is not an .onnx file"),
    "one byte": (data(WHOLE[:1]), "m.onnx"),
    "half of it": (data(WHOLE[: len(WHOLE) // 2]), "it begins as an .onnx file and breaks off"),
    "all but the last byte": (data(WHOLE[:-1]), "m.onnx"),
    "it and itself": (data(WHOLE + WHOLE), "m.onnx"),
    "it and noise": (data(WHOLE + b"\xff\xff\xff"), "m.onnx"),
    "a number without an end": (data(b"\x08" + b"\xff" * 20), "m.onnx"),
    "a length beyond the end": (data(b"\x08\x0a\x3a\xff\xff\xff\x7f"), "m.onnx"),
    "a field of number 0": (data(b"\x08\x0a\x02\x00" + bytes(9)), "m.onnx"),
    "groups without an end": (data(b"\x08\x0a" + b"\x0b" * 50_000), "m.onnx"),
    "200 levels of branches": (data(_branches(200)), "breaks off"),
    "5,000 levels of branches": (
        lambda place: data(_branches(5000))(place),  # Long to make: not where tests are collected.
        "breaks off",
    ),
    "a tensor": (
        data(TensorProto(name="w", data_type=1, dims=[2], raw_data=bytes(8)).SerializeToString()),
        "m.onnx",
    ),
    "a graph": (data(sound().graph.SerializeToString()), "m.onnx"),
    **{f"flipped bits {seed}": (data(_flipped(seed)), "m.onnx|MatMul|'w'|x") for seed in range(6)},
}


def _many_entries(place: Place) -> None:
    model = sound()
    for number in range(50_000):
        model.metadata_props.add(key=f"k{number}", value="v")
    put(place, model)


def _entry(key: str, value: str) -> Make:
    def make(place: Place) -> None:
        model = sound()
        for _ in range(2):
            model.metadata_props.add(key=key, value=value)
        put(place, model)

    return make


def _named(name: str) -> Make:
    """SOUND whose input, node and output have odd names."""

    def make(place: Place) -> None:
        model = parsed("g (float[2] x) => (float[2] y) { y = Neg (x) }")
        (node,) = model.graph.node
        node.name, node.input[0], node.output[0] = name, f"{name}i", f"{name}o"
        model.graph.input[0].name, model.graph.output[0].name = f"{name}i", f"{name}o"
        put(place, model)

    return make


def _long_names(change: Callable[[str], ModelProto]) -> Make:
    """A model in which something has a name of 10^6 letters."""
    return lambda place: put(place, change("n" * 1_000_000))


def _long_node(name: str) -> ModelProto:
    model = parsed("g (float[2] x) => (float[2] y) <float[3] w = {1, 2, 3}> { y = Add (x, w) }")
    model.graph.node[0].name = name
    return model


def _long_weight(name: str) -> ModelProto:
    model = sound()
    model.graph.initializer[0].name = model.graph.node[0].input[1] = name
    model.graph.initializer[0].dims[0] = -4
    return model


def _long_output(name: str) -> ModelProto:
    model = sound()
    model.graph.output.add().CopyFrom(model.graph.output[0])
    for value in model.graph.output:
        value.name = model.graph.node[0].output[0] = name
    return model


def _long_operator(name: str) -> ModelProto:
    model = sound()
    model.graph.node[0].op_type = name
    return model


def _long_input(name: str) -> ModelProto:
    model = parsed("g (float[9000000000000000000] x) => (float[n] y) { y = Neg (x) }")
    model.graph.input[0].name = model.graph.node[0].input[0] = name
    return model


def _long_dimension(name: str) -> ModelProto:
    model = sound()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = name
    model.graph.initializer[0].dims[:] = [3, 4]
    return model


LONG: dict[str, tuple[Make, str]] = {
    "a node with a name of 10^6 letters": (_long_names(_long_node), "Add 'nnnn"),
    "a weight with a name of 10^6 letters": (_long_names(_long_weight), "the tensor 'nnnn"),
    "an output with a name of 10^6 letters": (_long_names(_long_output), "the output 'nnnn"),
    "an operator with a name of 10^6 letters": (_long_names(_long_operator), "nnnn"),
    "an input with a name of 10^6 letters": (_long_names(_long_input), "nnnn"),
    "a dimension with a name of 10^6 letters": (_long_names(_long_dimension), "MatMul|nnnn"),
}
ODD: dict[str, tuple[Make, str]] = {
    "50,000 entries of metadata": (_many_entries, ""),
    "a value of metadata of 16 MB, twice": (_entry("toolkit.source", "v" * (1 << 24)), ""),
    "metadata with control characters": (_entry("\x1b]0;owned\x07", "/etc/evil.py:run\r\n"), ""),
    "names that are paths, markup and control characters": (
        _named("../../etc/<script>alert(1)</script>\x1b[31m\n\r\0"),
        "",
    ),
}
"""Odd, and still a model that means something: it is judged like any other."""
KINDS: dict[str, Kind] = {
    **each(NO_FILES),
    **each(LONG),
    **{name: Kind(make, says, code=0) for name, (make, says) in ODD.items()},
}
