"""IREE, from the environment that toolkit makes for it: what it compiles, and what it refuses."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import needs, small
from tests.workers.conftest import Start, program, start
from toolkit.errors import EnvironmentFault, ShapeRefused, TargetError
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.records.schema import WarningKind
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.tensors import TensorSpec
from toolkit.workers import managed
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["program", "start"]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        managed.home(listing.find("iree"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")


def loaded(worker: Worker, program: Program, feed: dict[str, np.ndarray]) -> Worker:
    worker.post_hello()
    worker.hello()
    assert program.model is not None
    folder = program.model.parent / "converted"
    folder.mkdir()
    worker.convert(program, feed, {}, folder)
    worker.post_load(
        Program(
            program.model,
            program.inputs,
            program.outputs,
            threads=program.threads,
            converted=folder,
        )
    )
    worker.load()
    return worker


def test_an_operator_that_it_does_not_have_is_named_in_one_line(
    start: Start, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Unique", ["x"], ["y"])]
    file = small.save(tmp_path / "unique.onnx", nodes, {"x": ["n"]}, {"y": ["m"]})
    program = Program(
        file, (TensorSpec("x", "float32", ("n",)),), (TensorSpec("y", "float32", ("m",)),)
    )

    with pytest.raises(TargetError) as caught:
        loaded(start("iree"), program, {"x": np.ones(3, np.float32)})

    assert caught.value.what == "iree cannot compile the operator Unique"
    assert "Unique" in "\n".join(caught.value.last_words)


def test_inputs_go_by_their_name_whatever_the_order_of_the_feed(
    start: Start, tmp_path: Path
) -> None:
    """The compiled function knows them by position only. A bool and an integer among them."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Where", ["mask", "rows", "table"], ["y"]),
        helper.make_node("Add", ["ids", "ids"], ["twice"]),
    ]
    inputs = {"mask": TensorProto.BOOL, "table": TensorProto.FLOAT, "ids": TensorProto.INT64}
    outputs = {"y": TensorProto.FLOAT, "twice": TensorProto.INT64}
    graph = helper.make_graph(
        nodes,
        "any name / at all",
        [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in outputs.items()],
    )
    file = tmp_path / "three.onnx"
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), file)
    program = Program(
        file,
        (
            TensorSpec("mask", "bool", ("n",)),
            TensorSpec("table", "float32", ("n",)),
            TensorSpec("ids", "int64", ("n",)),
        ),
        (TensorSpec("y", "float32", ("n",)), TensorSpec("twice", "int64", ("n",))),
    )
    ids = np.array([2, 0, 1, 1])
    table = np.array([1.5, 2.5, 3.5, 4.5], np.float32)
    mask = np.array([True, False, True, False])

    worker = loaded(start("iree"), program, {"ids": ids, "mask": mask, "table": table})
    worker.bind("a", {"ids": ids, "mask": mask, "table": table}, {})
    found, _ = worker.answer("a")

    np.testing.assert_array_equal(found["y"], np.where(mask, table[ids], table))
    np.testing.assert_array_equal(found["twice"], 2 * ids)
    assert found["twice"].dtype == np.int64


def test_an_operator_of_an_old_opset_keeps_its_meaning(start: Start, tmp_path: Path) -> None:
    """Before opset 13 Softmax runs over all dimensions from its axis on."""
    graph = helper.make_graph(
        [helper.make_node("Softmax", ["x"], ["y"], axis=1)],
        "old",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 4])],
    )
    file = tmp_path / "old.onnx"
    opset = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=6), file)
    spec = TensorSpec("x", "float32", ("n", 3, 4)), TensorSpec("y", "float32", ("n", 3, 4))
    feed = {"x": np.arange(24, dtype=np.float32).reshape(2, 3, 4)}

    worker = loaded(start("iree"), Program(file, spec[:1], spec[1:]), feed)
    worker.bind("a", feed, {})
    found, _ = worker.answer("a")

    np.testing.assert_allclose(found["y"].sum((1, 2)), [1, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TensorProto.DOUBLE, [-1.0, 1 / 3, 2.0]),
        (TensorProto.UINT8, [0, 100, 127]),
        (TensorProto.UINT64, [0, 1, 2**63 - 1]),
    ],
    ids=["float64", "uint8", "uint64"],
)
def test_outputs_have_the_type_of_the_model(
    start: Start, tmp_path: Path, kind: int, values: list[float]
) -> None:
    """By itself it makes float32 of float64, and calls unsigned integers signed."""
    x = np.array(values, helper.tensor_dtype_to_np_dtype(kind))
    twice = helper.make_node("Add", ["x", "x"], ["y"])
    worker = loaded(start("iree"), one_node(tmp_path, twice, kind), {"x": x})
    worker.bind("a", {"x": x}, {})

    found, _ = worker.answer("a")

    assert found["y"].dtype == x.dtype
    np.testing.assert_array_equal(found["y"], x + x)


def test_a_function_that_it_has_of_float32_only_is_named(start: Start, tmp_path: Path) -> None:
    program = one_node(tmp_path, helper.make_node("Tanh", ["x"], ["y"]), TensorProto.DOUBLE)

    with pytest.raises(TargetError) as caught:
        loaded(start("iree"), program, {"x": np.linspace(-1, 1, 7)})

    assert caught.value.what == "iree cannot compile this model: undefined symbol: tanh"


def one_node(folder: Path, node: onnx.NodeProto, kind: int) -> Program:
    """A model of one node from x to y, of this type."""
    info = [helper.make_tensor_value_info(name, kind, ["n"]) for name in "xy"]
    graph = helper.make_graph([node], "g", info[:1], info[1:])
    file = folder / "one.onnx"
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), file)
    named = helper.tensor_dtype_to_np_dtype(kind).name
    x, y = (TensorSpec(name, named, ("n",)) for name in "xy")
    return Program(file, (x,), (y,))


def test_fixed_shapes_refuse_all_others(start: Start, program: Program) -> None:
    one, seven = (np.ones((rows, 64), np.float32) for rows in (1, 7))
    worker = loaded(start("iree", shapes="fixed"), program, {"input": seven})
    worker.bind("7", {"input": seven}, {})

    found, _ = worker.answer("7")
    with pytest.raises(ShapeRefused) as caught:
        worker.bind("1", {"input": one}, {})

    np.testing.assert_allclose(
        found["output"], small.expected(program, {"input": seven}), atol=1e-6
    )
    assert caught.value.what == "converted for 'input' of (7, 64), shapes=fixed"


def test_a_check_says_at_which_shapes_fixed_shapes_were_judged(tmp_path: Path) -> None:
    run = check(small.mlp(tmp_path / "mlp.onnx"), BenchRequest([parse("iree,shapes=fixed")])).run

    assert run.records[0].verdict is not None
    assert run.records[0].verdict.right
    assert WarningKind.FEWER_SHAPES in [warning.kind for warning in run.records[0].warnings]


@pytest.mark.parametrize(("threads", "workers"), [(1, 0), (2, 2)])
def test_it_starts_as_many_threads_as_it_was_asked_for(
    start: Start, program: Program, threads: int, workers: int
) -> None:
    limited = Program(program.model, program.inputs, program.outputs, threads=threads)
    worker = loaded(start("iree"), limited, {"input": np.ones((7, 64), np.float32)})

    # A thread names itself when it first runs.
    deadline = time.monotonic() + 20
    while (named := _workers(worker)) < workers and time.monotonic() < deadline:
        time.sleep(0.05)

    assert named == workers


def _workers(worker: Worker) -> int:
    names = [file.read_text() for file in Path(f"/proc/{worker.pid}/task").glob("*/comm")]
    return sum(name.startswith("iree-worker") for name in names)


def test_bound_outputs_are_those_of_the_timed_call(start: Start, program: Program) -> None:
    feed = {"input": np.linspace(-1, 1, 7 * 64, dtype=np.float32).reshape(7, 64)}
    worker = loaded(start("iree", io="bound"), program, feed)
    worker.bind("a", feed, {})
    first, _ = worker.answer("a")
    worker.sample("a", 20, 2)
    left, _ = worker.answer("a", again=False)

    np.testing.assert_array_equal(first["output"], left["output"])
