"""Workers in JavaScript, for tests: what they need of the machine, and small models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests import needs
from tests.workers.conftest import Start
from toolkit.errors import EnvironmentFault
from toolkit.onnxfiles import modelfile
from toolkit.runtimes import listing
from toolkit.tensors import Array
from toolkit.workers import managed
from toolkit.workers.jobs import Loaded
from toolkit.workers.launch import Worker

NODE = ("onnxruntime-node", "cpu", "")
WEB_IN_NODE = ("onnxruntime-web", "wasm", "in=node")
WEB = ("onnxruntime-web", "wasm", "")
WEBGPU = ("onnxruntime-web", "webgpu", "adapter=swiftshader")

Way = tuple[str, str, str]
"""Runtime, provider, and an option or nothing."""


def options(way: Way) -> dict[str, str]:
    return dict([way[2].split("=")]) if way[2] else {}


def installed(way: Way) -> None:
    """Skips where the runtime or its browser is not here."""
    runtime, provider, option = way
    try:
        managed.home(listing.find(runtime), provider)
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")
    if runtime == "onnxruntime-web" and option != "in=node":
        needs.program("chromium")


def started(start: Start, way: Way) -> Worker:
    """A worker that has said hello."""
    installed(way)
    worker = start(way[0], way[1], **options(way))
    worker.post_hello()
    worker.hello()
    return worker


def saved(
    file: Path, nodes: list[onnx.NodeProto], weights: Mapping[str, Array], *specs: str
) -> Path:
    """A model from its nodes; `specs` are 'name:TYPE[sizes]', the inputs, '->' and the outputs."""
    cut = specs.index("->")
    graph = helper.make_graph(
        nodes,
        "g",
        [_value(spec) for spec in specs[:cut]],
        [_value(spec) for spec in specs[cut + 1 :]],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), file)
    return file


def _value(spec: str) -> onnx.ValueInfoProto:
    name, _, rest = spec.partition(":")
    kind, _, sizes = rest.rstrip("]").partition("[")
    shape = [int(size) if size.isdigit() else size for size in sizes.split(",") if size]
    return helper.make_tensor_value_info(name, onnx.TensorProto.DataType.Value(kind), shape)


def loaded(worker: Worker, file: Path, threads: int = 1) -> Loaded:
    facts = modelfile.read(file)
    worker.post_load(modelfile.program(facts, threads=threads))
    return worker.load()


def answered(worker: Worker, feed: Mapping[str, Array]) -> dict[str, Array]:
    """What the timed calls left behind; the call before them gave the same."""
    worker.bind("a", feed, {})
    first, _ = worker.answer("a")
    worker.sample("a", 5, 1)
    left, _ = worker.answer("a", again=False)
    for name, array in first.items():
        np.testing.assert_array_equal(left[name], array)
    return left
