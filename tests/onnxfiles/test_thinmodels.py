"""A model without its large tensors is the same model, and a changed copy costs its graph alone."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests import small
from toolkit.answers.rewrite import FLOAT16, RoundedCopy, float32_form
from toolkit.onnxfiles import graphs, modelfile, thinmodels
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.oracle import portable
from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array

X = np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)


def opened(path: Path) -> ThinModel:
    return thinmodels.of_opened(modelfile.open_once(path))


def run(path: Path) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (given.name for given in session.get_inputs())
    return np.asarray(session.run(None, {name: X})[0])


@pytest.fixture(params=["inside", "beside"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The perceptron, with its weights in the file or in another one beside it."""
    file = small.mlp(tmp_path / "mlp.onnx")
    if request.param == "beside":
        model = onnx.load(file)
        onnx.save_model(
            model, file, save_as_external_data=True, location="mlp.data", size_threshold=0
        )
    return file


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_large_tensors_leave_the_graph_and_small_ones_stay(path: Path) -> None:
    thin = opened(path)

    inside = {t.name: len(t.raw_data) for t in thin.proto.graph.initializer}
    assert list(thin.weights) == ["w1"]
    assert inside == {"w1": 0, "b1": 512, "w2": 1024, "b2": 8}
    assert thin.file == path


def test_saved_and_whole_it_computes_the_same(path: Path, work: Path) -> None:
    thin = opened(path)
    changed = thin.copy()

    changed.save(work / "copy.onnx")
    onnx.save(changed.whole(), work / "whole.onnx")

    np.testing.assert_array_equal(run(work / "copy.onnx"), run(path))
    np.testing.assert_array_equal(run(work / "whole.onnx"), run(path))


def test_a_file_of_tensors_gets_no_second_hard_link(path: Path, work: Path) -> None:
    """onnx refuses external data that has one, so the model itself could not be converted."""
    opened(path).copy().save(work / "copy.onnx")

    assert {file.stat().st_nlink for file in path.parent.rglob("*.*")} == {1}
    np.testing.assert_array_equal(run(work / "copy.onnx"), run(path))
    onnx.checker.check_model(str(path))


def test_what_is_saved_again_leaves_the_mapped_file_alone(path: Path, work: Path) -> None:
    thin = opened(path)
    copy = thin.copy()
    copy.stand_in("w1", thin.weights["w1"].then(np.negative))
    copy.save(work / "copy.onnx")
    mapped = np.memmap(work / "copy.0.data", np.float32)

    copy.stand_in("w1", thin.weights["w1"].then(np.abs))
    copy.save(work / "copy.onnx")

    np.testing.assert_array_equal(mapped, -_weight(path).ravel())
    thinmodels.remove(work / "copy.onnx")
    assert [file.name for file in work.glob("copy*")] == []
    assert path.is_file()


def test_copies_share_the_tensors_that_are_as_they_were(path: Path, work: Path) -> None:
    thin = opened(path)

    for name in ("first", "second"):
        thin.copy().save(work / f"{name}.onnx")

    files = sorted(file.name for file in work.iterdir() if file.suffix != ".onnx")
    if path.with_name("mlp.data").exists():
        assert [Path(name).suffix for name in files] == [thinmodels.COPY]
    else:
        assert files == [thinmodels.UNCHANGED]
        assert (work / thinmodels.UNCHANGED).stat().st_size == thin.weights["w1"].bytes().size
    np.testing.assert_array_equal(run(work / "first.onnx"), run(path))
    np.testing.assert_array_equal(run(work / "second.onnx"), run(path))
    thinmodels.remove(work / "first.onnx")
    np.testing.assert_array_equal(run(work / "second.onnx"), run(path))
    thinmodels.remove(work / "second.onnx")
    assert [*work.iterdir()] == []


def test_a_relative_folder_gets_no_copy_of_its_own_files(
    path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    copy = opened(path).copy()
    copy.stand_in("w1", copy.weights["w1"].then(np.negative))

    copy.save(Path("copy.onnx"))

    assert sorted(file.name for file in work.iterdir()) == ["copy.0.data", "copy.onnx"]


def test_a_large_constant_is_a_weight_too(tmp_path: Path, work: Path) -> None:
    weight = numpy_helper.from_array(np.ones((64, 40), np.float32))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weight),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    path = small.save(tmp_path / "constant.onnx", nodes, {"x": ["n", 64]}, {"y": ["n", 40]})

    thin = opened(path)
    thin.copy().save(work / "copy.onnx")

    assert list(thin.weights) == ["w"]
    np.testing.assert_array_equal(run(work / "copy.onnx"), run(path))


def old() -> ModelProto:
    """A perceptron of opset 11 with float16 weights."""
    weight = np.random.default_rng(0).normal(size=(64, 40)).astype(np.float16)
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["h", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "old",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["n", 40])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def test_a_step_of_the_graph_sees_no_large_tensor(tmp_path: Path) -> None:
    onnx.save(old(), tmp_path / "old.onnx")
    thin = opened(tmp_path / "old.onnx")

    newer = thin.changed(portable.portable)

    assert graphs.opset(newer.proto) == portable.OPSET
    assert [value.name for value in newer.proto.graph.input] == ["x"]
    assert newer.file is None
    np.testing.assert_array_equal(newer.weights["w"].array(), thin.weights["w"].array())
    onnx.checker.check_model(newer.whole(), full_check=True)


def test_a_step_that_changes_nothing_leaves_the_file(path: Path) -> None:
    thin = opened(path)

    assert thin.changed(portable.portable) is thin
    assert float32_form(thin) is thin


def test_a_float16_file_is_raised_when_it_is_read(tmp_path: Path, work: Path) -> None:
    onnx.save(old(), tmp_path / "old.onnx")
    thin = opened(tmp_path / "old.onnx")

    wide = float32_form(thin)
    wide.save(work / "wide.onnx")

    assert wide.weights["w"].kind == TensorProto.FLOAT
    expected = X @ thin.weights["w"].array().astype(np.float32)
    np.testing.assert_allclose(run(work / "wide.onnx"), expected, atol=1e-4)


def test_a_rounded_copy_holds_one_tensor_at_a_time(tmp_path: Path, work: Path) -> None:
    """Eight weights of 1 MB each: one that is rounded takes a few MB, all would take over 8."""
    size, layers = 512, 8
    draw = np.random.default_rng(0)
    names = ["x", *(f"h{n}" for n in range(1, layers)), "y"]
    nodes = [helper.make_node("MatMul", [names[n], f"w{n}"], [names[n + 1]]) for n in range(layers)]
    weights = [
        numpy_helper.from_array(draw.normal(size=(size, size)).astype(np.float32), f"w{n}")
        for n in range(layers)
    ]
    path = small.save(
        tmp_path / "deep.onnx", nodes, {"x": ["n", size]}, {"y": ["n", size]}, weights
    )
    thin = opened(path)
    one = size * size * 4
    tracemalloc.start()

    copy = RoundedCopy(thin.copy(), set())
    copy.round_weights(FLOAT16)
    copy.model.save(work / "copy.onnx")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 4 * one
    assert (work / "copy.0.data").stat().st_size == layers * one


def test_a_file_beside_a_moved_model_is_found(path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in tmp_path.glob("mlp.*"):
        shutil.copy(file, moved)

    thin: ThinModel = opened(moved / "mlp.onnx")

    np.testing.assert_array_equal(thin.weights["w1"].array(), _weight(path))


def _weight(path: Path) -> Array:
    return next(
        numpy_helper.to_array(t, str(path.parent))
        for t in onnx.load(path).graph.initializer
        if t.name == "w1"
    )


@pytest.mark.parametrize("kind", ["read", "in memory"])
def test_the_oracle_evaluates_a_thin_model_as_the_whole_one(path: Path, kind: str) -> None:
    whole = onnx.load(path)
    thin = opened(path) if kind == "read" else thinmodels.of_model(whole)
    feed = {value.name: X for value in whole.graph.input}

    got, right = Evaluator(thin).run(feed), Evaluator(whole).run(feed)

    assert thin.weights
    assert all(np.array_equal(got[name], right[name]) for name in right)


def test_types_of_fewer_than_8_bits_are_read_from_a_thin_model(tmp_path: Path) -> None:
    values = np.arange(2048) % 16 - 8
    stored = helper.make_tensor("w", TensorProto.INT4, [2048], values)
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [2048])
    node = helper.make_node("Cast", ["w"], ["y"], to=TensorProto.INT32)
    graph = helper.make_graph([node], "g", [], [y], [stored])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, tmp_path / "int4.onnx")

    thin = opened(tmp_path / "int4.onnx")

    assert np.array_equal(Evaluator(thin).run({})["y"], values)
