from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from benchmarks import ledger
from benchmarks.ledger import Ledger
from benchmarks.zoo import judged, measure
from benchmarks.zoo.minimal import REASONS
from toolkit.sources import inputs


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x], dim=1)


def graph(path: Path, nodes: list[onnx.NodeProto], batch: str | int = "batch") -> str:
    """A file with one input x [batch, 3] and one output y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph(nodes, "doubled", [x], [y]), opset_imports=[helper.make_opsetid("", 20)]
    )
    onnx.save(model, path)
    return str(path)


CONCAT = helper.make_node("Concat", ["x", "x"], ["y"], axis=1)
STATED = inputs.parse_all(["x:float32[batch=2,3]"])


def test_a_file_that_answers_as_its_module_is_right(tmp_path: Path) -> None:
    verdict = judged.judge(Doubled(), STATED, graph(tmp_path / "m.onnx", [CONCAT]))

    assert verdict["verdict"] == "right"
    assert verdict["seen"] > 3


@pytest.mark.parametrize(
    ("nodes", "batch", "says"),
    [
        ([helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], "batch", "at batch 2: shape"),
        ([CONCAT], 2, "at batch 1: does not run"),
        (
            [
                helper.make_node("Neg", ["x"], ["n"]),
                helper.make_node("Concat", ["x", "n"], ["y"], axis=1),
            ],
            "batch",
            "at batch 2: off by 2 of",
        ),
    ],
    ids=["another shape", "a fixed size", "other numbers"],
)
def test_a_file_that_does_not_is_wrong_at_a_size(
    tmp_path: Path, nodes: list[onnx.NodeProto], batch: str | int, says: str
) -> None:
    verdict = judged.judge(Doubled(), STATED, graph(tmp_path / "m.onnx", nodes, batch))

    assert verdict["verdict"] == "wrong"
    assert verdict["says"].startswith(says)


def test_the_table_counts_verdicts_and_tells_reasons_without_paths() -> None:
    def line(model: str, bare: dict[str, object], ours: dict[str, object]) -> dict[str, object]:
        stamp = {"at": "2026-11-29T00:00:00+00:00", "machine": "two cores", "load": 1.0}
        return {"model": model, "group": "blocks", **stamp, "bare": bare, "ours": ours}

    right = {"verdict": "right", "says": "", "seconds": 9.0, "processor": 4.0}
    lines = [
        line("dense", {**right, "processor": 2.0}, right),
        line("gated", {**right, "verdict": "wrong", "says": "at batch 1: off"}, right),
        line(
            "odd",
            {**right, "verdict": "refused", "says": "[x] failed in odd.py"},
            {**right, "verdict": "refused", "says": "error: odd.py:3: no form | cure"},
        ),
    ]

    text = measure.table(lines)

    assert "takes 2.00 times the processor time" in text
    assert "| `torch.onnx.export` | 1 | 1 | 1 |" in text
    assert "| `toolkit export` | 2 | 0 | 1 |" in text
    assert (
        "| odd | blocks | refused: &#91;x&#93; failed in odd.py | refused: odd.py:3: no form |"
        in text
    )


def test_a_refusal_is_the_error_with_its_cures_and_no_folder() -> None:
    errors = "warning\nerror: it failed\n  /home/somebody/net.py:3   x.view(3)\n  --verbose shows\n"

    assert measure.refusal(errors) == "error: it failed | net.py:3   x.view(3) | --verbose shows"
    assert measure.refusal("Traceback …\n  in a\nValueError: no\n") == "ValueError: no"


def test_a_refusal_of_torchs_exporter_is_the_cause_that_it_sums_up() -> None:
    errors = (
        "Traceback …\n  in a\nTorchExportError: step 1/3\n\n## Exception summary\n\n"
        "<class 'RuntimeError'>: an unknown type\n\n(Refer to the full stack trace above.)\n"
    )

    assert measure.refusal(errors) == "<class 'RuntimeError'>: an unknown type"


def test_every_wrong_file_of_torch_alone_has_its_reason() -> None:
    newest = {line["model"]: line for line in ledger.newest(Ledger(measure.BOOK).lines())}
    wrong = {
        name
        for name, line in newest.items()
        if line["bare"]["verdict"] == "wrong" and line["group"] != "minimal"
    }

    explained = {model for reason in REASONS.values() for model in reason.models}
    assert explained == wrong
    assert {newest[name]["bare"]["verdict"] for name in REASONS} == {"wrong"}


def test_no_file_of_ours_is_wrong() -> None:
    newest = ledger.newest(Ledger(measure.BOOK).lines())

    assert [line["model"] for line in newest if line["ours"]["verdict"] == "wrong"] == []
