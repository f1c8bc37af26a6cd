"""Labelled data through real workers: what is kept, when it ends, and whose session it was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests import small
from toolkit.data.request import DataRequest
from toolkit.engine import datapass, setup
from toolkit.errors import InputError
from toolkit.machine import memory
from toolkit.pipelines.check import check
from toolkit.pipelines.request import BenchRequest
from toolkit.records import privacy, sound, store
from toolkit.records.metrics import MetricDrop, MetricValue
from toolkit.records.schema import Run
from toolkit.report import compared, comparison, csv, markdown, metrics, page
from toolkit.report.comparison import Gate
from toolkit.report.decision import Wishes
from toolkit.report.summary import summarize
from toolkit.runtimes.target import parse
from toolkit.tensors import Array

pytestmark = pytest.mark.process

COUNT = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, a file with other weights, and examples whose label is the layer's own choice, in
    the order of their labels, as those of a folder lie."""
    path = tmp_path_factory.mktemp("data")
    model = onnx.load(small.layer(path / "layer.onnx"))
    (tensor,) = model.graph.initializer
    weights = numpy_helper.to_array(tensor)
    x = np.random.default_rng(1).normal(size=(COUNT, 8)).astype(np.float32)
    labels = np.maximum(x @ weights.T, 0).argmax(axis=1)
    order = np.argsort(labels)
    np.savez(path / "data.npz", x=x[order], labels=labels[order])
    shifted = weights + np.random.default_rng(2).normal(0, 0.1, weights.shape).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(shifted, "w"))
    onnx.save(model, path / "other.onnx")
    return path


def answered(folder: Path, *targets: str, model: str = "layer.onnx", **more: object) -> Run:
    asked = DataRequest(str(folder / "data.npz"), **more)  # type: ignore[arg-type]
    request = BenchRequest([parse(text) for text in targets], data=asked)
    return check(folder / model, request).run


def chosen(folder: Path) -> tuple[Array, Array, Array]:
    """What the layer and the other file choose for the examples, by numpy, and their labels."""
    data = np.load(folder / "data.npz")
    weights = [
        numpy_helper.to_array(onnx.load(folder / name).graph.initializer[0])
        for name in ("layer.onnx", "other.onnx")
    ]
    first, second = (np.maximum(data["x"] @ each.T, 0).argmax(axis=1) for each in weights)
    return first, second, data["labels"]


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """The layer on onnxruntime, and a file with other weights, whose answers are wrong by its
    oracle."""
    other = f"onnxruntime,model={folder / 'other.onnx'}"
    return answered(folder, "onnxruntime", other, metrics=("accuracy", "f1"))


def test_each_target_has_its_metrics_beside_its_verdict(folder: Path, run: Run) -> None:
    _, second, labels = chosen(folder)

    assert [record.verdict and record.verdict.text for record in run.records] == [
        "float32", "wrong",
    ]  # fmt: skip
    assert [[metric.name for metric in record.metrics] for record in run.records] == [
        ["accuracy", "F1"]
    ] * 2
    first, other = (record.metrics[0] for record in run.records)
    assert (first.right, first.examples) == (COUNT, COUNT)
    assert other.right == (second == labels).sum()
    assert float(other.low) < float(other.value) < float(other.high)


def test_old_against_new_is_of_the_same_examples_and_names_those_that_flipped(
    folder: Path, run: Run
) -> None:
    _, second, labels = chosen(folder)
    flipped = np.flatnonzero(second != labels)
    assert run.data is not None
    drop = run.data.drops[0]

    assert (drop.old, drop.new, drop.examples) == (0, 1, COUNT)
    assert (drop.lost, drop.won) == (len(flipped), 0)
    assert drop.lost_examples == flipped.tolist()
    assert float(drop.drop) == pytest.approx(len(flipped) / COUNT)
    assert drop.shown
    for flip in drop.flips:
        assert flip.label == flip.old == str(labels[flip.example])
        assert flip.new == str(second[flip.example])
    assert len(drop.flips) == 12


def test_a_gate_that_is_decided_ends_the_pass_early(folder: Path) -> None:
    other = f"onnxruntime,model={folder / 'other.onnx'}"

    found = answered(folder, "onnxruntime", other, drop=0.01)

    assert found.data is not None
    assert (found.data.stopped, found.data.looks, found.data.used) == ("decided", 1, 256)
    # Drawn at random, not the first in the file, which are all of the first classes.
    places = [*found.data.drops[0].lost_examples]
    assert max(places) > COUNT / 2


def test_the_ceiling_on_the_time_ends_it_and_that_is_recorded(folder: Path) -> None:
    found = answered(folder, "onnxruntime", time=1e-9)

    assert found.data is not None
    assert (found.data.stopped, found.data.used, found.data.available) == ("time", 32, COUNT)
    assert found.records[0].metrics[0].examples == 32
    assert ": 32 examples of 1,000, the time was used" in metrics.heading(found.data)


def test_no_metric_is_shown_of_a_session_whose_answers_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(target: int, case: int, outputs: Mapping[str, Array]) -> str:
        return "other numbers"

    monkeypatch.setattr(setup, "_check", lambda run, assignment: changed)

    (record,) = answered(folder, "onnxruntime").records

    assert record.metrics == []
    assert record.failure is not None
    assert record.failure.what == "its answers changed after the verdict: other numbers"


def test_a_target_without_a_verdict_has_no_metrics_and_costs_no_other_its(folder: Path) -> None:
    found = answered(folder, "fake,fault=crash,at=load", "onnxruntime")

    assert [len(record.metrics) for record in found.records] == [0, 1]
    assert found.data is not None
    assert found.data.drops == []


def test_where_the_memory_is_short_each_pair_is_a_pass_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"onnxruntime,model={folder / 'other.onnx'}"
    seen: list[int] = []
    passed = datapass._passed

    def counted(this: object, targets: Sequence[object], *more: object) -> object:
        seen.append(len(targets))
        return passed(this, targets, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(datapass, "_passed", counted)
    monkeypatch.setattr(memory, "available", lambda: 1)

    found = answered(folder, "onnxruntime", other, "onnxruntime,io=bound")

    assert seen == [2, 2]
    assert found.data is not None
    assert [(drop.old, drop.new) for drop in found.data.drops] == [(0, 1), (0, 2)]
    assert {record.metrics[0].examples for record in found.records} == {COUNT}


def test_a_file_of_a_fixed_batch_answers_all_examples_once(folder: Path) -> None:
    model = onnx.load(folder / "layer.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 7
    onnx.save(model, folder / "fixed.onnx")

    found = answered(folder, "onnxruntime", model="fixed.onnx")

    (metric,) = found.records[0].metrics
    assert (metric.right, metric.examples) == (COUNT, COUNT)


def test_labels_outside_the_classes_are_one_line(folder: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 8)), labels=np.array([0, 16, 2]))
    request = BenchRequest([parse("onnxruntime")], data=DataRequest(str(tmp_path / "data.npz")))

    with pytest.raises(
        InputError, match=r"label 16 of example 1 is not one of the 16 classes of 'y"
    ):
        check(folder / "layer.onnx", request)


# What is made of it


def ruled(run: Run, limit: float) -> compared.Ruling:
    pairings = comparison.side_by_side(run, summarize(run).tables, [(0, 1)], Wishes())
    (ruling,) = compared.rulings(pairings, compared.Gates(drop=limit))
    return ruling


@pytest.mark.parametrize(
    ("limit", "outcome", "says"),
    [
        (0.01, Gate.FAILS, "accuracy is lower by more than 1"),
        (0.9, Gate.HOLDS, "accuracy is not lower by more than 90"),
    ],
)
def test_a_gate_on_the_drop_says_what_the_interval_decides(
    run: Run, limit: float, outcome: Gate, says: str
) -> None:
    found = ruled(run, limit)

    assert (found.outcome, found.gate, found.pairing.case) == (outcome, "metric", "1,000 examples")
    assert found.text.startswith(says)


def test_a_gate_within_the_interval_cannot_tell_and_is_skipped_by_junit(run: Run) -> None:
    assert run.data is not None
    found = ruled(run, float(run.data.drops[0].drop))

    assert found.outcome is Gate.OPEN
    suite = ElementTree.fromstring(compared.junit("x", [found]))
    assert suite.attrib["skipped"] == "1"
    assert not compared.fails([found], compared.Gates(drop=0.1))
    assert compared.fails([found], compared.Gates(drop=0.1, strict=True))


def test_every_form_of_the_report_has_the_metric_its_interval_and_the_verdict(run: Run) -> None:
    view = summarize(run)
    (first, other) = (record.metrics[0] for record in run.records)

    # An interval on a page is an element, so that it does not break.
    whole = re.sub(r"</?span[^>]*>", "", page.render(view, []))
    for text in (markdown.render(view), whole):
        assert metrics.value(other) in text
        assert "wrong" in text
        assert "1,000 examples" in text
    assert f",accuracy,{first.value},{first.low},{first.high},1000," in csv.render(view)


def test_a_record_with_metrics_is_read_as_it_was_written(run: Run, tmp_path: Path) -> None:
    written = store.encode(privacy.run(run))
    (tmp_path / "run.json").write_bytes(written)

    again = store.head(tmp_path)

    assert again == privacy.run(run)
    assert sound.fault(again) == ""
    assert str(tmp_path.parent) not in written.decode()


SHOWN: dict[str, tuple[dict[str, object], str]] = {
    "lower": (
        {"before": 0.931, "after": 0.928, "drop": 0.003, "low": 0.001, "high": 0.005},
        "93.1 → 92.8\u2009%, 0.3\u2009% lower (0.1 to 0.5)",
    ),
    "higher": (
        {"before": 0.90, "after": 0.91, "drop": -0.01, "low": -0.015, "high": -0.005},
        "90.0 → 91.0\u2009%, 1.0\u2009% higher (0.5 to 1.5)",
    ),
    "not shown": (
        {
            "before": 0.9, "after": 0.899, "drop": 0.001, "low": -0.002, "high": 0.004,
            "shown": False,
        },
        "90.0 → 89.9\u2009%, no difference found; a drop of up to 0.4\u2009% could be hidden",
    ),
    "the same": (
        {"before": 0.9, "after": 0.9, "drop": 0.0, "low": 0.0, "high": 0.0, "shown": False},
        "90.0\u2009%, the same in all 1,000 examples",
    ),
    "no share": (
        {
            "before": 2.0, "after": 2.1, "drop": 0.05, "low": 0.03, "high": 0.07, "is_share": False,
        },
        "2.000 → 2.100, 5.0\u2009% worse (3.0 to 7.0)",
    ),
    "no interval": (
        {
            "before": 2.0, "after": 2.1, "drop": 0.05, "low": "-inf", "high": "inf",
            "is_share": False,
        },
        "2.000 → 2.100, no interval",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SHOWN)
def test_a_drop_in_words(case: str) -> None:
    given, words = SHOWN[case]
    fields = {"is_share": True, "shown": True, **given}
    drop = MetricDrop(metric="m", old=0, new=1, alpha=0.05, examples=1000, **fields)  # type: ignore[arg-type]

    assert metrics.drop(drop) == words


def test_a_value_has_as_many_decimals_as_its_interval_carries() -> None:
    fine = MetricValue(
        name="accuracy", value=0.93124, low=0.9309, high=0.93151, is_share=True, examples=10**6
    )

    assert metrics.value(fine) == "93.12\u2009% (93.09 to 93.15)"
