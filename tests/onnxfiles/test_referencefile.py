"""The reference model is known by its file, and any other file says why it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from toolkit.errors import InputError
from toolkit.onnxfiles import content, modelfile, referencefile
from toolkit.onnxfiles.filestates import FileState
from toolkit.sources import reference


def put(tmp_path: Path, model: ModelProto, name: str = "m.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    return path


def mlp() -> ModelProto:
    """The reference model, written by hand."""
    random = np.random.default_rng(0)
    weights = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in referencefile.WEIGHTS.items()
    }
    nodes = [
        helper.make_node("Gemm", ["input", "fc1.weight", "fc1.bias"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "fc2.weight", "fc2.bias"], ["c"], transB=1),
        helper.make_node("Sigmoid", ["c"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_the_reference_model_is_known_and_gives_its_weights(tmp_path: Path) -> None:
    path = put(tmp_path, mlp())
    assert referencefile.matches(path)
    net = reference.net()
    weights = referencefile.weights(path)
    assert {k: tuple(v.shape) for k, v in net.state_dict().items()} == {
        k: v.shape for k, v in weights.items()
    }
    stored = numpy_helper.to_array(mlp().graph.initializer[2])
    assert np.array_equal(weights["fc2.weight"], stored)


def no_relu(model: ModelProto) -> None:
    model.graph.node[1].op_type = "Tanh"


def late_relu(model: ModelProto) -> None:
    """Relu stands in its place in the list, and takes the input of the first Gemm's place."""
    model.graph.node[2].input[0] = "a"


def other_input(model: ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"


def fixed_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def scaled(model: ModelProto) -> None:
    model.graph.node[2].attribute.append(helper.make_attribute("alpha", 2.0))


def wider(model: ModelProto) -> None:
    for index, shape in ((0, (100, 64)), (1, (100,)), (2, (2, 100))):
        name = model.graph.initializer[index].name
        tensor = numpy_helper.from_array(np.zeros(shape, np.float32), name)
        model.graph.initializer[index].CopyFrom(tensor)


DIFFERENT: dict[Callable[[ModelProto], None], str] = {
    no_relu: "its operators are Gemm, Tanh, Gemm, Sigmoid, not Gemm, Relu, Gemm, Sigmoid",
    late_relu: "node 2 (Gemm) does not take 'b'",
    other_input: "its input is x:float32[batch,64], not input:float32[batch,64]",
    fixed_batch: "its input is input:float32[1,64], not input:float32[batch,64]",
    scaled: "node 2 (Gemm) is not x·Wᵀ + b",
    wider: "fc1.weight is (100, 64), not (128, 64)",
}


@pytest.mark.parametrize("change", DIFFERENT, ids=lambda change: change.__name__)
def test_what_is_not_the_reference_model_says_why(
    tmp_path: Path, change: Callable[[ModelProto], None]
) -> None:
    model = mlp()
    change(model)
    path = put(tmp_path, model)
    assert DIFFERENT[change] in referencefile.differences(path)
    assert not referencefile.matches(path)
    with pytest.raises(InputError, match=r"is not the reference model: "):
        referencefile.weights(path)


def test_a_large_model_is_refused_by_its_nodes_and_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [helper.make_node("Relu", [f"v{n}"], [f"v{n + 1}"]) for n in range(100)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("v0", "v100")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    path = put(tmp_path, helper.make_model(graph, ir_version=10))
    reads: list[Path] = []
    read = content.read

    def counted(path: Path) -> tuple[bytes, FileState]:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(content, "read", counted)

    (reason,) = referencefile.differences(path)
    shown = ", ".join(["Relu"] * 8)
    assert reason == f"its operators are {shown} … (100 in all), not Gemm, Relu, Gemm, Sigmoid"
    assert reads == [path]
    assert not referencefile.matches(modelfile.open_once(path))
