"""Tests what the plots show."""

from __future__ import annotations

import functools
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import altair as alt
import msgspec
import pytest

from tests.report import runs
from toolkit.answers.formats import ORDER, Precision
from toolkit.records.schema import Conversion
from toolkit.report import files, palette
from toolkit.report.grids import machines
from toolkit.report.plots import Plot, draw
from toolkit.report.plots.base import Entry, slug, ticks
from toolkit.report.summary import summarize
from toolkit.report.svg import legend, svg
from toolkit.report.view import View
from toolkit.runtimes import listing

MIXED = summarize(*runs.make(runs.MIXED))
NAMES = (
    "ratios-batch-1",
    "parts-batch-1",
    "cold-start",
    "distribution-batch-1",
    "answers",
    "over-time-batch-1",
    "machine",
)
"""The plots of MIXED, in the order of the page."""


@functools.cache
def drawn() -> dict[str, Plot]:
    """They are drawn once, and not where the tests are only collected."""
    return {plot.name: plot for plot in draw(MIXED)}


def data(plot: Plot) -> list[dict[str, Any]]:
    """All inline values of a plot."""
    return [row for rows in plot.spec["datasets"].values() for row in rows]


def named(plot: Plot) -> set[str]:
    """The targets that have a mark in a plot."""
    return {row["name"] for row in data(plot) if "name" in row}


def test_a_run_has_every_plot_in_the_order_of_the_page() -> None:
    assert tuple(drawn()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_is_of_vega_lites_schema(name: str) -> None:
    alt.Root.validate(drawn()[name].spec)


def test_each_case_has_its_own_plots() -> None:
    names = [
        plot.name for plot in draw(summarize(*runs.make(runs.SWEEP, runs.Shape(batches=(1, 8)))))
    ]
    assert {"ratios-batch-8", "distribution-batch-8", "over-time-batch-8"} <= set(names)


def test_a_call_in_which_the_clock_did_not_move_has_no_place_on_a_logarithmic_axis() -> None:
    run, samples = runs.make(runs.TWO)
    samples["0/0/0"][0, 0] = 0
    still = {key: 0 * calls if key.startswith("1/") else calls for key, calls in samples.items()}

    (plot,) = (plot for plot in draw(summarize(run, still)) if plot.name == "distribution-batch-1")

    latencies = [row["l"] for row in data(plot) if "l" in row]
    assert min(latencies) > 0
    assert {row["k"] for row in data(plot) if "l" in row} == {0}


def test_a_picture_of_any_width_has_its_legend() -> None:
    """A record may name times that make a plot wider than a float has units."""
    entries = tuple(Entry(f"{name} cpu", palette.look(name)) for name in ("torch", "tract"))

    assert [row.count("<line") for row in legend(entries, 1e20)] == [2]
    assert [row.count("<line") for row in legend(entries, 1.0)] == [1, 1]


def test_targets_without_a_rank_are_in_no_plot_of_ratios() -> None:
    assert named(drawn()["ratios-batch-1"]) == {
        "onnxruntime cpu, bound",
        "onnxruntime cpu",
        "torch cpu",
    }


def test_the_parts_of_a_call_end_where_its_p50_does_and_one_that_tells_none_is_whole() -> None:
    stages = [row for row in data(drawn()["parts-batch-1"]) if "stage" in row]
    copying = [row for row in stages if row["tip"].startswith("onnxruntime cpu\n")]
    speed = next(r.speed for r in MIXED.tables[0].rows if r.target.name == "onnxruntime cpu")
    whole = [row["stage"] for row in stages if row["tip"].startswith("torch cpu\n")]

    assert speed is not None
    assert [row["stage"] for row in copying] == ["copies in", "compute", "copies out"]
    assert copying[0]["to"] == pytest.approx(0.1)
    assert copying[-1]["to"] == pytest.approx(speed.p50.middle * 1e6)
    assert whole == ["whole call"]


def test_without_a_runtime_that_tells_its_copies_there_is_no_such_plot() -> None:
    assert not [plot for plot in draw(summarize(*runs.make(runs.SWEEP))) if "parts" in plot.name]


def test_wrong_answers_show_no_latency_in_any_plot() -> None:
    timed = [plot for name, plot in drawn().items() if name.startswith(("dist", "over", "parts"))]
    assert all("tract cpu" not in named(plot) for plot in timed)


def test_an_interval_in_the_plot_is_the_one_in_the_table() -> None:
    first = next(row for row in data(drawn()["ratios-batch-1"]) if row.get("line") == 0)
    ratio = MIXED.tables[0].rows[0].ratio
    assert ratio is not None
    assert (first["middle"], first["low"], first["high"]) == (ratio.middle, ratio.low, ratio.high)


def test_formats_that_were_not_simulated_are_named() -> None:
    def with_bands(*classes: Precision) -> str:
        targets = [
            replace(
                target,
                verdict=replace(
                    target.verdict,
                    outputs=tuple(
                        replace(output, bands=dict.fromkeys(classes, (1.0, 2.0)))
                        for output in target.verdict.outputs
                    ),
                ),
            )
            for target in MIXED.targets
            if target.verdict
        ]
        plots = draw(replace(MIXED, tables=(), targets=tuple(targets)))
        return next(plot.reading for plot in plots if plot.name == "answers")

    assert "Without a bar" not in with_bands(*ORDER)
    assert "Without a bar: bfloat16, int8." in with_bands("float32", "tf32", "float16")


def test_wrong_answers_are_red_and_nothing_else_is() -> None:
    text = json.dumps(drawn()["answers"].spec)
    assert palette.WRONG in text
    assert all(
        palette.WRONG not in json.dumps(p.spec) for n, p in drawn().items() if n != "answers"
    )
    wrong = {row["name"] for row in data(drawn()["answers"]) if row.get("wrong")}
    assert wrong == {"tract cpu"}


def test_errors_that_are_not_finite_stand_at_the_right_edge() -> None:
    rows = (replace(runs.MIXED[3], factor=math.nan), runs.TWO[1])
    plots = draw(summarize(*runs.make(rows)))
    plot = next(plot for plot in plots if plot.name == "answers")
    wrong = next(row for row in data(plot) if row.get("wrong"))
    edge = max(row["high"] for row in data(plot) if "high" in row)
    assert wrong["factor"] > edge


def test_a_runtime_keeps_its_colour_whatever_else_is_measured() -> None:
    alone = palette.looks(summarize(*runs.make(runs.TWO)).targets)
    among = palette.looks(MIXED.targets)
    assert alone["torch cpu"] == among["torch cpu"]
    assert alone["onnxruntime cpu"] == among["onnxruntime cpu"]


def test_every_runtime_has_a_look_of_its_own_and_no_plug_in_has_it() -> None:
    own = [palette.LOOKS[name] for name in listing.BUILT_IN]

    assert len({*own}) == len(own)
    assert not {*palette.LOOKS.values()} & {*palette.FREE}
    assert {look.shape for look in (*palette.LOOKS.values(), *palette.FREE)} == {*palette.OUTLINES}
    assert palette.look("a plug-in of somebody's") in palette.FREE


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith(("ratios", "answers"))])
def test_a_label_stands_beside_its_mark(name: str) -> None:
    """It is at the right of the outermost mark of its line, or at the left where that lies far
    right: both are drawn from the same numbers."""
    labels = [row for row in data(drawn()[name]) if row.get("label")]
    ends = ("low", "high") if name.startswith("ratios") else ("least", "most")

    assert labels
    assert all(row[ends[0]] <= row[ends[1]] for row in labels)
    assert max(labels, key=lambda row: float(row[ends[1]]))["left"]


def test_targets_of_one_colour_have_different_dashes() -> None:
    dashes = palette.dashes(MIXED.targets)
    assert dashes["onnxruntime cpu, bound"] != dashes["onnxruntime cpu"]


def large() -> View:
    return summarize(*runs.make(runs.many(), runs.Shape(starts=80, calls=10)))


def test_no_curve_has_more_than_300_points_whatever_the_size_of_the_run() -> None:
    for plot in draw(large()):
        for values in plot.spec["datasets"].values():
            owners = [row.get("k", row.get("name")) for row in values if "r" in row or "l" in row]
            assert all(owners.count(owner) <= 300 for owner in set(owners))


def test_without_samples_there_is_no_distribution() -> None:
    run, _ = runs.make(runs.TWO)
    assert not [p for p in draw(summarize(run)) if p.name.startswith("distribution")]


def test_a_run_without_any_number_has_no_plot_of_numbers() -> None:
    run, _ = runs.make((replace(runs.TWO[0], failure=runs.MISSING_CUDA),), runs.Shape(starts=0))
    assert draw(summarize(run)) == ()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_plot_is_a_whole_svg_of_light_and_dark(name: str) -> None:
    text = svg(drawn()[name])
    ElementTree.fromstring(text)
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r'(href|src)="http', text)


def test_a_hostile_name_stays_text_in_an_svg() -> None:
    rows = (replace(runs.TWO[0], label="<script>alert(1)</script>"), runs.TWO[1])
    for plot in draw(summarize(*runs.make(rows))):
        assert "<script" not in svg(plot)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.95, 7.0, [1, 1.5, 2, 3, 4, 5, 6]),
        (0.9, 60.0, [1, 2, 5, 10, 20, 50]),
        (0.98, 1.03, [0.98, 0.99, 1.0, 1.01, 1.02, 1.03]),
        (0.5, 3e6, [1, 10, 100, 1e3, 1e4, 1e5, 1e6]),
        (3.1, 4.4, [3.2, 3.4, 3.6, 3.8, 4.0, 4.2, 4.4]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_what_a_runtime_made_of_the_model_first_stands_beside_its_cold_start() -> None:
    run, samples = runs.make(runs.TWO)
    conversion = Conversion(seconds=1.5, size=35_200, kept=True)
    records = [msgspec.structs.replace(run.records[0], conversion=conversion), *run.records[1:]]
    grid = machines.cold(summarize(msgspec.structs.replace(run, records=records), samples).targets)

    assert grid.head[1] == "converted once"
    assert grid.rows[0][1].replace("\u2009", " ") == "1.50 s → 35.2 KB"
    assert grid.rows[1][1] == "–"
    assert "converted once" not in machines.cold(summarize(run, samples).targets).head


def test_a_dimension_with_a_long_name_has_a_report(tmp_path: Path) -> None:
    """Two names that differ at their ends alone are two files."""
    run, samples = runs.make(runs.MIXED, runs.Shape(starts=6, rounds=3, calls=5, batches=(1, 8)))
    cases = [
        msgspec.structs.replace(case, name=f"{'dimension' * 40}{end} 8", dims={"d" * 300 + end: 8})
        for case, end in zip(run.plan.cases, "ab", strict=True)
    ]
    run = msgspec.structs.replace(run, plan=msgspec.structs.replace(run.plan, cases=cases))

    files.write(summarize(run, samples), tmp_path)

    names = [path.name for path in tmp_path.iterdir()]
    text = (tmp_path / "report.md").read_text("utf-8")
    assert max(map(len, names)) < 100
    assert len([name for name in names if name.startswith("ratios-")]) == 2
    assert all(name in text for name in names if name.endswith(".svg"))


def test_a_name_that_is_short_stays_as_it_is_in_a_files_name() -> None:
    assert slug("batch 8, seq 32") == "batch-8-seq-32"
    assert slug("語") == "case"
