"""ONNX Runtime on WebAssembly and WebGPU: what is special in a page."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import command, needs, small
from tests.javascript import (
    NODE,
    WEB,
    WEB_IN_NODE,
    WEBGPU,
    Way,
    answered,
    installed,
    loaded,
    options,
    saved,
    started,
)
from tests.workers.conftest import Start, start
from toolkit.errors import TargetError
from toolkit.onnxfiles import modelfile
from toolkit.workers import cache
from toolkit.workers.jobs import Patience

pytestmark = pytest.mark.process

__all__ = ["start"]

DRAW = np.random.default_rng(5)


@pytest.mark.parametrize("way", [WEB_IN_NODE, WEB, WEBGPU], ids=["node", "page", "webgpu"])
def test_weights_beside_the_file_are_found(start: Start, tmp_path: Path, way: Way) -> None:
    weight = DRAW.normal(size=(64, 8)).astype(np.float32)
    bias = DRAW.normal(size=8).astype(np.float32)
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight, "weight")),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    file = saved(tmp_path / "m.onnx", nodes, {"b": bias}, "x:FLOAT[n,64]", "->", "y:FLOAT[n,8]")
    onnx.save_model(
        onnx.load(file),
        file,
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=0,
        convert_attribute=True,
    )
    assert len([*tmp_path.glob("[bw]*")]) == 2
    worker = started(start, way)
    loaded(worker, file)
    x = DRAW.normal(size=(3, 64)).astype(np.float32)

    found = answered(worker, {"x": x})["y"]

    np.testing.assert_allclose(found, x @ weight + bias, atol=1e-4)


@pytest.mark.parametrize("way", [NODE, WEB_IN_NODE, WEB], ids=["native", "node", "page"])
def test_a_file_that_the_parent_did_not_look_at_is_not_opened(
    start: Start, tmp_path: Path, way: Way
) -> None:
    """A tensor that lies inside its file names a pipe all the same: to open it is to wait."""
    nodes = [helper.make_node("Add", ["x", "b"], ["y"])]
    bias = np.arange(3, dtype=np.float32)
    file = saved(tmp_path / "m.onnx", nodes, {"b": bias}, "x:FLOAT[3]", "->", "y:FLOAT[3]")
    model = onnx.load(file)
    os.mkfifo(tmp_path / "pipe")
    model.graph.initializer[0].external_data.add(key="location", value="pipe")
    file.write_bytes(model.SerializeToString())
    installed(way)
    worker = start(way[0], way[1], patience=Patience(20, 20), **options(way))
    worker.post_hello()
    worker.hello()

    loaded(worker, file)

    x = np.ones(3, np.float32)
    np.testing.assert_array_equal(answered(worker, {"x": x})["y"], x + bias)


@pytest.mark.parametrize("way", [WEB_IN_NODE, WEB], ids=["node", "page"])
def test_weights_that_a_request_does_not_name_are_not_read(
    start: Start, tmp_path: Path, way: Way
) -> None:
    file = beside(tmp_path)
    program = modelfile.program(modelfile.read(file))
    worker = started(start, way)

    with pytest.raises(TargetError, match=r"b\.bin"):
        worker.load_program(replace(program, external={}))
    worker.load_program(program)

    assert [*program.external] == ["b.bin"]


def beside(folder: Path) -> Path:
    """A model with its only weight in b.bin."""
    nodes = [helper.make_node("Add", ["x", "b"], ["y"])]
    weights = {"b": np.arange(3, dtype=np.float32)}
    file = saved(folder / "m.onnx", nodes, weights, "x:FLOAT[3]", "->", "y:FLOAT[3]")
    onnx.save_model(
        onnx.load(file), file, save_as_external_data=True, location="b.bin", size_threshold=0
    )
    return file


def test_a_variant_and_a_file_with_further_outputs_bring_their_own_weights(
    tmp_path: Path,
) -> None:
    """What a target is given besides the model of the run has external data of its own."""
    installed(WEB_IN_NODE)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Softmax", ["a"], ["y"]),
    ]
    weights = {"w": DRAW.normal(size=(64, 8)).astype(np.float32)}
    specs = ("x:FLOAT[n,64]", "->", "y:FLOAT[n,8]")
    saved(tmp_path / "m.onnx", nodes, weights, *specs)
    model = onnx.load(tmp_path / "m.onnx")
    (tmp_path / "sub").mkdir()
    onnx.save_model(
        model,
        tmp_path / "sub" / "v.onnx",
        save_as_external_data=True,
        location="v.bin",
        size_threshold=0,
    )

    ended = command.run(
        *("check", "m.onnx", "--target", "onnxruntime-web,in=node,model=sub/v.onnx"), cwd=tmp_path
    )

    assert (ended.code, ended.err) == (0, "")
    assert "onnxruntime-web wasm, in=node, v.onnx  float32" in ended.out


def test_nodes_that_webgpu_lacks_are_told_with_their_operators_and_the_copies(
    start: Start, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["a"]),
        helper.make_node("Det", ["a"], ["d"]),
        helper.make_node("Mul", ["a", "d"], ["y"]),
    ]
    file = saved(tmp_path / "m.onnx", nodes, {}, "x:FLOAT[3,3]", "->", "y:FLOAT[3,3]")
    worker = started(start, WEBGPU)

    placement = loaded(worker, file).placement
    x = DRAW.normal(size=(3, 3)).astype(np.float32)

    assert placement.nodes == {"webgpu": 2, "cpu": 1}
    assert placement.elsewhere == {"cpu": ("Det",)}
    assert placement.copies == 2
    np.testing.assert_allclose(
        answered(worker, {"x": x})["y"], x @ x * np.linalg.det(x @ x), rtol=1e-3
    )


def test_a_model_of_which_nothing_runs_on_webgpu_has_no_number(
    start: Start, tmp_path: Path
) -> None:
    nodes = [helper.make_node("Det", ["x"], ["y"])]
    file = saved(tmp_path / "m.onnx", nodes, {}, "x:FLOAT[3,3]", "->", "y:FLOAT[]")
    worker = started(start, WEBGPU)

    with pytest.raises(TargetError, match="no node of this model runs on webgpu"):
        loaded(worker, file)


def test_software_is_named_where_no_gpu_ran(start: Start, tmp_path: Path) -> None:
    worker = started(start, WEBGPU)

    copies = loaded(worker, small.mlp(tmp_path / "mlp.onnx")).copies

    assert "swiftshader, software on the processor and no GPU" in copies


def test_webgpu_without_a_browser_is_refused_with_the_way_to_it(
    start: Start, tmp_path: Path
) -> None:
    installed(WEB_IN_NODE)
    worker = start("onnxruntime-web", "webgpu", **{"in": "node"})
    worker.post_hello()
    worker.hello()

    with pytest.raises(TargetError, match="webgpu is in a browser only") as caught:
        loaded(worker, small.mlp(tmp_path / "mlp.onnx"))

    assert "in=browser" in caught.value.cures[0]


@pytest.mark.parametrize("way", [WEB_IN_NODE, WEB], ids=["node", "page"])
def test_fewer_threads_than_asked_are_no_number(start: Start, tmp_path: Path, way: Way) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")
    two, one = started(start, way), started(start, way)

    loaded(two, model, threads=2)
    loaded(one, model, threads=1)

    with pytest.raises(TargetError, match="runs on 1 here, not on the 2 threads asked for"):
        loaded(one, model, threads=2)


def test_the_calls_of_a_batch_count_with_its_mean_and_the_report_says_so(
    start: Start, tmp_path: Path
) -> None:
    worker = started(start, WEB)
    words = loaded(worker, small.mlp(tmp_path / "mlp.onnx")).copies
    worker.bind("a", {"input": np.ones((1, 64), np.float32)}, {})

    for _ in range(3):
        worker.sample("a", 200, 0)  # How long a call takes is known from here on.
    block = worker.sample("a", 100, 5)

    assert "so each time is the mean of a batch of calls of about 0.5 ms or more" in words
    assert len(block.ns) == 100
    # A call takes microseconds: there are a few batches, and every one is repeated.
    assert len(set(block.ns)) <= 20


def test_without_a_browser_every_call_is_timed_by_itself(start: Start, tmp_path: Path) -> None:
    worker = started(start, WEB_IN_NODE)
    words = loaded(worker, small.mlp(tmp_path / "mlp.onnx")).copies
    worker.bind("a", {"input": np.ones((1, 64), np.float32)}, {})

    block = worker.sample("a", 100, 5)

    assert "batch" not in words
    assert len(set(block.ns)) > 20


PROBE = 'sin6_port=htons(443), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "2001:4860:4860::8888"'
"""Chromium connects a datagram socket to see whether there is a route: that sends nothing."""

IDLING = """
import sys, time
from pathlib import Path
from tests import small
from toolkit.runtimes import listing
from toolkit.workers import environments, managed
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker
folder = Path(sys.argv[1])
rooms = environments.lay(folder / "rooms", [])
listed = listing.find("onnxruntime-web")
job = WorkerSpec(listed, managed.home(listed, "wasm"), "wasm", {})
with Worker(job, rooms, patience=Patience()) as worker:
    worker.post_hello(); worker.hello()
    worker.post_load(small.mlp_program(small.mlp(folder / "mlp.onnx"))); worker.load()
    time.sleep(10)
"""


def test_a_browser_asks_nobody_and_leaves_no_file_in_the_home(tmp_path: Path) -> None:
    installed(WEB)
    trace, home, work = (tmp_path / name for name in ("trace", "home", "work"))
    home.mkdir()
    work.mkdir()
    strace = [needs.program("strace"), "-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
    places = {"HOME": str(home), "TOOLKIT_CACHE": str(cache.root())}
    subprocess.run(
        [*strace, "-o", str(trace), sys.executable, "-c", IDLING, str(work)],
        env={**os.environ, **places},
        check=True,
    )

    asked = [line for line in trace.read_text(errors="replace").splitlines() if "AF_INET" in line]

    assert any('"127.0.0.1"' in line for line in asked)
    assert [line for line in asked if '"127.0.0.1"' not in line and PROBE not in line] == []
    assert [path for path in home.rglob("*") if path.is_file()] == []
