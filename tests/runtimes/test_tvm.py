"""TVM, from the environment that toolkit makes for it: what it compiles, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests import needs, small
from tests.workers.conftest import Start, program, start
from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes import tvm
from toolkit.runtimes.base import Program
from toolkit.tensors import Feed
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["program", "start"]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    needs.program("g++")
    needs.runtime("tvm")


def loaded(worker: Worker, program: Program, feed: Feed) -> Worker:
    worker.post_hello()
    worker.hello()
    assert program.model is not None
    folder = program.model.parent / "converted"
    folder.mkdir()
    worker.convert(program, feed, {}, folder)
    worker.post_load(replace(program, converted=folder))
    worker.load()
    return worker


def answer(worker: Worker, feed: Feed) -> Feed:
    worker.bind("a", feed, {})
    return worker.answer("a")[0]


def test_an_operator_that_it_does_not_have_is_named_in_one_line(
    start: Start, tmp_path: Path
) -> None:
    line = {"x": ("float32", ("n",))}
    celu = small.program(
        tmp_path / "m.onnx",
        [helper.make_node("Celu", ["x"], ["y"])],
        line,
        {"y": ("float32", ("n",))},
    )

    with pytest.raises(TargetError) as caught:
        loaded(start("tvm"), celu, {"x": np.ones(3, np.float32)})

    assert caught.value.what == "tvm has no Celu"


def test_inputs_go_by_their_name_whatever_it_is_and_whatever_the_order_of_the_feed(
    start: Start, tmp_path: Path
) -> None:
    """The compiled function knows them by position only. A bool and an integer among them."""
    nodes = [
        helper.make_node("Gather", ["a/table:0", "1.ids"], ["rows"]),
        helper.make_node("Where", ["mask", "rows", "a/table:0"], ["y"]),
        helper.make_node("Add", ["1.ids", "1.ids"], ["twice"]),
    ]
    three = small.program(
        tmp_path / "three.onnx",
        nodes,
        {
            "mask": ("bool", ("n",)),
            "a/table:0": ("float32", ("n",)),
            "1.ids": ("int64", ("n",)),
        },
        {"y": ("float32", ("n",)), "twice": ("int64", ("n",))},
    )
    ids = np.array([2, 0, -1, 1])
    table = np.array([1.5, 2.5, 3.5, 4.5], np.float32)
    mask = np.array([True, False, True, False])
    feed = {"1.ids": ids, "mask": mask, "a/table:0": table}

    found = answer(loaded(start("tvm"), three, feed), feed)

    np.testing.assert_array_equal(found["y"], np.where(mask, table[ids], table))
    np.testing.assert_array_equal(found["twice"], 2 * ids)
    assert found["twice"].dtype == np.int64


@pytest.mark.parametrize(
    ("first", "second", "sizes"),
    [(None, None, (3, 5)), ("a-b", "a-b", (3, 3)), ("2*(a+1)", "a b", (4, 2))],
    ids=["none", "minus", "a formula"],
)
def test_a_dimension_may_have_any_name_or_none(
    start: Start, tmp_path: Path, first: str | None, second: str | None, sizes: tuple[int, int]
) -> None:
    """TVM's reader calculates with the signs in a name, and takes all without one for the same."""
    two = small.program(
        tmp_path / "two.onnx",
        [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Neg", ["z"], ["w"])],
        {"x": ("float32", (first,)), "z": ("float32", (second,))},
        {"y": ("float32", (first,)), "w": ("float32", (second,))},
    )
    feed = {name: np.ones(size, np.float32) for name, size in zip("xz", sizes, strict=True)}

    found = answer(loaded(start("tvm"), two, feed), feed)

    np.testing.assert_array_equal(found["y"], -feed["x"])
    np.testing.assert_array_equal(found["w"], -feed["z"])


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_a_shape_that_a_model_gives_is_an_array(start: Start, tmp_path: Path, io: str) -> None:
    """To TVM it is no tensor. A scalar and an input without elements too."""
    nodes = [helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Neg", ["s"], ["t"])]
    shapes = small.program(
        tmp_path / "shape.onnx",
        nodes,
        {"x": ("float32", ("n", 4)), "s": ("float32", ())},
        {"shape": ("int64", (2,)), "t": ("float32", ())},
    )
    feed = {"x": np.ones((0, 4), np.float32), "s": np.array(2, np.float32)}

    found = answer(loaded(start("tvm", io=io), shapes, feed), feed)

    assert found["shape"].dtype == np.int64
    assert found["shape"].tolist() == [0, 4]
    assert (found["t"].shape, float(found["t"])) == ((), -2)


def test_an_operator_of_an_old_opset_keeps_its_meaning(start: Start, tmp_path: Path) -> None:
    """Before opset 13 Softmax runs over all dimensions from its axis on."""
    spec = ("float32", ("n", 3, 4))
    nodes = [helper.make_node("Softmax", ["x"], ["y"], axis=1)]
    old = small.program(tmp_path / "old.onnx", nodes, {"x": spec}, {"y": spec}, opset=11)
    feed = {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4)}

    found = answer(loaded(start("tvm"), old, feed), feed)

    np.testing.assert_allclose(found["y"].sum((1, 2)), [1, 1], rtol=1e-6)


def test_sizes_that_it_cannot_compare_need_fixed_shapes(start: Start, tmp_path: Path) -> None:
    sums = small.program(
        tmp_path / "sum.onnx",
        [helper.make_node("Add", ["a", "b"], ["y"])],
        {"a": ("float32", ("n",)), "b": ("float32", ("m",))},
        {"y": ("float32", (None,))},
    )
    feed = {"a": np.arange(3, dtype=np.float32), "b": np.ones(1, np.float32)}

    with pytest.raises(TargetError) as caught:
        loaded(start("tvm"), sums, feed)
    (tmp_path / "fixed").mkdir()
    fixed = replace(sums, model=Path(tmp_path / "sum.onnx").rename(tmp_path / "fixed" / "sum.onnx"))
    found = answer(loaded(start("tvm", shapes="fixed"), fixed, feed), feed)

    assert caught.value.what == "tvm has no code for add at these dimensions"
    assert caught.value.cures[0].startswith("--target tvm,shapes=fixed ")
    assert found["y"].tolist() == [1, 2, 3]


def test_fixed_shapes_refuse_all_others(start: Start, program: Program) -> None:
    one, seven = (np.ones((rows, 64), np.float32) for rows in (1, 7))
    worker = loaded(start("tvm", shapes="fixed"), program, {"input": seven})

    found = answer(worker, {"input": seven})
    with pytest.raises(ShapeRefused) as caught:
        worker.bind("1", {"input": one}, {})

    np.testing.assert_allclose(
        found["output"], small.expected(program, {"input": seven}), atol=1e-6
    )
    assert caught.value.what == ("converted for 'input' of (7, 64), shapes=fixed")


def test_dimensions_of_one_name_must_have_one_size(start: Start, tmp_path: Path) -> None:
    spec = ("float32", ("n",))
    nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
    sums = small.program(tmp_path / "sum.onnx", nodes, {"a": spec, "b": spec}, {"y": spec})
    three, one = np.ones(3, np.float32), np.ones(1, np.float32)
    worker = loaded(start("tvm"), sums, {"a": three, "b": three})

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("1", {"a": three, "b": one}, {})

    assert caught.value.what == "at the shape a (3,), b (1,): tvm compiled 'b' for (n,)"


def test_without_a_linker_it_says_what_is_missing(
    start: Start, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(TargetError) as caught:
        loaded(start("tvm"), program, {"input": np.ones((7, 64), np.float32)})

    assert caught.value.what.startswith("tvm links what it compiled with a C++ compiler")


def test_it_runs_in_one_thread_however_many_are_asked_for(start: Start, program: Program) -> None:
    """The README says so: untuned loops ask TVM's pool for nothing."""
    counts = []
    feed = {"input": np.ones((7, 64), np.float32)}
    assert program.model is not None
    for threads in (1, 2):
        folder = program.model.parent / str(threads)
        folder.mkdir()
        file = small.mlp(folder / "mlp.onnx")
        worker = loaded(start("tvm"), small.mlp_program(file, threads), feed)
        answer(worker, feed)
        counts.append(len([*Path(f"/proc/{worker.pid}/task").iterdir()]))

    assert counts[0] == counts[1]


def test_bound_outputs_are_those_of_the_timed_call(start: Start, program: Program) -> None:
    feed = {"input": np.linspace(-1, 1, 7 * 64, dtype=np.float32).reshape(7, 64)}
    worker = loaded(start("tvm", io="bound"), program, feed)
    first = answer(worker, feed)
    worker.sample("a", 20, 2)
    left, _ = worker.answer("a", again=False)

    np.testing.assert_array_equal(first["output"], left["output"])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("num_heads"), "tvm's own code fails on this model: KeyError 'num_heads'"),
        (AssertionError(), "tvm's own code fails on this model: AssertionError"),
        (ValueError("no value in Constant\nmore"), "tvm: no value in Constant"),
        (ValueError(), "tvm: ValueError"),
    ],
)
def test_a_reason_says_whose_fault_it_is(error: Exception, reason: str) -> None:
    assert tvm._reason(error) == reason
