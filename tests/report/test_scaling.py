"""Tests the curves over the batch and over the threads."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.report import runs
from toolkit.records.schema import Run
from toolkit.report.scaling import Scaling, scalings
from toolkit.report.summary import summarize

BATCHES = (1, 8, 64)


def curves_of(run: Run) -> tuple[Scaling, ...]:
    return scalings(run, summarize(run).tables)


def swept(rows: tuple[runs.Row, ...] = runs.TWO, **shape: object) -> Run:
    run, _ = runs.make(rows, runs.Shape(batches=BATCHES, **shape))  # type: ignore[arg-type]
    return run


def with_threads(run: Run, *counts: int) -> Run:
    """The run with all its targets turned into one, at so many threads each."""
    targets = [
        msgspec.structs.replace(
            target,
            name=f"onnxruntime:cpu,threads={count}",
            label=f"onnxruntime cpu, {count} thread{'s' * (count > 1)}",
            threads=count,
        )
        for target, count in zip(run.plan.targets, counts, strict=True)
    ]
    return msgspec.structs.replace(
        run, plan=msgspec.structs.replace(run.plan, targets=targets, baseline=0)
    )


def test_a_row_of_a_larger_batch_is_as_much_faster_as_was_planted() -> None:
    (scaling,) = curves_of(swept())

    assert (scaling.over, scaling.at) == ("batch", "")
    assert [len(curve.points) for curve in scaling.curves] == [3] * len(runs.TWO)
    for curve in scaling.curves:
        assert [point.size for point in curve.points] == [*BATCHES]
        assert curve.points[0].gain is None
        for point in curve.points[1:]:
            planted = point.size**0.4  # A call takes batch ** 0.6 as long.
            assert point.gain is not None
            assert point.gain.low is not None
            assert point.gain.high is not None
            assert point.gain.middle == pytest.approx(planted, rel=0.015)
            assert 1.001 < point.gain.high / point.gain.low < 1.05


def test_a_target_without_a_rank_has_no_curve() -> None:
    right, coarse = runs.TWO[0], runs.Row("openvino cpu", 4e-6, "bfloat16", right=False)

    (scaling,) = curves_of(swept((right, coarse)))

    assert [curve.name for curve in scaling.curves] == [right.label]


def test_sizes_are_compared_where_the_others_are_the_same() -> None:
    run = swept()
    cases = [
        msgspec.structs.replace(case, dims={"batch": batch, "seq": seq})
        for case, batch, seq in zip(run.plan.cases, (1, 8, 8), (16, 16, 32), strict=True)
    ]
    run = msgspec.structs.replace(run, plan=msgspec.structs.replace(run.plan, cases=cases))

    (scaling,) = curves_of(run)

    assert scaling.at == "seq 16"
    assert [[point.size for point in curve.points] for curve in scaling.curves] == [[1, 8]] * 2


def test_more_threads_are_held_against_the_fewest_of_the_same_target() -> None:
    rows = (runs.Row("a", 8e-6), runs.Row("b", 2e-6))
    run, _ = runs.make(rows)

    (scaling,) = curves_of(with_threads(run, 2, 1))

    (curve,) = scaling.curves
    assert (scaling.over, scaling.at, curve.name) == ("threads", "", "onnxruntime cpu")
    assert [point.size for point in curve.points] == [1, 2]
    gain = curve.points[1].gain
    assert gain is not None
    assert gain.middle == pytest.approx(1 / 4, rel=0.03)
    assert re.fullmatch(r"0\.2\d+× \(0\.2\d+ to 0\.2\d+\)", gain.text)


def test_a_point_that_was_never_alive_beside_the_first_is_not_drawn() -> None:
    run, _ = runs.make((runs.Row("a", 8e-6), runs.Row("b", 8e-6)))
    records = [
        msgspec.structs.replace(
            record,
            timings=[
                msgspec.structs.replace(
                    timing, series=[s for s in timing.series if s.generation % 2 == turn]
                )
                for timing in record.timings
            ],
        )
        for turn, record in enumerate(run.records)
    ]

    (scaling,) = curves_of(with_threads(msgspec.structs.replace(run, records=records), 1, 2))

    (curve,) = scaling.curves
    assert [point.size for point in curve.points] == [1, 2]
    assert [point.size for point in curve.comparable] == [1]


def test_the_same_number_of_threads_twice_is_no_curve() -> None:
    run, _ = runs.make((runs.Row("a", 8e-6), runs.Row("b", 8e-6)))

    assert curves_of(with_threads(run, 1, 1)) == ()


def test_one_size_and_one_number_of_threads_have_no_curve() -> None:
    assert curves_of(runs.make(runs.TWO)[0]) == ()
