"""ONNX Runtime's OpenVINO provider: it ran, in float32 on the threads asked for, or there is no
number. By itself ONNX Runtime logs a line and takes its own CPU provider."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest

from tests import needs, small
from tests.workers.conftest import Start, program, start
from toolkit.errors import EnvironmentFault, TargetError
from toolkit.machine import threads
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.tensors import TensorSpec
from toolkit.workers import managed
from toolkit.workers.environments import PythonEnvironment
from toolkit.workers.jobs import Loaded
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["program", "start"]

NAME = "onnxruntime-openvino"


@pytest.fixture(scope="module", autouse=True)
def home() -> str:
    return python(NAME)


def python(runtime: str) -> str:
    """The Python of the environment that holds a runtime."""
    try:
        found = managed.home(listing.find(runtime), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")
    assert isinstance(found, PythonEnvironment)
    return str(found.python)


def loaded(worker: Worker, whole: Program) -> Loaded:
    worker.post_hello()
    worker.hello()
    worker.post_load(whole)
    return worker.load()


@pytest.mark.parametrize(
    ("options", "verdict"),
    [("", "float32"), (",io=bound", "float32"), (",precision=bfloat16", "bfloat16")],
    ids=["numpy", "bound", "bfloat16"],
)
def test_it_computes_in_what_it_declares(tmp_path: Path, options: str, verdict: str) -> None:
    if options.endswith("bfloat16") and not needs.bfloat16_products():
        pytest.skip("this processor has no bfloat16")

    run = check(small.mlp(tmp_path / "mlp.onnx"), BenchRequest([parse(NAME + options)])).run

    found = run.records[0].verdict
    assert found is not None
    assert (found.text, found.right) == (verdict, True)


def test_every_node_is_openvinos(start: Start, program: Program) -> None:
    placement = loaded(start(NAME), program).placement

    assert dict(placement.nodes) == {"cpu": 4}
    assert placement.elsewhere == {}


def split(path: Path) -> Program:
    """Relu, and Unique, which OpenVINO's provider does not take."""
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["r"]),
        onnx.helper.make_node("Unique", ["r"], ["y"]),
    ]
    small.save(path, nodes, {"x": ["n"]}, {"y": ["m"]})
    specs = (TensorSpec("x", "float32", ("n",)),), (TensorSpec("y", "float32", ("m",)),)
    return Program(path, *specs)


def test_nodes_that_onnxruntime_takes_itself_ran_elsewhere(start: Start, tmp_path: Path) -> None:
    placement = loaded(start(NAME), split(tmp_path / "split.onnx")).placement

    assert placement.nodes["cpu"] >= 1
    assert placement.elsewhere == {"onnxruntime-cpu": ("Unique",)}


def test_a_model_without_a_node_for_it_is_refused(start: Start, tmp_path: Path) -> None:
    whole = split(tmp_path / "split.onnx")
    nodes = [onnx.helper.make_node("Unique", ["x"], ["y"])]
    small.save(tmp_path / "unique.onnx", nodes, {"x": ["n"]}, {"y": ["m"]})

    with pytest.raises(TargetError) as caught:
        loaded(start(NAME), replace(whole, model=tmp_path / "unique.onnx"))

    assert caught.value.what == "no node of this model runs on OpenVINOExecutionProvider"


def test_no_more_threads_compute_than_were_asked_for(start: Start, tmp_path: Path) -> None:
    """With two there are more threads in the process than with one; that the second one computes is
    TBB's to say, which on a busy machine leaves it asleep."""
    draw = np.random.default_rng(0)
    weight = onnx.numpy_helper.from_array(draw.normal(size=(512, 512)).astype(np.float32), "w")
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w"], ["h"]),
        onnx.helper.make_node("MatMul", ["h", "w"], ["y"]),
    ]
    file = small.save(tmp_path / "wide.onnx", nodes, {"x": ["n", 512]}, {"y": ["n", 512]}, [weight])
    x, y = (TensorSpec(name, "float32", ("n", 512)) for name in "xy")

    one, two = (
        threads_of(start(NAME), Program(file, (x,), (y,), threads=asked)) for asked in (1, 2)
    )

    assert one.computing == 1
    assert 1 <= two.computing <= 2
    assert two.alive > one.alive


class ThreadCounts(NamedTuple):
    """The threads of a worker's process after many calls."""

    alive: int
    computing: int


def threads_of(worker: Worker, program: Program) -> ThreadCounts:
    loaded(worker, program)
    worker.bind("a", {"x": np.ones((256, 512), np.float32)}, {})
    worker.answer("a")
    before = threads.of(worker.pid)
    worker.sample("a", 200)
    after = threads.of(worker.pid)
    return ThreadCounts(len(after), len(threads.used(before, after)))


def test_neither_package_is_taken_for_the_other(start: Start, home: str) -> None:
    plain = start("onnxruntime", env=home)
    plain.post_hello()
    with pytest.raises(TargetError) as caught:
        plain.hello()
    assert caught.value.what == (
        "this environment holds onnxruntime-openvino in place of onnxruntime"
    )

    other = start(NAME, env=python("onnxruntime"))
    other.post_hello()
    with pytest.raises(TargetError) as caught:
        other.hello()
    assert caught.value.what == (
        "this environment holds onnxruntime in place of onnxruntime-openvino: they own the same"
        " folder"
    )
