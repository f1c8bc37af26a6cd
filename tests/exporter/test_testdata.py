"""Test data beside a model, and whose it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from toolkit.errors import InputError
from toolkit.exporter import testdata
from toolkit.exporter.testdata import DataSet
from toolkit.feeds import supplied
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import ModelFile

SETS = [
    DataSet({"x": np.full((n, 2), n, np.float32)}, {"y": np.zeros((n, 2), np.float32)})
    for n in (1, 3)
]


def model(folder: Path, operator: str = "Relu", name: str = "m.onnx") -> ModelFile:
    parsed = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]>'
        f" g (float[batch, 2] x) => (float[batch, 2] y) {{ y = {operator} (x) }}"
    )
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(parsed.SerializeToString())
    return modelfile.read(path)


def test_it_has_the_form_of_the_model_zoo(tmp_path: Path) -> None:
    written = testdata.write(model(tmp_path), SETS)
    assert [folder.name for folder in written] == ["test_data_set_0", "test_data_set_1"]
    files = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*.pb"))
    assert files == [
        "test_data_set_0/input_0.pb",
        "test_data_set_0/output_0.pb",
        "test_data_set_1/input_0.pb",
        "test_data_set_1/output_0.pb",
    ]
    tensor = onnx.load_tensor(str(written[1] / "input_0.pb"))
    assert (tensor.name, list(tensor.dims)) == ("x", [3, 2])
    assert numpy_helper.to_array(tensor).tolist() == SETS[1].inputs["x"].tolist()
    onnx.checker.check_tensor(tensor)


def test_what_was_written_is_read_back_and_can_be_fed(tmp_path: Path) -> None:
    file = model(tmp_path)
    testdata.write(file, SETS)
    read = testdata.read(file)
    assert [data.inputs["x"].shape for data in read] == [(1, 2), (3, 2)]
    assert read[1].outputs["y"].tolist() == SETS[1].outputs["y"].tolist()
    given = supplied.read(tmp_path, file.inputs)
    assert [feed.dims for feed in given] == [{"batch": 1}, {"batch": 3}]


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = model(tmp_path / "a"), model(tmp_path / "b")
    for file in (first, second):
        testdata.write(file, SETS)
    for name in ("input_0.pb", "output_0.pb"):
        content = (first.path.parent / "test_data_set_0" / name).read_bytes()
        assert content == (second.path.parent / "test_data_set_0" / name).read_bytes()


def test_our_own_data_is_replaced_and_what_is_left_over_goes(tmp_path: Path) -> None:
    file = model(tmp_path)
    testdata.write(file, SETS)
    testdata.write(file, SETS[1:])
    assert [folder.name for folder in tmp_path.glob("test_data*")] == ["test_data_set_0"]
    assert testdata.read(file)[0].inputs["x"].shape == (3, 2)


def test_the_data_of_another_model_is_not_overwritten(tmp_path: Path) -> None:
    testdata.write(model(tmp_path, "Neg", "other.onnx"), SETS)
    mine = model(tmp_path)
    with pytest.raises(InputError) as raised:
        testdata.write(mine, SETS[:1])
    folder = tmp_path / "test_data_set_0"
    assert raised.value.what == f"{folder} holds the test data of another model"
    assert raised.value.cures[1] == "--force   overwrites it"
    assert len(list(tmp_path.glob("test_data_set_*/*.pb"))) == 4
    testdata.write(mine, SETS[:1], force=True)
    assert testdata.owner(folder) == mine.sha256


def test_the_data_of_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    earlier = model(tmp_path, "Neg")
    testdata.write(earlier, SETS)
    now = model(tmp_path, "Relu")
    testdata.write(now, SETS, owners=[earlier.sha256])
    assert testdata.owner(tmp_path / "test_data_set_0") == now.sha256


def test_data_that_no_tool_of_ours_wrote_belongs_to_another(tmp_path: Path) -> None:
    file = model(tmp_path)
    folder = tmp_path / "test_data_set_0"
    folder.mkdir()
    assert testdata.owner(folder) is None
    tensor = numpy_helper.from_array(np.zeros((1, 2), np.float32), "x")
    (folder / "input_0.pb").write_bytes(tensor.SerializeToString())
    (folder / "output_0.pb").write_bytes(b"\xff\xff")
    assert testdata.owner(folder) is None
    with pytest.raises(InputError, match=r"holds the test data of another model$"):
        testdata.write(file, SETS)


def test_a_write_that_fails_leaves_the_old_set_whole(tmp_path: Path) -> None:
    file = model(tmp_path)
    testdata.write(file, SETS[:1])
    before = (tmp_path / "test_data_set_0" / "output_0.pb").read_bytes()
    with pytest.raises(KeyError):
        testdata.write(file, [DataSet(SETS[0].inputs, {})])
    assert (tmp_path / "test_data_set_0" / "output_0.pb").read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.onnx", "test_data_set_0"]
