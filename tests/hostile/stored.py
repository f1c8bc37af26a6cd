"""Stored tensors that are not what they say, and external data that lies somewhere else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from onnx import TensorProto

from tests.hostile.kind import Kind, Make, Place, each
from tests.hostile.modelfiles import parsed, put, sound, weights

FILE = "w.bin"
OUTSIDE = "is outside its folder; such a file is not opened"
SHORT = r"w\.bin is too short for the tensor 'w'"


def external(
    place: Place,
    *pairs: tuple[str, str],
    file: Callable[[Path], object] | None = None,
    change: Callable[[TensorProto], object] = lambda tensor: None,
) -> None:
    """SOUND with weights whose place is told by these pairs; `file` makes what lies there."""
    model = sound()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in pairs or (("location", FILE),):
        tensor.external_data.add(key=key, value=value)
    change(tensor)
    if file is None:
        (place.folder / FILE).write_bytes(weights())
    else:
        file(place.folder / FILE)
    put(place, model)


def _at(*pairs: tuple[str, str]) -> Make:
    return lambda place: external(place, *pairs)


def _in(location: str) -> Make:
    return _at(("location", location))


def _where(**entries: str) -> Make:
    return _at(("location", FILE), *entries.items())


def _beside(file: Callable[[Path], object]) -> Make:
    return lambda place: external(place, file=file)


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        before = os.getcwd()
        os.chdir(file.parent)  # Its path may have 107 characters.
        try:
            listening.bind(file.name)
        finally:
            os.chdir(before)


def sparse(place: Place) -> None:
    """Weights of 8 GiB that take no room on the disk."""

    def change(tensor: TensorProto) -> None:
        tensor.dims[:] = [4, 1 << 29]

    def file(path: Path) -> None:
        with path.open("wb") as out:
            out.truncate(8 << 30)

    external(place, file=file, change=change)


def _in_a_constant(place: Place) -> None:
    """External data of an attribute, outside the folder."""
    model = parsed(
        "g (float[2] x) => (float[2] y) {"
        " c = Constant <value = float[2] {1, 2}> () y = Add (x, c) }"
    )
    tensor = model.graph.node[0].attribute[0].t
    _outside(tensor, place)
    put(place, model)


def _in_a_branch(place: Place) -> None:
    """External data of a weight of a subgraph, outside the folder."""
    branch = "() => (float[2] p) <float[2] w = {1, 2}> { p = Add (x, w) }"
    model = parsed(
        f"g (bool c, float[2] x) => (float[2] y) {{ y = If <then_branch = a {branch},"
        f" else_branch = b {branch}> (c) }}"
    )
    for attribute in model.graph.node[0].attribute:
        _outside(attribute.g.initializer[0], place)
    put(place, model)


def _in_a_function(place: Place) -> None:
    """External data of a function's constant, outside the folder."""
    model = parsed(
        "g (float[2] x) => (float[2] y) { y = d.F (x) }"
        ' <domain: "d", opset_import: ["" : 20]> F (a)'
        " => (b) { c = Constant <value = float[2] {1, 2}> () b = Add (a, c) }",
        '<ir_version: 10, opset_import: ["" : 20, "d" : 1]>',
    )
    _outside(model.functions[0].node[0].attribute[0].t, place)
    put(place, model)


def _in_a_sparse_tensor(place: Place) -> None:
    model = sound()
    sparse = model.graph.sparse_initializer.add(dims=[2])
    sparse.values.CopyFrom(TensorProto(name="s", data_type=1, dims=[2], raw_data=bytes(8)))
    sparse.indices.CopyFrom(TensorProto(name="i", data_type=7, dims=[2], raw_data=bytes(16)))
    _outside(sparse.values, place)
    put(place, model)


def _outside(tensor: TensorProto, place: Place) -> None:
    for field in ("raw_data", "float_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=f"../{place.outside.name}/{FILE}")


def _linked(place: Place) -> None:
    external(place, file=lambda file: file.symlink_to(place.outside / FILE))


def _absolute(place: Place) -> None:
    external(place, ("location", str(place.outside / FILE)))


def _above(place: Place) -> None:
    external(place, ("location", f"../{place.outside.name}/{FILE}"))


def _through_a_folder(place: Place) -> None:
    (place.folder / "sub").symlink_to(place.outside)
    external(place, ("location", f"sub/{FILE}"))


def _twice(first: bool) -> Make:
    """Two places of one tensor, of which one lies outside."""

    def make(place: Place) -> None:
        pairs = [("location", FILE), ("location", f"../{place.outside.name}/{FILE}")]
        external(place, *(pairs if first else pairs[::-1]))

    return make


EXTERNAL: dict[str, tuple[Make, str]] = {
    "weights above the folder": (_above, OUTSIDE),
    "weights at an absolute path": (_absolute, OUTSIDE),
    "weights behind a link": (_linked, OUTSIDE),
    "weights in a folder that is a link": (_through_a_folder, OUTSIDE),
    "weights in /dev/zero": (_in("/dev/zero"), OUTSIDE),
    "weights in /proc": (_in("/proc/self/environ"), OUTSIDE),
    "weights above, and back": (_in(f"sub/../{FILE}"), OUTSIDE),
    "weights without a place": (_at(("offset", "0")), OUTSIDE),
    "weights in the folder itself": (_in("."), OUTSIDE),
    "weights at an empty place": (_in(""), OUTSIDE),
    "weights at two places, the second outside": (_twice(True), "the place of 'w' is told twice"),
    "weights at two places, the first outside": (_twice(False), "the place of 'w' is told twice"),
    "weights of a constant outside": (_in_a_constant, OUTSIDE),
    "weights of a branch outside": (_in_a_branch, OUTSIDE),
    "weights of a function outside": (_in_a_function, OUTSIDE),
    "weights of a sparse tensor outside": (_in_a_sparse_tensor, OUTSIDE + "|m.onnx"),
    "weights with backslashes": (_in("..\\outside\\w.bin"), "which is not there"),
    "weights with a NUL in their place": (_in("w.bin\0x"), "no file: embedded null byte"),
    "weights with a line in their place": (
        _in("w\nbin"),
        r"weights in 'w\\nbin', which is not there",
    ),
    "weights at a place of 10^5 letters": (_in("w" * 100_000), "no file: .*File name too long"),
    "weights that are not there": (_in("gone.bin"), "which is not there"),
    "weights in a pipe": (_beside(os.mkfifo), "w.bin"),
    "weights in a folder": (_beside(Path.mkdir), "w.bin"),
    "weights in a socket": (_beside(_socket), "w.bin"),
    "weights behind a link to nowhere": (
        _beside(lambda file: file.symlink_to("nowhere")),
        "w.bin",
    ),
    "weights behind a link in a circle": (
        _beside(lambda file: file.symlink_to(file.name)),
        "w.bin, which is",
    ),
    "weights in an empty file": (_beside(Path.touch), SHORT),
    "weights that break off": (_beside(lambda file: file.write_bytes(bytes(47))), SHORT),
    "an offset beyond the end": (_where(offset="9999"), SHORT),
    "an offset below zero": (_where(offset="-4"), SHORT),
    "an offset of 30 digits": (_where(offset="9" * 30), SHORT),
    "an offset of 10^4 digits": (_where(offset="9" * 10_000), "w.bin"),
    "an offset that is no number": (_where(offset="many"), "is no number"),
    "an offset in other digits": (_where(offset="٤"), "w.bin"),
    "a length below zero": (_where(length="-1"), SHORT),
    "a length beyond the end": (_where(length="9999"), SHORT),
    "a length too short": (_where(length="4"), SHORT),
    "a length that is no number": (_where(length="1e3"), "is no number"),
}


def _tensor(change: Callable[[TensorProto], object]) -> Make:
    def make(place: Place) -> None:
        model = sound()
        change(model.graph.initializer[0])
        put(place, model)

    return make


def _with(**fields: object) -> Make:
    """SOUND with other weights."""

    def make(place: Place) -> None:
        model = sound()
        model.graph.initializer[0].CopyFrom(TensorProto(name="w", **fields))  # type: ignore[arg-type]
        put(place, model)

    return make


def _sparse_with(indices: list[int], *, dims: tuple[int, ...] = (12,), of: int = 2) -> Make:
    """A sparse tensor of `of` values at these places."""

    def make(place: Place) -> None:
        model = parsed(
            "g (float[12] x) => (float[12] y) { y = Add (x, s) }",
        )
        sparse = model.graph.sparse_initializer.add(dims=dims)
        values = TensorProto(name="s", data_type=1, dims=[of], float_data=[1.0] * of)
        sparse.values.CopyFrom(values)
        sparse.indices.CopyFrom(
            TensorProto(name="i", data_type=7, dims=[len(indices)], int64_data=indices)
        )
        put(place, model)

    return make


STORED: dict[str, tuple[Make, str]] = {
    "fewer bytes than the shape says": (
        _tensor(lambda t: setattr(t, "raw_data", bytes(40))),
        "needs 48 bytes and has 40",
    ),
    "more bytes than the shape says": (
        _tensor(lambda t: setattr(t, "raw_data", bytes(4800))),
        "needs 48 bytes and has 4800",
    ),
    "no bytes": (_tensor(lambda t: setattr(t, "raw_data", b"")), "needs 48 bytes and has 0"),
    "a size below zero": (_tensor(lambda t: t.dims.__setitem__(0, -4)), "has a negative size"),
    "sizes beyond int64": (
        _tensor(lambda t: t.dims.__setitem__(slice(None), [2**62, 2**62])),
        "needs .* bytes and has 48",
    ),
    "sizes whose product is zero in int64": (
        _tensor(lambda t: t.dims.__setitem__(slice(None), [2**32, 2**32])),
        "needs .* bytes and has 48",
    ),
    "a type that there is not": (
        _tensor(lambda t: setattr(t, "data_type", 77)),
        "'w' is of the type 77",
    ),
    "no type": (_tensor(lambda t: setattr(t, "data_type", 0)), "w|m.onnx"),
    "a list that is too short": (
        _with(data_type=1, dims=[4, 3], float_data=[1.0]),
        "needs 12 values and has 1",
    ),
    "a list of another type": (
        _with(data_type=1, dims=[4, 3], int64_data=[1] * 12),
        "needs 12 values and has 0",
    ),
    "words that are too few": (
        _with(data_type=8, dims=[10**6], string_data=[b"a"]),
        "needs 1000000 values and has 1",
    ),
    "a word of 8 MB": (
        _with(data_type=8, dims=[1], string_data=[b"a" * (1 << 23)]),
        "m.onnx|MatMul",
    ),
    "a tensor in parts": (
        _with(data_type=1, dims=[4, 3], segment=TensorProto.Segment(begin=0, end=9)),
        "w|m.onnx",
    ),
    "sparse places beyond the end": (_sparse_with([1, 99]), "m.onnx|'s'"),
    "sparse places below zero": (_sparse_with([-1, 1]), "m.onnx|'s'"),
    "sparse places in no order": (_sparse_with([5, 1]), "m.onnx|'s'"),
    "sparse places twice": (_sparse_with([1, 1]), "m.onnx|'s'"),
    "fewer sparse places than values": (_sparse_with([1]), "m.onnx|'s'"),
    "a sparse tensor of 2^40 elements": (_sparse_with([1, 2], dims=(1 << 40,)), "m.onnx|s"),
    "a sparse tensor below zero": (_sparse_with([1, 2], dims=(-12,)), "m.onnx|'s'"),
    "a sparse tensor without sizes": (_sparse_with([1, 2], dims=()), "m.onnx|'s'"),
}
KINDS: dict[str, Kind] = {**each(EXTERNAL), **each(STORED)}
