"""Models of gigabytes that take no room: their weights are holes in a sparse file."""

from __future__ import annotations

from pathlib import Path

from onnx import TensorProto, helper

from toolkit.units import Bytes


def sparse(path: Path, size: Bytes, *, file: Bytes | None = None) -> Path:
    """x → MatMul → y with `size` bytes of float32 weights, all zero; its data file has `file`
    bytes where other models' weights lie in it too."""
    rows = size // 4 // 1024
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[rows, 1024])
    weights.data_location = TensorProto.EXTERNAL
    beside = path.with_suffix(".data")
    for key, value in {"location": beside.name, "offset": 0, "length": rows * 4096}.items():
        weights.external_data.add(key=key, value=str(value))
    with beside.open("wb") as stream:
        stream.truncate(file or size)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1024])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path
