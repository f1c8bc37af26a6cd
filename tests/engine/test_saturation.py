"""An int8 file whose products saturate is told why, whatever this processor has.

The saturation is planted: a runtime that adds products of bytes as AVX2 does, and a processor that
says it has no VNNI.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests import plugin
from tests.answers.quantized import quantized
from toolkit.machine import describe
from toolkit.pipelines.check import check
from toolkit.records.schema import TargetRecord, WarningKind

pytestmark = pytest.mark.process

AVX2 = ["avx", "fma", "avx2"]
VNNI = [*AVX2, "avx512f", "avx512_vnni"]

RUNTIME = """
    import numpy as np
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    def pairs(a, b):
        first, second = (a[:, n::2, None].astype(np.int32) * b[None, n::2] for n in (0, 1))
        return np.clip(first + second, -(2**15), 2**15 - 1).sum(axis=1)

    class MatMulInteger(OpRun):
        def _run(self, a, b, zero=None, weight_zero=None):
            offset = 0 if zero is None else int(zero) * b.astype(np.int32).sum(axis=0)
            product = pairs if SATURATES else (lambda a, b: a.astype(np.int32) @ b.astype(np.int32))
            return ((product(a, b) - offset).astype(np.int32),)

    class Session(FakeSession):
        def _answers(self, feed):
            names = [spec.name for spec in self._program.outputs]
            session = ReferenceEvaluator(str(self._program.model), new_ops=[MatMulInteger])
            return dict(zip(names, map(np.asarray, session.run(names, dict(feed)))))

    class Theirs(Fake):
        name = "elsewhere"

        def load(self, program, provider, options):
            return Session(program, options)
"""


def of_large_weights() -> ModelProto:
    """Two layers whose weights are all nearly the largest: every second pair of products saturates,
    which no rounding to eight bits comes near to."""
    draw = np.random.default_rng(5)
    weights = [draw.uniform(0.8, 1.0, size).astype(np.float32) / 8 for size in ((64, 64), (64, 8))]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h"]),
        helper.make_node("MatMul", ["h", "w1"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("x", 64), ("y", 8))
    )
    stored = [numpy_helper.from_array(weight, f"w{n}") for n, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "large", [x], [y], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A network quantized dynamically to weights of eight bits."""
    low = quantized(of_large_weights(), tmp_path, per_channel=True)
    onnx.save(low, tmp_path / "low.onnx")
    return tmp_path / "low.onnx"


def checked(
    file: Path, monkeypatch: pytest.MonkeyPatch, features: list[str], *, saturating: bool
) -> TargetRecord:
    """The record of a runtime that saturates or not, on a processor of these features."""
    site = file.parent / "site"
    entry = plugin.package(site, RUNTIME.replace("SATURATES", str(saturating)))
    monkeypatch.syspath_prepend(str(plugin.installed(site, entry)))
    monkeypatch.setattr(describe, "features", lambda proc: features)
    return check(file, ["elsewhere"]).run.records[0]


def test_one_that_saturates_on_a_processor_without_vnni_is_told_why(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = checked(file, monkeypatch, AVX2, saturating=True)

    assert record.verdict is not None
    assert not record.verdict.right
    (warning,) = record.warnings
    assert warning.kind is WarningKind.SATURATES
    assert warning.detail == (
        "elsewhere cpu: 2 MatMulInteger with weights of more than 7 bits, on a processor without "
        "VNNI"
    )


def test_one_that_does_not_saturate_is_right_and_not_warned_of(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = checked(file, monkeypatch, AVX2, saturating=False)

    assert record.verdict is not None
    assert record.verdict.right
    assert record.verdict.outputs[0].names[0] == "float32"
    assert record.warnings == []


def test_one_that_is_wrong_on_a_processor_with_vnni_is_wrong_for_another_reason(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = checked(file, monkeypatch, VNNI, saturating=True)

    assert record.verdict is not None
    assert not record.verdict.right
    assert record.warnings == []
