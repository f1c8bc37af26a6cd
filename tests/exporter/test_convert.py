"""One call of torch.onnx.export, its result made the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from tests.exporter import models
from toolkit.errors import ExportError
from toolkit.exporter import convert

pytestmark = pytest.mark.export


def shapes(model: ir.Model) -> dict[str, str]:
    return {
        value.name or "": str(value.shape) for value in (*model.graph.inputs, *model.graph.outputs)
    }


def test_inputs_and_outputs_have_the_names_and_dimensions_that_were_stated() -> None:
    converted = models.converted(models.Several(), *models.SEVERAL)

    assert shapes(converted.model) == {
        "ids": "[b,s]",
        "x": "[b,s,8]",
        "scale": "[1]",
        "zeta": "[b,s,8]",
        "alpha_0": "[b,s]",
        "alpha_1": "[b,s]",
        "x_out": "[b,s,8]",
    }
    assert converted.opset == 20


def test_an_opset_that_is_asked_for_is_reached() -> None:
    assert models.converted(models.Linear(), "x:float32[batch,4]", opset=17).opset == 17


def test_an_opset_that_torch_does_not_reach_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ExportError) as caught:
        models.converted(models.Strided(), "x:float32[batch,2,16]", opset=13)

    assert caught.value.what == (
        "torch does not reach opset 13 with this model; the nearest that it reaches is 15"
    )
    assert caught.value.cures == ("toolkit export … --opset 15",)


def test_the_nearest_opset_is_really_reached() -> None:
    assert models.converted(models.Strided(), "x:float32[batch,2,16]", opset=15).opset == 15


def bytes_of(tmp_path: Path, *, keep_traces: bool) -> bytes:
    converted = models.converted(models.Several(), *models.SEVERAL)
    convert.portable(converted.model, {"source": "net.py:build"}, keep_traces=keep_traces)
    convert.write(converted.model, tmp_path / "m.onnx")
    return (tmp_path / "m.onnx").read_bytes()


def test_no_path_and_no_line_of_the_source_stands_in_the_file(tmp_path: Path) -> None:
    written = bytes_of(tmp_path, keep_traces=False)

    for trace in (str(Path.cwd()), "/home", "site-packages", "models.py", "self.table", "+cpu"):
        assert trace.encode() not in written
    model = onnx.load_from_string(written)
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [
        ("source", "net.py:build")
    ]
    assert model.producer_version == torch.__version__.partition("+")[0]


def test_traces_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    written = bytes_of(tmp_path, keep_traces=True)

    assert b"hidden = self.table(ids) + x" in written


def test_small_weights_stand_in_the_file_and_large_ones_beside_it(tmp_path: Path) -> None:
    converted = models.converted(models.Linear(), "x:float32[batch,4]")

    inside = convert.write(converted.model, tmp_path / "inside.onnx")
    beside = convert.write(converted.model, tmp_path / "beside.onnx", inline=8)

    assert [file.name for file in inside] == ["inside.onnx"]
    assert [file.name for file in beside] == ["beside.onnx.data", "beside.onnx"]
    within = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(inside[0]).graph.initializer}
    outside = {
        t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(beside[1]).graph.initializer
    }
    assert within.keys() == outside.keys()
    assert all(np.array_equal(within[name], outside[name]) for name in within)


def test_what_depends_on_values_is_told_with_the_line_and_the_cure() -> None:
    with pytest.raises(ExportError) as caught:
        models.converted(models.OnValues(), "x:float32[batch,4]")

    assert caught.value.what.startswith(
        "torch cannot export this module: a choice in Python depends on values in a tensor ("
    )
    line, change, more = caught.value.cures
    assert line.startswith("tests/exporter/models.py:")
    assert line.endswith("   if x.sum() > 0:")
    assert change.startswith("torch.where or torch.cond choose inside the graph")
    assert more == "--verbose shows torch's whole trace"


@pytest.mark.parametrize(
    ("module", "reason", "change"),
    [
        (
            models.Logarithm(),
            "a whole number is made of the logarithm of a size",
            "int(math.log2(n))",
        ),
        (models.Fractional(), "a size is a symbol and no number", "Write it with + - * // %"),
    ],
    ids=["logarithm", "fraction"],
)
def test_what_python_cannot_compute_with_sizes_is_told_with_what_to_write(
    module: nn.Module, reason: str, change: str
) -> None:
    with pytest.raises(ExportError) as caught:
        models.converted(module, "x:float32[batch,seq=16]")

    line, cure, _ = caught.value.cures
    assert reason in caught.value.what
    assert "x.shape[1]" in line
    assert cure.startswith(change)


def test_a_whole_logarithm_can_be_written_as_the_refusal_says() -> None:
    converted = models.converted(models.LogarithmOfSizes(), "x:float32[batch,seq=16]")
    plain, other = models.LogarithmOfSizes(), models.Logarithm()

    assert not isinstance(converted.model.graph.inputs[0].shape[1], int)  # type: ignore[index]
    for size in (1, 2, 3, 7, 8, 9, 31, 32, 33):
        assert torch.equal(plain(x := torch.rand(2, size)), other(x))


def test_an_operator_without_an_onnx_form_is_told_with_the_line() -> None:
    with pytest.raises(ExportError) as caught:
        models.converted(models.NoOperator(), "x:float32[batch,4,4]")

    assert caught.value.what == (
        "torch cannot export this module: torch.linalg.eig has no ONNX form"
    )
    assert caught.value.cures[0].endswith("   return torch.linalg.eigvals(x).real")


def test_torch_says_nothing_in_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ExportError):
        models.converted(models.OnValues(), "x:float32[batch,4]")
    models.converted(models.Strided(), "x:float32[batch,2,16]", opset=17)

    assert capfd.readouterr() == ("", "")


class Taken(nn.Module):
    """Returns its input's name, and the name that would stand in its place."""

    def forward(self, x: Any) -> Any:
        return {"x": x * 2, "x_out": x + 1}


def test_an_output_of_an_inputs_name_takes_one_that_is_free() -> None:
    converted = models.converted(Taken(), "x:float32[batch,4]")

    assert list(shapes(converted.model)) == ["x", "x_out_", "x_out"]


class Star(nn.Module):
    def forward(self, *xs: Any) -> Any:
        return xs[0] + torch.sin(xs[1])


class Words(nn.Module):
    def forward(self, x: Any, **named: Any) -> Any:
        return x + named["y"]


def test_inputs_behind_a_star_are_dynamic_too() -> None:
    converted = models.converted(Star(), "a:float32[batch,4]", "b:float32[batch,4]")

    assert shapes(converted.model) == {
        "a": "[batch,4]",
        "b": "[batch,4]",
        "output": "[batch,4]",
    }


def test_dynamic_inputs_behind_two_stars_are_refused_in_words() -> None:
    with pytest.raises(ExportError) as caught:
        models.converted(Words(), "x:float32[batch,4]", "y:float32[batch,4]")

    assert caught.value.what == (
        "torch.export makes no dimension dynamic of what forward takes by **named: y"
    )


def test_fixed_inputs_behind_two_stars_are_exported() -> None:
    converted = models.converted(Words(), "x:float32[2,4]", "y:float32[2,4]")

    assert list(shapes(converted.model)) == ["x", "y", "output"]
