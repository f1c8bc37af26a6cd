"""Tests what may be shown, and in which order."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tests.report import runs
from tests.report.runs import Row, Shape, make
from toolkit.records.schema import RecordedPlacement, Run
from toolkit.report.summary import summarize
from toolkit.report.terminal import render
from toolkit.report.view import Standing, Table, View


def view_of(rows: tuple[Row, ...], shape: Shape | None = None) -> View:
    return summarize(*make(rows, shape))


def first_table(rows: tuple[Row, ...], shape: Shape | None = None) -> Table:
    return view_of(rows, shape).tables[0]


def standings(table: Table) -> dict[str, Standing]:
    return {row.target.name: row.standing for row in table.rows}


def test_right_targets_stand_in_the_order_of_speed() -> None:
    table = first_table(runs.MIXED)
    assert [(row.rank, row.target.name) for row in table.ranked()] == [
        (1, "onnxruntime cpu, bound"),
        (2, "onnxruntime cpu"),
        (3, "torch cpu"),
    ]


def test_targets_that_are_not_right_come_after_the_right_and_those_that_failed_last() -> None:
    assert list(standings(first_table(runs.MIXED)).values()) == [
        *[Standing.RANKED] * 3,
        *[Standing.NOT_RIGHT] * 2,
        Standing.NOT_MEASURED,
    ]


def test_a_ratio_is_near_what_was_planted_and_its_interval_holds_it() -> None:
    ratio = first_table(runs.MIXED).rows[0].ratio
    assert ratio is not None
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 24.1 / 3.9 * 1.01
    assert ratio.high > 24.1 / 3.9 * 0.99
    assert ratio.different


def test_a_row_that_is_not_right_has_no_rank_and_no_ratio() -> None:
    rows = first_table(runs.MIXED).part(Standing.NOT_RIGHT)
    assert [(row.rank, row.ratio) for row in rows] == [(None, None), (None, None)]


OPEN = Row("openvino cpu", 2e-6, shown=False, reason="its activation is saturated; float32 or")
"""A target of which these feeds cannot tell."""


def test_what_is_not_shown_stands_apart_with_its_ratio_and_without_a_rank() -> None:
    view = view_of((OPEN, *runs.TWO, replace(OPEN, label="mnn cpu", latency=1e-6)))
    (table,) = view.tables

    assert [(row.target.name, row.rank, str(row.standing)) for row in table.rows] == [
        *[(row.target.name, row.rank, "ranked") for row in table.ranked()],
        ("mnn cpu", None, "not shown"),
        ("openvino cpu", None, "not shown"),
    ]
    assert len(table.ranked()) == 2
    assert all(row.ratio and row.speed for row in table.part(Standing.NOT_SHOWN))
    assert table.conclusion.headline.startswith("Fastest with right answers: onnxruntime")
    assert view.without_rank[0] == "Not shown: mnn cpu (its activation is saturated; float32 or)."
    assert "--inputs FOLDER" in view.without_rank[2]
    text = render(view)
    assert "Not shown: mnn cpu" in text
    assert "--accept undecided" in text


def test_nothing_that_is_not_shown_is_called_right() -> None:
    view = view_of((OPEN, replace(OPEN, label="mnn cpu", latency=1e-6)))
    (table,) = view.tables

    assert (table.ranked(), len(table.compared())) == ((), 2)
    assert table.conclusion.text == (
        "No target is ranked: of no answers was it shown that they are right. A call of mnn cpu "
        "takes 1.0\u2009µs, the least of these."
    )
    assert table.baseline == "mnn cpu"  # The planned one: the last.
    assert table.rows[1].ratio is not None


def test_a_wrong_row_shows_no_latency_and_a_coarse_one_shows_its_own() -> None:
    coarse, wrong = first_table(runs.MIXED).part(Standing.NOT_RIGHT)
    assert coarse.speed is not None
    assert coarse.says == "not ranked: declares float32, computes bfloat16"
    assert wrong.speed is None


def test_times_without_a_verdict_are_not_shown_and_the_row_says_so() -> None:
    table = first_table((replace(runs.TWO[0], judged=False), runs.TWO[1]))
    row = table.part(Standing.NOT_MEASURED)[0]
    assert row.speed is None
    assert row.says == ("not measured: its answers were not judged, so its times are not shown")


def test_times_of_a_runtime_without_a_version_are_not_shown() -> None:
    run, samples = make(runs.TWO)
    nameless = msgspec.structs.replace(run.records[0], library=None)
    run = msgspec.structs.replace(run, records=[nameless, run.records[1]])
    row = summarize(run, samples).tables[0].part(Standing.NOT_MEASURED)[0]
    assert row.speed is None
    assert "did not say its version" in row.reason


def test_a_failed_target_is_a_row_with_its_reason_and_cure() -> None:
    row = first_table(runs.MIXED).part(Standing.NOT_MEASURED)[0]
    assert row.says == "not measured: libcublasLt.so.13 is missing"
    assert row.cures == ("toolkit doctor",)


def test_a_target_that_the_run_had_not_come_to_is_a_row() -> None:
    run, samples = make(runs.TWO, Shape(state="running"))
    run = msgspec.structs.replace(run, records=run.records[1:])
    table = summarize(run, samples).tables[0]
    assert standings(table)["onnxruntime cpu"] is Standing.NOT_MEASURED
    assert table.rows[-1].reason == "the run had not come to it"


def test_process_starts_that_do_not_count_are_left_out() -> None:
    rows = first_table(runs.TWO, Shape(starts=10, not_counted=frozenset({0, 1, 2}))).ranked()
    assert [row.speed.starts for row in rows if row.speed] == [7, 7]
    assert rows[0].ratio is not None
    assert rows[0].ratio.starts == 7


def test_where_no_process_start_counts_no_number_is_shown() -> None:
    table = first_table(runs.TWO, Shape(starts=3, not_counted=frozenset({0, 1, 2})))
    assert [row.speed for row in table.rows] == [None, None]
    assert table.rows[0].reason == ("in no process start were the answers of its timed calls right")


def test_too_few_process_starts_for_so_many_pairs_name_no_fastest() -> None:
    """Seven cannot show four pairs to differ, however far apart they are."""
    rows = tuple(Row(f"fake cpu, us={i}", 1e-5 * 4**i) for i in range(1, 6))
    table = first_table(rows, Shape(starts=7))
    assert table.conclusion.headline == "Lowest latency with right answers: fake cpu, us=1."
    assert (
        "7 process starts are too few to tell so many targets apart: 8"
        in table.conclusion.details[0]
    )
    ratio = table.rows[0].ratio
    assert ratio is not None
    assert ratio.text.endswith(
        "× faster (250 to 261) by itself, not decided: 7 process starts are too few for 4 pairs"
    )
    assert first_table(rows, Shape(starts=9)).conclusion.headline == (
        "Fastest with right answers: fake cpu, us=1."
    )


def test_fewer_than_six_process_starts_give_numbers_without_an_interval_and_say_so() -> None:
    view = view_of(runs.TWO, Shape(starts=5))
    ratio = view.tables[0].rows[0].ratio
    assert ratio is not None
    assert (ratio.low, ratio.high) == (None, None)
    assert ratio.text.endswith("× faster, no interval")
    assert view.conclusions[0].text.endswith(
        "5 process starts are too few to say how sure that is: 6 are needed."
    )


def test_two_targets_that_cannot_be_told_apart_are_both_named_fastest() -> None:
    conclusion = view_of(runs.SWEEP, Shape(seed=3)).conclusions[0].text
    assert conclusion.startswith(
        "Fastest with right answers: onnxruntime cpu and openvino cpu. "
        "Between the two no difference is found; one of up to "
    )
    assert "could be hidden." in conclusion
    assert "onnxruntime cpu is 3.7" in conclusion


def test_the_conclusion_names_the_fastest_and_its_lead_over_the_baseline() -> None:
    conclusion = view_of(runs.MIXED).conclusions[0].text
    assert conclusion.startswith(
        "Fastest with right answers: onnxruntime cpu, bound. A call takes "
    )
    assert conclusion.endswith(" than torch cpu.")


def test_where_the_baseline_is_fastest_the_conclusion_says_how_far_the_next_is_behind() -> None:
    conclusion = view_of(runs.TWO, Shape(baseline=0)).conclusions[0].text
    assert "; it is the baseline. The next, torch cpu, is 3.7" in conclusion
    assert "× slower (" in conclusion


def test_where_nothing_is_right_no_target_is_named_fastest() -> None:
    view = view_of((runs.MIXED[2], runs.MIXED[3]))
    assert [conclusion.text for conclusion in view.conclusions] == [
        "No target is ranked: none was both measured and right."
    ]
    assert view.without_rank == (
        "Not ranked: openvino cpu (declares float32, computes bfloat16).",
        "Not ranked: tract cpu (wrong: 3 elements are far off).",
    )


def test_a_baseline_that_is_not_right_is_replaced_and_that_is_said() -> None:
    table = first_table((runs.TWO[0], runs.TWO[1], runs.MIXED[2]))
    assert table.baseline == "onnxruntime cpu"
    assert table.changed == "openvino cpu, the planned baseline, is not ranked"


def test_a_sweep_has_a_table_for_each_case_and_tells_what_is_the_same_once() -> None:
    view = view_of(runs.MIXED, Shape(batches=(1, 8)))
    assert [at.case.name for at in view.tables] == ["batch 1", "batch 8"]
    (conclusion,) = view.conclusions
    assert conclusion.headline == (
        "At batch 1 and batch 8, fastest with right answers: onnxruntime cpu, bound."
    )
    assert [detail[:22] for detail in conclusion.details] == [
        "At batch 1: a call tak",
        "At batch 8: a call tak",
    ]


def test_those_that_cannot_be_told_apart_lead_together() -> None:
    table = first_table(runs.SWEEP, Shape(seed=3))
    assert [table.leads(row) for row in table.rows] == [True, True, False]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (
            "running",
            "This run has not ended: what stands here is from its first 14 process starts.",
        ),
        (
            "interrupted",
            "This run was interrupted after 14 process starts; toolkit bench --resume goes on.",
        ),
        ("failed", "This run ended with an error after 14 process starts."),
        ("done", ""),
    ],
)
def test_an_unfinished_run_says_so(state: str, says: str) -> None:
    run, samples = make(runs.TWO)
    run = msgspec.convert({**msgspec.to_builtins(run), "state": state}, Run)
    assert summarize(run, samples).state == says


def test_a_row_that_ran_partly_elsewhere_is_named_by_what_ran() -> None:
    placement = RecordedPlacement(
        nodes={"cuda": 142, "cpu": 6},
        elsewhere={"cpu": ["Conv", "Gather", "Conv"]},
        copies=4,
        asked="cuda",
        shape_only=False,
    )
    split = replace(runs.TWO[0], label="onnxruntime cuda", placement=placement)
    row = first_table((split, runs.TWO[1])).rows[0]
    assert row.target.name == "onnxruntime cuda (cuda 142/148 + cpu 6: Conv, Gather)"
    assert row.target.placement == "cuda 142/148 + cpu 6: Conv, Gather; 4 copies"


def test_a_row_whose_shape_arithmetic_ran_elsewhere_keeps_its_name() -> None:
    placement = RecordedPlacement(
        nodes={"cuda": 142, "cpu": 6}, elsewhere={"cpu": ["Shape"]}, copies=None, asked="cuda"
    )
    split = replace(runs.TWO[0], label="onnxruntime cuda", placement=placement)
    row = first_table((split, runs.TWO[1])).rows[0]
    assert row.target.name == "onnxruntime cuda"
    assert row.target.placement == "cuda 142/148 + cpu 6: Shape; copies unknown"


def test_two_targets_with_one_label_are_told_apart_by_their_canonical_names() -> None:
    table = first_table((runs.TWO[0], runs.TWO[0], runs.TWO[1]))
    assert {row.target.name for row in table.rows} == {
        "onnxruntime:cpu,row=0",
        "onnxruntime:cpu,row=1",
        "torch cpu",
    }


def test_memory_is_what_one_process_holds_above_its_own_idle() -> None:
    resident = view_of(runs.TWO).targets[0].use.resident
    assert resident is not None
    assert (resident.low, resident.high) == (12_000_000, 12_000_000 + 13 * 4096)


def test_warnings_of_the_run_and_of_its_targets_carry_their_cures() -> None:
    view = view_of(runs.SWEEP, Shape(warnings=(runs.EARLY,)))
    assert [(note.where, note.kind.value) for note in view.notes] == [
        ("", "stopped early"),
        ("torch cpu", "timer share"),
    ]
    assert view.notes[1].advice.do.startswith("Time a larger batch")


def test_control_characters_of_a_record_reach_no_reader() -> None:
    table = first_table((replace(runs.TWO[0], label="x\x1b[2J\ny"), runs.TWO[1]))
    assert table.rows[0].target.name == "x�[2J y"


def test_many_targets_have_a_fastest_though_no_test_could_decide_all_their_pairs() -> None:
    """17 targets have 136 pairs: 11 process starts give no p below 1 / 1,024."""
    run, samples = runs.make(runs.many(), runs.Shape(starts=11))

    conclusion = summarize(run, samples).tables[0].conclusion

    assert conclusion.tied == ()
    assert conclusion.headline == "Fastest with right answers: onnxruntime cpu."
