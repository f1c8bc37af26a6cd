"""Damages the tests of the onnx package: one to three mutations each.

Cut or flipped bytes, another type, a missing attribute, a wrong shape, a doubled name, an input
that is gone …
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from onnx import AttributeProto, ModelProto, TensorProto

from benchmarks.fuzz.outcomes import Outcome
from toolkit.answers import simulate
from toolkit.engine import assignment as assignments
from toolkit.engine.assignment import FeedRequest
from toolkit.feeds import elements
from toolkit.operatortests import cases

FILE = "m.onnx"
SIZES = (-1, 0, 1, 7, 2**31, 2**40)
Mutation = Callable[[ModelProto, random.Random], None]


def _retype_value(model: ModelProto, draw: random.Random) -> None:
    value = draw.choice([*model.graph.input, *model.graph.output])
    value.type.tensor_type.elem_type = draw.randrange(0, 26)


def _reshape_value(model: ModelProto, draw: random.Random) -> None:
    value = draw.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims and draw.random() < 0.7:
        draw.choice(dims).dim_value = draw.choice(SIZES)
    else:
        dims.add().dim_param = draw.choice(("n", "", "2*n", "n/0", "9**9"))


def _drop_attribute(model: ModelProto, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    if node.attribute:
        del node.attribute[draw.randrange(len(node.attribute))]


def _change_attribute(model: ModelProto, draw: random.Random) -> None:
    attributes = [each for node in model.graph.node for each in node.attribute]
    if not attributes:
        return
    attribute = draw.choice(attributes)
    if attribute.type == AttributeProto.INT:
        attribute.i = draw.choice((-(2**63), -1, 0, 99, 2**40))
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(SIZES)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = draw.choice((float("nan"), float("inf"), -1.0, 0.0))
    elif attribute.type == AttributeProto.STRING:
        attribute.s = draw.choice((b"", b"\xff", b"nonsense", b"a" * 10_000))
    else:
        attribute.type = draw.choice(range(1, 14))


def _double_name(model: ModelProto, draw: random.Random) -> None:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = draw.choice(model.graph.node)
    if node.output:
        node.output[draw.randrange(len(node.output))] = draw.choice(names)


def _rewire(model: ModelProto, draw: random.Random) -> None:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = draw.choice(model.graph.node)
    if node.input:
        node.input[draw.randrange(len(node.input))] = draw.choice([*names, "", "nobody"])


def _drop_input(model: ModelProto, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    if node.input:
        del node.input[draw.randrange(len(node.input))]


def _drop_value(model: ModelProto, draw: random.Random) -> None:
    values = draw.choice((model.graph.input, model.graph.output, model.graph.node))
    if values:
        del values[draw.randrange(len(values))]


def _store_tensor(model: ModelProto, draw: random.Random) -> None:
    """Makes an input a constant, whose bytes may not be those of its shape."""
    value = draw.choice(model.graph.input)
    dims = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    length = draw.choice((0, 1, 4, 64))
    tensor = TensorProto(name=value.name, dims=dims, raw_data=draw.randbytes(length))
    tensor.data_type = draw.randrange(0, 26)
    model.graph.initializer.append(tensor)


def _other_operator(model: ModelProto, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    node.op_type = draw.choice(("Relu", "Conv", "Loop", "If", "Scan", "Resize", "NoSuch", ""))
    node.domain = draw.choice((node.domain, "com.microsoft", "ai.onnx.ml", "somebody"))


def _other_opset(model: ModelProto, draw: random.Random) -> None:
    draw.choice(model.opset_import).version = draw.choice((-1, 0, 1, 7, 13, 26, 2**31))


MUTATIONS: tuple[Mutation, ...] = (
    _retype_value, _reshape_value, _drop_attribute, _change_attribute, _double_name, _rewire,
    _drop_input, _drop_value, _store_tensor, _other_operator, _other_opset,
)  # fmt: skip


def damaged(every: Sequence[cases.OperatorTest], seed: int) -> tuple[str, bytes]:
    """The name of a test and the bytes of its damaged model."""
    draw = random.Random(seed)
    test = draw.choice(every)
    model = ModelProto()
    model.CopyFrom(test.model)
    for _ in range(draw.randrange(1, 4)):
        if model.graph.node and model.graph.input and model.graph.output and model.opset_import:
            draw.choice(MUTATIONS)(model, draw)
    content = bytearray(model.SerializeToString())
    if draw.random() < 0.03:
        del content[draw.randrange(len(content)) :]
    for _ in range(draw.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, 4))):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)
    return test.name, bytes(content)


class Models:
    """Damaged operator tests, judged on the reference evaluator as `toolkit check` does."""

    def __init__(self) -> None:
        self._every = cases.cases()

    def write(self, seed: int, folder: Path) -> str:
        """Writes m.onnx; returns the name of the test that it was made of."""
        name, content = damaged(self._every, seed)
        (folder / FILE).write_bytes(content)
        return name

    def read(self, folder: Path) -> Outcome:
        """Reads, draws for, evaluates, simulates and judges it."""
        request = FeedRequest()
        asked = assignments.ask(folder / FILE, request, folder, simulate.reference_runner)
        types = {spec.name: spec.type for spec in asked.file.outputs}
        answers = [
            {name: elements.as_type(array, types[name]) for name, array in each.items()}
            for each in asked.judge.oracle
        ]
        return "judged", asked.judge.verdict(answers).text
