"""LiteRT, from the environment that toolkit makes for it: layouts, dynamic sizes, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from tests import needs, small
from tests.workers.conftest import Start, program, start
from toolkit.errors import EnvironmentFault, ShapeRefused, TargetError
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.tensors import TensorSpec
from toolkit.workers import managed
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["program", "start"]

DRAW = np.random.default_rng(5)


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        managed.home(listing.find("litert"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")


def loaded(worker: Worker, program: Program, feed: dict[str, np.ndarray]) -> Worker:
    worker.post_hello()
    worker.hello()
    assert program.model is not None
    folder = program.model.parent / "converted"
    folder.mkdir()
    worker.convert(program, feed, {}, folder)
    worker.post_load(replace(program, converted=folder))
    worker.load()
    return worker


def images(path: Path) -> Program:
    """A convolution over images whose output is images: three channels in, five out."""
    weights = numpy_helper.from_array(DRAW.normal(size=(5, 3, 3, 3)).astype(np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])]
    file = small.save(path, nodes, {"x": ["n", 3, "h", "w"]}, {"y": ["n", 5, "h", "w"]}, [weights])
    x = TensorSpec("x", "float32", ("n", 3, "h", "w"))
    return Program(file, (x,), (TensorSpec("y", "float32", ("n", 5, "h", "w")),))


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_images_go_in_and_come_out_in_the_layout_of_the_model(
    start: Start, tmp_path: Path, io: str
) -> None:
    program = images(tmp_path / "images.onnx")
    sizes = [(1, 3, 8, 6), (2, 3, 5, 7)]
    feeds = [{"x": DRAW.normal(size=size).astype(np.float32)} for size in sizes]
    worker = loaded(start("litert", io=io), program, feeds[0])

    for number, feed in enumerate(feeds):
        worker.bind(str(number), feed, {})
        found, _ = worker.answer(str(number))
        np.testing.assert_allclose(found["y"], small.expected(program, feed), atol=1e-5)


@pytest.mark.parametrize(
    "nodes",
    [
        [("Add", ["x", "x"], ["a"]), ("Relu", ["a"], ["b"])],
        [("Relu", ["x"], ["a"]), ("Identity", ["a"], ["b"])],
        [("Identity", ["x"], ["a"]), ("Tanh", ["a"], ["b"])],
        [("LayerNormalization", ["x", "w"], ["a"]), ("Conv", ["a", "k"], ["b"])],
    ],
    ids=["a fused Relu", "a copy", "the input", "other layouts"],
)
def test_an_output_that_a_later_node_reads_is_given(
    start: Start, tmp_path: Path, nodes: list[tuple[str, list[str], list[str]]]
) -> None:
    """The converter fuses the two, or takes the copy away, and the first output is gone."""
    weights = {"w": DRAW.normal(size=6), "k": DRAW.normal(size=(3, 3, 1, 1))}
    used = [name for _, inputs, _ in nodes for name in inputs if name in weights]
    shape: list[int | str] = ["n", 3, "h", 6]
    file = small.save(
        tmp_path / "two.onnx",
        [helper.make_node(*node) for node in nodes],
        {"x": shape},
        {"a": shape, "b": shape},
        [numpy_helper.from_array(weights[name].astype(np.float32), name) for name in used],
    )
    x, a, b = (TensorSpec(name, "float32", tuple(shape)) for name in "xab")
    feeds = [{"x": DRAW.normal(size=(n, 3, h, 6)).astype(np.float32)} for n, h in ((2, 8), (1, 5))]
    worker = loaded(start("litert"), Program(file, (x,), (a, b)), feeds[0])

    for number, feed in enumerate(feeds):
        worker.bind(str(number), feed, {})
        found, _ = worker.answer(str(number))
        right = ReferenceEvaluator(str(file)).run(None, dict(feed))
        assert isinstance(right, list)
        for output, wanted in zip(found.values(), right, strict=True):
            np.testing.assert_allclose(output, wanted, atol=1e-5)


def test_the_users_file_is_not_touched(start: Start, tmp_path: Path) -> None:
    """The converter writes into the file that it is given."""
    program = images(tmp_path / "images.onnx")
    assert program.model is not None
    before = program.model.read_bytes()

    loaded(start("litert"), program, {"x": np.ones((1, 3, 8, 6), np.float32)})

    assert program.model.read_bytes() == before
    assert sorted(file.name for file in (tmp_path / "converted").iterdir()) == [
        "model.tflite",
        "shapes.json",
    ]


def test_inputs_go_by_their_name_whatever_their_order(start: Start, tmp_path: Path) -> None:
    inputs = {"z:0": TensorProto.FLOAT, "a": TensorProto.INT64}
    nodes = [
        helper.make_node("Gather", ["z:0", "a"], ["y"]),
        helper.make_node("Add", ["a", "a"], ["b/twice"]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in inputs.items()],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("b/twice", TensorProto.INT64, ["n"]),
        ],
    )
    file = tmp_path / "two.onnx"
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), file)
    program = Program(
        file,
        (TensorSpec("z:0", "float32", ("n",)), TensorSpec("a", "int64", ("n",))),
        (TensorSpec("y", "float32", ("n",)), TensorSpec("b/twice", "int64", ("n",))),
    )
    table, ids = np.array([1.5, 2.5, 3.5], np.float32), np.array([2, 0, 1])

    worker = loaded(start("litert"), program, {"a": ids, "z:0": table})
    worker.bind("a", {"a": ids, "z:0": table}, {})
    found, _ = worker.answer("a")

    np.testing.assert_array_equal(found["y"], table[ids])
    np.testing.assert_array_equal(found["b/twice"], 2 * ids)


def test_an_operator_that_it_does_not_have_is_named(start: Start, tmp_path: Path) -> None:
    nodes = [helper.make_node("Unique", ["x"], ["y"])]
    file = small.save(tmp_path / "unique.onnx", nodes, {"x": ["n"]}, {"y": ["m"]})
    x, y = TensorSpec("x", "float32", ("n",)), TensorSpec("y", "float32", ("m",))

    with pytest.raises(TargetError) as caught:
        loaded(start("litert"), Program(file, (x,), (y,)), {"x": np.ones(3, np.float32)})

    assert caught.value.what == "litert has no operator Unique"


def test_a_type_that_the_converter_changes_is_refused(start: Start, tmp_path: Path) -> None:
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    file = tmp_path / "half.onnx"
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), file)
    x, y = TensorSpec("x", "float16", ("n",)), TensorSpec("y", "float16", ("n",))

    with pytest.raises(TargetError) as caught:
        loaded(start("litert"), Program(file, (x,), (y,)), {"x": np.ones(3, np.float16)})

    assert caught.value.what == "onnx2tf makes float32 of the float16 'x'"


def test_sizes_that_an_operator_refuses_are_refused_and_the_others_go_on(
    start: Start, tmp_path: Path
) -> None:
    """Two sizes that are named apart, and must be equal: the file does not say so."""
    nodes = [helper.make_node("Add", ["x", "y"], ["z"])]
    file = small.save(tmp_path / "add.onnx", nodes, {"x": ["a", 4], "y": ["b", 4]}, {"z": ["c", 4]})
    x, y = TensorSpec("x", "float32", ("a", 4)), TensorSpec("y", "float32", ("b", 4))
    program = Program(file, (x, y), (TensorSpec("z", "float32", ("c", 4)),))
    three, two = np.ones((3, 4), np.float32), np.ones((2, 4), np.float32)
    worker = loaded(start("litert"), program, {"x": three, "y": three})

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("0", {"x": three, "y": two}, {})
    worker.bind("1", {"x": two, "y": two}, {})
    found, _ = worker.answer("1")

    assert caught.value.what.startswith("litert cannot take inputs of 3×4 and 2×4: ")
    np.testing.assert_array_equal(found["z"], two + two)


def test_two_bound_feeds_of_one_shape_keep_their_own_outputs(
    start: Start, program: Program
) -> None:
    """They share the interpreter's tensors."""
    feeds = [{"input": DRAW.normal(size=(7, 64)).astype(np.float32)} for _ in range(2)]
    worker = loaded(start("litert", io="bound"), program, feeds[0])
    for number, feed in enumerate(feeds):
        worker.bind(str(number), feed, {})

    for number in (0, 1):
        worker.sample(str(number), 20, 2)

    for number, feed in enumerate(feeds):
        left, _ = worker.answer(str(number), again=False)
        np.testing.assert_allclose(left["output"], small.expected(program, feed), atol=1e-6)


@pytest.mark.parametrize(("threads", "more"), [(1, 0), (2, 1)])
def test_it_starts_as_many_threads_as_it_was_asked_for(
    start: Start, program: Program, threads: int, more: int
) -> None:
    limited = replace(program, threads=threads)
    feed = {"input": np.ones((257, 64), np.float32)}
    worker = loaded(start("litert"), limited, feed)
    before = len([*Path(f"/proc/{worker.pid}/task").iterdir()])

    worker.bind("a", feed, {})
    worker.answer("a")

    assert len([*Path(f"/proc/{worker.pid}/task").iterdir()]) - before == more
