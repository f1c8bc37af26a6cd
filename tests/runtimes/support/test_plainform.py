"""One file, nothing left to a default, and no operator of an older meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import large, small
from toolkit.errors import TargetError
from toolkit.runtimes.support import plainform
from toolkit.units import THIN


def saved(path: Path, node: onnx.NodeProto, *, opset: int = 20) -> Path:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3, 4]) for n in "xy"]
    graph = helper.make_graph([node], "graph", infos[:1], infos[1:])
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_weights_in_another_file_stand_in_it(tmp_path: Path) -> None:
    whole = onnx.load(small.mlp(tmp_path / "mlp.onnx"))
    (tmp_path / "apart").mkdir()
    onnx.save_model(
        whole,
        tmp_path / "apart" / "mlp.onnx",
        save_as_external_data=True,
        location="weights",
        size_threshold=0,
    )

    plainform.write(tmp_path / "apart" / "mlp.onnx", tmp_path / "plain.onnx")

    found = onnx.load(tmp_path / "plain.onnx", load_external_data=False).graph.initializer
    for tensor, original in zip(
        found, onnx.load(tmp_path / "mlp.onnx").graph.initializer, strict=True
    ):
        array = onnx.numpy_helper.to_array(tensor)
        np.testing.assert_array_equal(array, onnx.numpy_helper.to_array(original))


def test_defaults_are_written_out_and_what_stands_there_stays(tmp_path: Path) -> None:
    path = saved(tmp_path / "elu.onnx", helper.make_node("HardSigmoid", ["x"], ["y"], alpha=0.5))

    plainform.write(path, tmp_path / "plain.onnx", spelled_out=True)

    (node,) = onnx.load(tmp_path / "plain.onnx").graph.node
    assert {a.name: a.f for a in node.attribute} == {"alpha": 0.5, "beta": 0.5}


def test_a_softmax_that_flattens_is_written_as_one_that_does_not(tmp_path: Path) -> None:
    path = saved(tmp_path / "old.onnx", helper.make_node("Softmax", ["x"], ["y"]), opset=11)

    plainform.write(path, tmp_path / "plain.onnx")

    model = onnx.load(tmp_path / "plain.onnx")
    assert model.opset_import[0].version == 17
    assert len(model.graph.node) > 1


def test_a_model_beyond_two_gibibytes_is_refused_before_its_weights_are_read(
    tmp_path: Path,
) -> None:
    model = large.sparse(tmp_path / "m.onnx", 2 << 30)

    with pytest.raises(TargetError) as caught:
        plainform.write(model, tmp_path / "plain.onnx")

    assert caught.value.what == (
        f"the model has 2.15{THIN}GB with its weights, and the one file that its converter reads"
        " ends at 2 GiB"
    )
    assert not (tmp_path / "plain.onnx").exists()
