"""The worker in JavaScript: every type there and back, its words, and its session's options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests import small
from tests.javascript import NODE, WEB_IN_NODE, Way, answered, installed, loaded, saved, started
from tests.workers.conftest import Start, start
from toolkit.errors import TargetError, unknown
from toolkit.tensors import Array

pytestmark = pytest.mark.process

__all__ = ["start"]

ARRAYS: dict[str, tuple[str, Array]] = {
    "float32": ("FLOAT", np.array([1.5, -0.0, np.inf, np.nan], np.float32)),
    "float64": ("DOUBLE", np.array([1e300, -1.0])),
    "float16": ("FLOAT16", np.array([1.5, np.nan, -2], np.float16)),
    "int64": ("INT64", np.array([2**62 + 1, -(2**62) - 1, -1])),
    "uint64": ("UINT64", np.array([2**64 - 1, 0], np.uint64)),
    "int32": ("INT32", np.array([-(2**31), 7], np.int32)),
    "int8": ("INT8", np.array([-128, 127], np.int8)),
    "uint8": ("UINT8", np.array([255, 0], np.uint8)),
    "bool": ("BOOL", np.array([True, False, True])),
    "string": ("STRING", np.array(["a", "héé", "", "\U0001f600x"])),
    "empty": ("FLOAT", np.zeros(0, np.float32)),
}


@pytest.mark.parametrize("way", [NODE, WEB_IN_NODE], ids=lambda way: way[0])
@pytest.mark.parametrize("case", ARRAYS)
def test_every_type_goes_there_and_back_bit_by_bit(
    start: Start, tmp_path: Path, way: Way, case: str
) -> None:
    kind, array = ARRAYS[case]
    copy = [helper.make_node("Identity", ["x"], ["y"])]
    file = saved(tmp_path / "m.onnx", copy, {}, f"x:{kind}[n]", "->", f"y:{kind}[n]")
    worker = started(start, way)
    loaded(worker, file)

    found = answered(worker, {"x": array})["y"]

    assert found.shape == array.shape
    assert found.dtype.kind == array.dtype.kind
    np.testing.assert_array_equal(found, array)


def test_a_type_that_javascript_has_no_array_for_is_refused_by_name(
    start: Start, tmp_path: Path
) -> None:
    copy = [helper.make_node("Identity", ["x"], ["y"])]
    file = saved(tmp_path / "m.onnx", copy, {}, "x:BFLOAT16[n]", "->", "y:BFLOAT16[n]")
    worker = started(start, NODE)

    with pytest.raises(TargetError) as caught:
        loaded(worker, file)

    assert caught.value.what == "onnxruntime-node is not fed bfloat16 here ('x')"


def test_an_array_in_fortrans_order_is_not_transposed(start: Start, tmp_path: Path) -> None:
    copy = [helper.make_node("Identity", ["x"], ["y"])]
    file = saved(tmp_path / "m.onnx", copy, {}, "x:FLOAT[a,b,c]", "->", "y:FLOAT[a,b,c]")
    worker = started(start, NODE)
    loaded(worker, file)
    array = np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4))

    np.testing.assert_array_equal(answered(worker, {"x": array})["y"], array)


def test_a_scalar_stays_a_scalar(start: Start, tmp_path: Path) -> None:
    square = [helper.make_node("Mul", ["x", "x"], ["y"])]
    file = saved(tmp_path / "m.onnx", square, {}, "x:FLOAT[]", "->", "y:FLOAT[]")
    worker = started(start, NODE)
    loaded(worker, file)

    found = answered(worker, {"x": np.array(3, np.float32)})["y"]

    assert (found.shape, float(found)) == ((), 9.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"optimise": "none"},
            "no option of onnxruntime-node is called 'optimise'; there are: optimize, spinning. "
            "Did you mean optimize?",
        ),
        (
            {"optimize": "every"},
            "no value of onnxruntime-node's option optimize is called 'every'; there are: all, "
            "basic, extended, layout, none.",
        ),
    ],
    ids=["option", "value"],
)
def test_an_unknown_option_is_refused_in_the_words_of_python(
    start: Start, options: dict[str, str], said: str
) -> None:
    installed(NODE)
    worker = start("onnxruntime-node", **options)
    worker.post_hello()

    with pytest.raises(TargetError) as caught:
        worker.hello()

    assert caught.value.what == said


def test_another_provider_is_refused_and_nothing_runs_in_its_place(start: Start) -> None:
    installed(NODE)
    worker = start("onnxruntime-node", "cuda")
    worker.post_hello()

    with pytest.raises(TargetError) as caught:
        worker.hello()

    assert caught.value.what == unknown("provider of onnxruntime-node", "cuda", ["cpu"])


@pytest.mark.parametrize("way", [NODE, WEB_IN_NODE], ids=lambda way: way[0])
def test_an_error_of_the_library_is_one_line_and_leaves_the_worker_alive(
    start: Start, tmp_path: Path, way: Way
) -> None:
    worker = started(start, way)
    good = small.mlp(tmp_path / "mlp.onnx")
    bad = tmp_path / "bad.onnx"
    whole = small.mlp_program(good)
    bad.write_text("no model at all")
    worker.post_load(type(whole)(bad, whole.inputs, whole.outputs))

    with pytest.raises(TargetError, match=r"^Error: [^\n]+$"):
        worker.load()

    assert loaded(worker, good).placement.nodes == {way[1]: 4}
