"""Tests which batch and number of threads a report names, and what it says that rows cost."""

from __future__ import annotations

import csv as reader
import io
import re

import msgspec
import numpy as np
import pytest

from tests.report import runs
from toolkit.errors import InputError
from toolkit.pipelines.request import BenchRequest
from toolkit.records import store
from toolkit.records.schema import Run
from toolkit.report import compared, csv, markdown, notebook, page, terminal
from toolkit.report.comparison import side_by_side
from toolkit.report.decision import Wishes
from toolkit.report.grids import rates
from toolkit.report.plots import draw
from toolkit.report.summary import summarize
from toolkit.report.throughput import heats
from toolkit.report.view import Standing
from toolkit.units import THIN

BATCHES = (1, 4, 8)
RIGHT = (
    runs.Row("onnxruntime cpu, 1 thread", 8e-6),
    runs.Row("onnxruntime cpu, 2 threads", 5e-6),
)
"""One target with two numbers of threads: a call of n rows takes n ** 0.6 as long."""
COARSE = runs.Row("openvino cpu", 1e-6, "bfloat16", right=False, reason="computes bfloat16")
OPEN = runs.Row("mnn cpu", 1e-6, shown=False, reason="saturated")


def made(
    *others: runs.Row,
    starts: int = 14,
    limit: float | None = None,
    price: float | None = None,
    batches: tuple[int, ...] = BATCHES,
    steady: bool = True,
) -> Run:
    """A run of RIGHT and others. `steady`: no process start is slower as a whole."""
    run, _ = runs.make((*RIGHT, *others), runs.Shape(starts=starts, calls=20, batches=batches))
    targets = [
        msgspec.structs.replace(target, name=f"onnxruntime:cpu,threads={n}", threads=n)
        for n, target in enumerate(run.plan.targets[: len(RIGHT)], start=1)
    ]
    plan = msgspec.structs.replace(
        run.plan,
        targets=[*targets, *run.plan.targets[len(RIGHT) :]],
        baseline=0,
        latency_limit=limit,
        price=price,
    )
    run = msgspec.structs.replace(run, plan=plan)
    return evened(run) if steady else run


def evened(run: Run) -> Run:
    """The run with each process start of a target about as fast as its first, within 2 %."""
    random = np.random.default_rng(1)
    for record in run.records:
        for timing in record.timings:
            first = timing.series[0]
            for series in timing.series:
                for column in ("medians", "means"):
                    values = getattr(series, column)
                    factor = float(random.normal(1, 0.005))
                    values[:] = [value * factor for value in getattr(first, column)]
    return run


def with_gain(run: Run, gain: float, noise: float, slow: int = 2, fast: int = 1) -> Run:
    """The run in which a row of case `slow` is so many times as fast as one of case `fast`, with
    noise from process start to process start."""
    random = np.random.default_rng(2)
    rows = BATCHES[slow] / BATCHES[fast]
    for record in run.records:
        base, planted = record.timings[fast], record.timings[slow]
        for left, right in zip(base.series, planted.series, strict=True):
            factor = rows / gain * float(np.exp(random.normal(0, noise)))
            right.medians[:] = [value * factor for value in left.medians]
            right.means[:] = [value * factor for value in left.means]
    return run


def said(run: Run) -> list[str]:
    return [text.replace(THIN, " ") for text in summarize(run).choosing]


# Where more gives nothing more


def test_a_batch_that_pays_no_more_is_said_to_give_nothing_more() -> None:
    batch, threads = said(with_gain(made(), gain=0.99, noise=0.002))

    assert batch == (
        "Batch 8 gives nothing more than batch 4 with onnxruntime cpu, 1 thread and "
        "onnxruntime cpu, 2 threads."
    )
    assert threads == (
        "2 threads, the most that was measured, still gives more with onnxruntime cpu (at batch 1, "
        "batch 4 and batch 8)."
    )


def test_a_gain_that_noise_could_hide_is_told_with_its_limit() -> None:
    batch = said(with_gain(made(), gain=1.0, noise=0.05))[0]

    match = re.fullmatch(
        r"Nothing more is found at batch 8 than at batch 4 with onnxruntime cpu, 1 thread and "
        r"onnxruntime cpu, 2 threads; up to (\S+) % more could be hidden\.",
        batch,
    )
    assert match is not None
    assert 1 < float(match[1]) < 10


def test_the_largest_batch_that_still_pays_may_not_be_the_best() -> None:
    assert said(made())[0].startswith("Batch 8, the most that was measured, still gives more with ")


def test_two_sizes_of_a_smaller_one_that_both_pay_no_more_are_named_together() -> None:
    run = with_gain(with_gain(made(), 0.95, 0.002, slow=1, fast=0), 0.95, 0.002)

    assert said(run)[0].startswith("Batches 4 and 8 give nothing more than batch 1 with ")


def test_so_few_process_starts_decide_nothing() -> None:
    assert said(made(starts=4)) == []


# Within a limit


def test_the_best_within_the_limit_stands_with_its_intervals() -> None:
    best, *_ = said(made(limit=19e-6))

    match = re.fullmatch(
        r"Most rows a second within 19 µs: onnxruntime cpu, 2 threads at batch 8, "
        r"(\S+) \((\S+) to (\S+)\); its p50 is (\S+) µs \((\S+) to (\S+)\)\.",
        best,
    )
    assert match is not None
    rows, low, high, p50, least, most = (float(text.replace(",", "")) for text in match.groups())
    assert low < rows < high
    assert least <= p50 <= most <= 19
    assert rows == pytest.approx(8 / (p50 * 1e-6), rel=0.05)


@pytest.mark.parametrize("end", [0, 1], ids=["p50 beyond it", "p50 below it"])
def test_an_interval_that_holds_the_limit_is_not_decided(end: int) -> None:
    run = made(limit=1.0)
    speed = summarize(run).tables[2].rows[0].speed
    assert speed is not None
    assert speed.within is not None
    limit = (speed.p50.middle + speed.within[end]) / 2
    run = msgspec.structs.replace(run, plan=msgspec.structs.replace(run.plan, latency_limit=limit))

    best, open_, *_ = said(run)

    assert "onnxruntime cpu, 2 threads at batch 4" in best
    assert open_.startswith("Not decided whether it is within ")
    assert "onnxruntime cpu, 2 threads at batch 8, with a p50 of " in open_


def test_where_nothing_is_within_the_limit_the_nearest_is_named() -> None:
    first = said(made(limit=1e-6))[0]

    assert first.startswith("Nothing is within 1 µs: the least p50 is ")
    assert first.endswith("of onnxruntime cpu, 2 threads at batch 1.")


@pytest.mark.parametrize(
    ("starts", "few"), [(1, "1 process start is"), (4, "4 process starts are")]
)
def test_too_few_process_starts_are_not_held_against_a_limit(starts: int, few: str) -> None:
    assert said(made(starts=starts, limit=1.0)) == [
        f"Not decided what is within 1 s: {few} too few for an interval, 6 are needed."
    ]


def test_what_is_not_shown_to_be_worse_is_named_with_the_best() -> None:
    best, tied, *_ = said(with_gain(made(limit=1.0), gain=1.0, noise=0.05))

    assert "onnxruntime cpu, 2 threads at batch " in best
    assert re.fullmatch(
        r"No difference found to onnxruntime cpu, 2 threads at batch [48]; one of up to \S+ % "
        r"could be hidden\.",
        tied,
    )


# What rows cost


def test_a_million_rows_cost_what_the_machine_costs_meanwhile() -> None:
    view = summarize(made(price=0.36))
    row = view.tables[2].rows[0]
    assert row.speed is not None
    hours = 1e6 / row.speed.throughput.middle / 3600

    cost = float(rates.costs(view.tables).rows[-2][-1].split(" ")[0])

    assert rates.costs(view.tables).rows[-2][:2] == (row.target.name, "batch 8")
    assert cost == pytest.approx(0.36 * hours, rel=0.02)


def test_a_long_sweep_costs_a_line_for_each_target() -> None:
    run, _ = runs.make(runs.many(8), runs.Shape(starts=7, calls=5, batches=(1, 2, 4)))
    run = msgspec.structs.replace(run, plan=msgspec.structs.replace(run.plan, price=1.0))

    costs = rates.costs(summarize(run).tables).rows

    assert len(costs) == 8
    assert [row[:2] for row in costs[:2]] == [
        ("onnxruntime cpu", "batch 4"),
        ("torch cpu", "batch 4"),
    ]
    amounts = [float(row[2].split(" ")[0]) for row in costs]
    assert amounts == sorted(amounts)


def test_the_cheapest_is_named_within_the_limit_where_there_is_one() -> None:
    cheapest = said(made(price=0.34))[0]
    assert cheapest.startswith("A million rows cost least with onnxruntime cpu, 2 threads at batch")
    assert cheapest.endswith("), at 0.34 an hour.")

    within = said(made(price=0.34, limit=8e-6))[1]
    assert within.startswith(
        "Within 8 µs a million rows cost least with onnxruntime cpu, 2 threads at batch 1: "
    )
    assert not [text for text in said(made(price=0.34, limit=1e-6)) if "cost" in text]


def test_what_is_not_right_or_not_shown_has_no_rows_a_second_and_costs_nothing() -> None:
    """Both are five times as fast as what is right."""
    run = made(COARSE, OPEN, price=0.34, limit=1.0)
    view = summarize(run)

    assert not [text for text in view.choosing if "openvino" in text or "mnn" in text]
    assert {row[0] for row in rates.costs(view.tables).rows} == {row.label for row in RIGHT}
    for row in reader.DictReader(io.StringIO(csv.render(view), newline="")):
        shown = row["standing"] == Standing.RANKED
        assert bool(row["rows_per_s"]) is bool(row["million_rows_cost"]) is shown
    for line in terminal.render(view).splitlines():
        assert not re.search(r"(openvino|mnn).*\d [kM]\b", line.replace(THIN, " "))
    drawn = page.render(view, ())
    assert drawn.count('data-label="rows a second" data-value=""') == 2 * len(BATCHES)
    assert drawn.count('data-label="a million rows cost" data-value=""') == 2 * len(BATCHES)


def test_every_form_of_a_report_shows_rows_a_second_and_what_they_cost() -> None:
    run = made(price=0.34, limit=19e-6)
    view = summarize(run)
    written = {
        "terminal": terminal.render(view),
        "markdown": markdown.render(view),
        "page": page.render(view, ()),
        "notebook": str(notebook.run_markup(run, (), timed=True)),
    }

    for form, text in written.items():
        words = " ".join(text.split())
        assert "a million rows cost" in words, form
        assert "Most rows a second within 19" in words, form
        assert ("rows/s" if form == "terminal" else "rows a second") in words, form


def test_a_batch_of_one_has_no_column_of_rows() -> None:
    (table,) = summarize(made(batches=(1,))).tables

    assert not table.rows_a_second
    assert "rows/s" not in terminal.render(summarize(made(batches=(1,))))


def test_a_file_without_a_batch_costs_by_its_calls() -> None:
    run = made(batches=(1,), price=0.34)
    cases = [msgspec.structs.replace(case, dims={}) for case in run.plan.cases]
    run = msgspec.structs.replace(run, plan=msgspec.structs.replace(run.plan, cases=cases))

    assert said(run)[0].startswith("A million calls cost least with onnxruntime cpu, 2 threads: ")


def test_the_record_keeps_the_limit_and_the_price() -> None:
    run = made(price=0.34, limit=19e-6)

    again = msgspec.json.decode(store.encode(run), type=Run)

    assert (again.plan.price, again.plan.latency_limit) == (0.34, 19e-6)
    assert summarize(again).choosing == summarize(run).choosing


@pytest.mark.parametrize("number", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_or_a_limit_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(InputError, match=r"price=.*: give a number above 0"):
        BenchRequest(price=number)
    with pytest.raises(InputError, match=r"latency_limit=.*: give a number above 0"):
        BenchRequest(latency_limit=number)


# Threads and batch together


def test_the_heat_map_has_a_cell_for_each_right_setting() -> None:
    run = made(COARSE, OPEN)
    (heat,) = heats(run, summarize(run).tables)

    assert heat.name == "onnxruntime cpu"
    assert {*heat.cells} == {(threads, batch) for threads in (1, 2) for batch in BATCHES}
    grid = rates.heat(heat)
    assert [row[:2] for row in grid.rows[:3]] == [("1", "1"), ("1", "4"), ("1", "8")]
    assert all(re.fullmatch(r"\S+ \(\S+ to \S+\)", row[2]) for row in grid.rows)
    assert "heat-onnxruntime-cpu" in {plot.name for plot in draw(summarize(run))}


def test_one_batch_or_one_number_of_threads_is_no_map() -> None:
    single = made(batches=(8,))
    run, _ = runs.make(runs.TWO, runs.Shape(batches=BATCHES))

    assert heats(single, summarize(single).tables) == ()
    assert heats(run, summarize(run).tables) == ()


# A ratio beside two p50s


def test_a_ratio_that_is_no_quotient_of_its_p50s_says_why_in_every_form() -> None:
    run, _ = runs.make(runs.SWEEP, runs.Shape(batches=(1, 8), seed=3))
    view = summarize(run)
    table = next(table for table in view.tables if table.apart)
    sentence = (
        f"The ratio of {table.apart[0]} at {table.case.name} is paired within each process start; "
        "the quotient of the p50s beside it lies outside the interval, since each p50 is a median, "
        "which another process start may have."
    )

    assert sentence in " ".join(terminal.render(view).split())
    assert sentence in markdown.render(view)
    assert sentence in page.render(view, ())
    assert sentence in notebook.run_markup(run, (), timed=True)


def test_a_gain_that_is_no_quotient_of_its_p50s_says_why_beside_the_curves() -> None:
    """A row of batch 8 is as fast as one of batch 1 in 12 process starts of 13. In the other one
    batch 1 alone is slow: so it is in seven, which is its median, and batch 8 in six."""
    run = made(starts=13, batches=(1, 8))
    timings = run.records[0].timings
    for n, (left, right) in enumerate(
        zip(timings[0].series, timings[1].series, strict=True), start=1
    ):
        left.medians[:] = [1e4 * (2 if n > 6 else 1)] * len(left.medians)
        right.medians[:] = [8e4 * (2 if n > 7 else 1)] * len(right.medians)
    view = summarize(run)
    sentence = "The gain of onnxruntime cpu, 1 thread at batch 8 is paired within each process"

    assert sentence in markdown.render(view)
    assert sentence in page.render(view, ())


def test_a_comparison_says_of_its_ratios_what_the_p50s_do_not() -> None:
    run, _ = runs.make(runs.SWEEP, runs.Shape(batches=(1, 8), seed=3))
    tables = summarize(run).tables
    pairings = side_by_side(run, tables, [(2, 0), (2, 1)], Wishes())
    table = next(table for table in tables if table.apart)
    sentence = (
        f"The ratio of {table.apart[0]} at {table.case.name} is paired within each process start;"
    )

    shown = compared.terminal(pairings, (), columns=80, colour=False)
    assert sentence in " ".join(shown.split())
    assert sentence in compared.markdown("a → b", pairings, ())
