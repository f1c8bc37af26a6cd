"""On a machine with an NVIDIA GPU: what is named cuda ran there, and is right in float32."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

import toolkit
from tests import command, small
from tests.workers.conftest import Start, start
from toolkit.errors import LibraryError, ProviderFailed, TargetError
from toolkit.machine import describe
from toolkit.records.schema import TargetRecord
from toolkit.runtimes.base import Program
from toolkit.tensors import TensorSpec
from toolkit.workers.launch import Worker

__all__ = ["start"]

pytestmark = [
    pytest.mark.skipif(
        not describe.graphics(), reason="no NVIDIA GPU is seen; nothing here can run"
    ),
    pytest.mark.process,
]

DRAW = np.random.default_rng(5)
FEEDS = {rows: DRAW.normal(size=(rows, 64)).astype(np.float32) for rows in (1, 7, 32)}
REFERENCE = Path(__file__).parents[2] / "models/mlp/mlp.onnx"
WAYS: dict[str, dict[str, str]] = {
    "numpy": {"io": "numpy"},
    "bound": {"io": "bound"},
    "graph": {"io": "bound", "graph": "on"},
}


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Mapping[str, str]:
    return WAYS[request.param]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return small.mlp_program(small.mlp(tmp_path / "mlp.onnx"))


def loaded(worker: Worker, program: Program) -> Worker:
    worker.post_hello()
    worker.hello()
    worker.post_load(program)
    return worker


def bound(worker: Worker) -> Worker:
    for rows, array in FEEDS.items():
        worker.bind(str(rows), {"input": array}, {"input": "float32"})
    return worker


def half_on_the_cpu(path: Path) -> Program:
    """Det, between two nodes, has no kernel for CUDA."""
    nodes = [
        onnx.helper.make_node("Mul", ["x", "x"], ["square"]),
        onnx.helper.make_node("Det", ["square"], ["det"]),
        onnx.helper.make_node("Neg", ["det"], ["y"]),
    ]
    small.save(path, nodes, {"x": ["n", 3, 3]}, {"y": ["n"]})
    specs = TensorSpec("x", "float32", ("n", 3, 3)), TensorSpec("y", "float32", ("n",))
    return Program(path, specs[:1], specs[1:])


def wide(path: Path) -> Path:
    """A product of 512 terms, in which TensorFloat-32 shows."""
    weights = np.random.default_rng(1).normal(size=(512, 256)).astype(np.float32)
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])]
    tensors = [onnx.numpy_helper.from_array(weights, "w")]
    return small.save(path, nodes, {"x": ["n", 512]}, {"y": ["n", 256]}, tensors)


def test_all_nodes_run_on_cuda(start: Start, program: Program, way: Mapping[str, str]) -> None:
    worker = loaded(start("onnxruntime", "cuda", **way), program)

    assert worker.load().placement.nodes == {"cuda": 4}


def test_its_outputs_at_every_batch_are_the_models(
    start: Start, program: Program, way: Mapping[str, str]
) -> None:
    worker = loaded(start("onnxruntime", "cuda", **way), program)
    worker.load()
    bound(worker)
    for rows, array in FEEDS.items():
        expected = small.expected(program, {"input": array})
        first, _ = worker.answer(str(rows))
        np.testing.assert_allclose(first["output"], expected, atol=1e-6)
        worker.sample(str(rows), 30, 2)
    for rows, array in FEEDS.items():
        left, _ = worker.answer(str(rows), again=False)
        np.testing.assert_allclose(
            left["output"], small.expected(program, {"input": array}), atol=1e-6
        )


@pytest.mark.parametrize("graph", ["off", "on"])
def test_a_bound_buffer_on_the_gpu_that_no_call_wrote_is_seen(program: Program, graph: str) -> None:
    """And what was read before is an array of its own."""
    from toolkit.runtimes.onnxruntime import OnnxRuntime

    settings = {key: option.default for key, option in OnnxRuntime.options.items()}
    session = OnnxRuntime().load(program, "cuda", {**settings, "io": "bound", "graph": graph})
    call = session.bind({"input": FEEDS[7]})
    call.run()
    before = call.outputs(None)["output"]

    call.forget()

    assert np.isnan(call.outputs(None)["output"]).all()
    assert np.isfinite(before).all()
    call.run()
    np.testing.assert_array_equal(call.outputs(None)["output"], before)


def test_the_copies_of_numpy_arrays_can_be_made_alone(start: Start, program: Program) -> None:
    copies: dict[str, tuple[float, float] | None] = {}
    for io in ("numpy", "bound"):
        worker = loaded(start("onnxruntime", "cuda", io=io), program)
        worker.load()
        copies[io] = bound(worker).copies("32", 20)

    into, out = copies["numpy"] or (0, 0)
    assert into > 0
    assert out > 0
    assert copies["bound"] == (0, 0)


def test_what_has_no_kernel_for_cuda_is_named_and_still_right(start: Start, tmp_path: Path) -> None:
    program = half_on_the_cpu(tmp_path / "det.onnx")
    worker = loaded(start("onnxruntime", "cuda"), program)
    placement = worker.load().placement
    feed = {"x": DRAW.normal(size=(5, 3, 3)).astype(np.float32)}
    worker.bind("a", feed, {"x": "float32"})
    outputs, _ = worker.answer("a")

    assert placement.nodes == {"cuda": 2, "cpu": 1}
    assert placement.elsewhere == {"cpu": ("Det",)}
    assert placement.copies is None
    np.testing.assert_allclose(outputs["y"], small.expected(program, feed), rtol=1e-4, atol=1e-5)


def only_det(path: Path) -> Program:
    nodes = [onnx.helper.make_node("Det", ["x"], ["y"])]
    small.save(path, nodes, {"x": ["n", 3, 3]}, {"y": ["n"]})
    specs = TensorSpec("x", "float32", ("n", 3, 3)), TensorSpec("y", "float32", ("n",))
    return Program(path, specs[:1], specs[1:])


@pytest.mark.parametrize(
    ("options", "make", "kind", "said"),
    [
        ({}, only_det, TargetError, "no node of this model runs on CUDAExecutionProvider"),
        ({"device": "63"}, half_on_the_cpu, ProviderFailed | LibraryError, ""),
        ({"graph": "on", "io": "bound"}, half_on_the_cpu, ProviderFailed | LibraryError, ""),
    ],
    ids=["nothing for it", "no such GPU", "graph with the cpu"],
)
def test_what_cuda_cannot_do_is_an_error_and_never_a_run_elsewhere(
    start: Start,
    tmp_path: Path,
    options: dict[str, str],
    make: Callable[[Path], Program],
    kind: type[TargetError],
    said: str,
) -> None:
    worker = loaded(start("onnxruntime", "cuda", **options), make(tmp_path / "model.onnx"))

    with pytest.raises(TargetError) as caught:
        worker.load()

    assert isinstance(caught.value, kind)
    assert said in caught.value.what


def checked(model: Path, *targets: str) -> list[TargetRecord]:
    return toolkit.check(model, targets).run.records


def classes(records: list[TargetRecord]) -> list[str]:
    return [record.verdict.text if record.verdict else str(record.failure) for record in records]


def test_tf32_is_off_unless_it_is_asked_for_and_named_when_it_is(tmp_path: Path) -> None:
    plain, asked, graph = checked(
        wide(tmp_path / "wide.onnx"),
        "onnxruntime:cuda",
        "onnxruntime:cuda,tf32=on",
        "onnxruntime:cuda,io=bound,graph=on",
    )

    assert classes([plain, graph]) == ["float32", "float32"]
    assert asked.verdict is not None
    assert asked.verdict.text.startswith("tf32")


def test_torch_on_cuda_is_right() -> None:
    assert classes(checked(REFERENCE, "torch:cuda")) == ["float32"]


def bench(folder: Path, *words: str, **env: str) -> command.Ended:
    small.mlp(folder / "mlp.onnx")
    return command.run("bench", "mlp.onnx", *words, cwd=folder, env=env)


def test_a_run_on_both_providers_has_the_gpu_and_its_state(tmp_path: Path) -> None:
    done = bench(tmp_path, "--provider", "cpu,cuda", "--quick", "--time", "20s", "--json")

    run = json.loads(done.out)
    seen = describe.graphics()[0].name
    assert done.code == 0, done.err
    assert [record["placement"]["nodes"] for record in run["records"]] == [
        {"cpu": 4},
        {"cpu": 4},
        {"cuda": 4},
        {"cuda": 4},
    ]
    assert all(record["timings"] and record["verdict"]["right"] for record in run["records"])
    for one in run["generations"]:
        (device,) = one["devices"]
        assert device["name"] == seen
        assert device["clock"] > 0
        assert device["temperature"] > 0


def test_a_gpu_that_is_hidden_leaves_no_number_for_cuda(tmp_path: Path) -> None:
    done = bench(tmp_path, "--provider", "cuda", CUDA_VISIBLE_DEVICES="")

    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("error: cuda: not measured. ")
    assert "CUDA_VISIBLE_DEVICES is '' here" in done.err
