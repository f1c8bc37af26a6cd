"""Files of ONNX Runtime's optimizer that have its own operators in ONNX's domain."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from toolkit.errors import InputError
from toolkit.onnxfiles import graphs, modelfile, unregistered


def optimized(operator: str = "LayerNormalization", opset: int = 14, used: str = "x") -> ModelProto:
    return onnx.parser.parse_model(
        f"""
        <ir_version: 7, opset_import: ["" : {opset}]>
        g (float[2, 3] x) => (float[2, 3] y) <float[3] w = {{1, 2, 3}}>
        {{ n = {operator} <axis = -1, epsilon = 0.01> ({used}, w) y = Relu (n) }}
        """
    )


def written(model: ModelProto, folder: Path) -> Path:
    path = folder / "optimized.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("operator", "opset"),
    [
        ("LayerNormalization", 14),
        ("SimplifiedLayerNormalization", 14),
        ("SimplifiedLayerNormalization", 20),
    ],
)
def test_a_file_with_an_operator_that_onnx_lacks_there_is_read(
    tmp_path: Path, operator: str, opset: int
) -> None:
    model = optimized(operator, opset)

    assert len(unregistered.unregistered(model)) == 1
    assert modelfile.parse(written(model, tmp_path)) == model


def test_what_else_is_wrong_with_such_a_file_is_told(tmp_path: Path) -> None:
    path = written(optimized(used="nobody"), tmp_path)

    with pytest.raises(InputError, match=r"is refused by the ONNX checker: .*nobody"):
        modelfile.parse(path)


def test_layer_normalization_of_opset_17_is_checked_as_any_operator(tmp_path: Path) -> None:
    model = optimized(opset=17)
    assert unregistered.unregistered(model) == []

    del model.graph.node[0].input[1]
    with pytest.raises(InputError, match=r"is refused by the ONNX checker: .*input size 1"):
        modelfile.parse(written(model, tmp_path))


def test_a_conversion_keeps_them_and_converts_the_others() -> None:
    model = optimized()
    model.graph.node[1].op_type = "Softmax"
    got = unregistered.converted(graphs.copied(model), 17)

    assert [(node.domain, node.op_type) for node in got.graph.node] == [
        ("", "LayerNormalization"),
        ("", "Softmax"),
    ]
    assert [(each.domain, each.version) for each in got.opset_import] == [("", 17)]
    assert got.graph.node[0].attribute == model.graph.node[0].attribute
