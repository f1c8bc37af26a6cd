"""A large file is read without the bytes of its tensors, and means the same."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests import small
from toolkit.errors import InputError
from toolkit.onnxfiles import lightened, modelfile, storedtensors, thinmodels
from toolkit.onnxfiles.tensordata import Stored
from toolkit.oracle.evaluator import Evaluator

SIZE = 600
X = np.random.default_rng(3).normal(size=(2, SIZE)).astype(np.float32)


def tower(path: Path, layers: int = 2) -> Path:
    """Products by matrices of 1.4 MB inside the file, a small bias, an empty tensor."""
    draw = np.random.default_rng(0)
    names = ["x", *(f"h{n}" for n in range(1, layers)), "sum"]
    nodes = [helper.make_node("MatMul", [names[n], f"w{n}"], [names[n + 1]]) for n in range(layers)]
    nodes.append(helper.make_node("Add", ["sum", "bias"], ["y"]))
    stored = {f"w{n}": draw.normal(size=(SIZE, SIZE)).astype(np.float32) for n in range(layers)}
    stored |= {"bias": np.ones(SIZE, np.float32), "none": np.empty(0, np.float32)}
    weights = [numpy_helper.from_array(array, name) for name, array in stored.items()]
    return small.save(path, nodes, {"x": ["n", SIZE]}, {"y": ["n", SIZE]}, weights)


def weight(model: ModelProto, name: str) -> TensorProto:
    found: TensorProto = next(t for t in model.graph.initializer if t.name == name)
    return found


def rewritten(path: Path, model: ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def is_light(path: Path) -> bool:
    return len(lightened.read(path, path.stat().st_size)) < path.stat().st_size / 10


def test_large_tensors_stay_in_the_file_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tower(tmp_path / "m.onnx")

    opened = modelfile.open_once(path)
    whole = onnx.load(path)

    assert is_light(path)
    assert weight(opened.model, "w1").data_location == TensorProto.EXTERNAL
    assert weight(opened.model, "bias") == weight(whole, "bias")
    assert opened.complete() == whole
    assert storedtensors.external_files(path, opened.model) == []
    assert opened.facts.size == path.stat().st_size
    assert opened.facts.parameters == 2 * SIZE * SIZE + SIZE


def test_it_computes_what_the_whole_file_does(tmp_path: Path) -> None:
    path = tower(tmp_path / "m.onnx")

    thin = thinmodels.of_opened(modelfile.open_once(path))
    source = thin.weights["w0"].source

    assert isinstance(source, Stored)
    assert source.file == path.resolve()
    right = Evaluator(onnx.load(path)).run({"x": X})["y"]
    np.testing.assert_array_equal(Evaluator(thin).run({"x": X})["y"], right)
    thin.copy().save(tmp_path / "copy.onnx")
    copy = modelfile.open_once(tmp_path / "copy.onnx")
    np.testing.assert_array_equal(Evaluator(copy.model, folder=tmp_path).run({"x": X})["y"], right)


def test_it_takes_no_memory_of_the_weights(tmp_path: Path) -> None:
    path = tower(tmp_path / "m.onnx", 6)
    tracemalloc.start()

    content = lightened.read(path, path.stat().st_size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(content) < 10_000
    assert peak < path.stat().st_size / 4


def test_a_link_to_a_file_is_read_as_the_file(tmp_path: Path) -> None:
    """Caches of models hold links to files elsewhere."""
    (tmp_path / "blobs").mkdir()
    tower(tmp_path / "blobs" / "abc")
    link = tmp_path / "m.onnx"
    link.symlink_to(tmp_path / "blobs" / "abc")

    opened = modelfile.open_once(link)

    assert opened.complete() == onnx.load(link)


@pytest.mark.parametrize("change", ["short", "long", "twice", "lists", "elsewhere", "unknown type"])
def test_what_is_odd_is_left_to_the_parser(tmp_path: Path, change: str) -> None:
    model = onnx.load(tower(tmp_path / "m.onnx"))
    tensor = weight(model, "w0")
    if change == "short":
        tensor.raw_data = tensor.raw_data[:-4]
    elif change == "long":
        tensor.raw_data += b"1234"
    elif change == "lists":
        tensor.float_data.append(1.0)
    elif change == "elsewhere":
        tensor.external_data.add(key="location", value="other.data")
    elif change == "unknown type":
        tensor.data_type = 99
    path = rewritten(tmp_path / "odd.onnx", model)
    if change == "twice":  # protobuf merges two graphs
        path.write_bytes(path.read_bytes() * 2)

    assert lightened.read(path, path.stat().st_size) == path.read_bytes()
    if change in ("short", "long", "unknown type"):
        with pytest.raises(InputError, match="w0"):
            modelfile.open_once(path)


def test_damaged_files_are_read_as_the_parser_reads_them(tmp_path: Path) -> None:
    """Bytes that were changed, cut and added by a seed: what comes is a model of the same meaning,
    or the very bytes."""
    whole = tower(tmp_path / "m.onnx").read_bytes()
    drawn = random.Random(5)
    headers = [*range(2000), *range(len(whole) - 3000, len(whole))]
    light = 0
    for number in range(200):
        data = bytearray(whole)
        for _ in range(drawn.randint(1, 3)):
            data[drawn.choice(headers)] = drawn.randrange(256)
        if number % 4 == 0:
            del data[drawn.randrange(len(data)) :]
        path = tmp_path / "damaged.onnx"
        path.write_bytes(data)

        content = lightened.read(path, len(data))

        if content != data:
            light += 1
            try:
                model = ModelProto.FromString(bytes(data))
            except DecodeError:
                with pytest.raises(DecodeError):
                    ModelProto.FromString(content)
                continue
            _demand_same(model, ModelProto.FromString(content), data)
    assert light > 20


def _demand_same(whole: ModelProto, light: ModelProto, data: bytearray) -> None:
    """Brings the bytes back by their places, and compares."""
    for tensor in light.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if "offset" in entries:
            offset, length = int(entries["offset"]), int(entries["length"])
            tensor.raw_data = bytes(data[offset : offset + length])
            tensor.ClearField("data_location")
            del tensor.external_data[:]
    assert _numbers(light) == _numbers(whole)
    assert [node.op_type for node in light.graph.node] == [n.op_type for n in whole.graph.node]


def _numbers(model: ModelProto) -> list[tuple[str, bytes]]:
    return [(tensor.name, tensor.raw_data) for tensor in model.graph.initializer]
