"""Generations, one after the other: when a run stops, and how it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests import command, small
from toolkit.engine import generation
from toolkit.engine.setup import Calibrations, GenerationResult, RunSetup
from toolkit.errors import InputError
from toolkit.measure import schedule, stats
from toolkit.measure.schedule import Pace
from toolkit.pipelines.bench import BenchRequest, FinishedRun, bench
from toolkit.records import store
from toolkit.records.schema import Run, WarningKind
from toolkit.report.facts import protocol_line
from toolkit.report.summary import summarize
from toolkit.runtimes.target import parse
from toolkit.units import Seconds

pytestmark = pytest.mark.process


@pytest.fixture(scope="module", autouse=True)
def early_looks() -> Iterator[None]:
    """A run may stop after six process starts, the least that have an interval: how many there are
    is decided in measure/schedule.py, and tested there; each takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "LOOKS", (6, 8, 10))
        patch.setattr(schedule, "FEWEST", 6)
        yield


def order(*targets: str, pace: Pace) -> BenchRequest:
    return BenchRequest([parse(text) for text in targets], pace=pace)


class Stop:
    """Interrupts a run in one of its generations."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self, step: str, share: float | None, text: str) -> None:
        if step == "measure" and text.startswith(self.text):
            raise KeyboardInterrupt


class Look:
    """Looks which targets the generations of a run had, while it goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.targets: list[list[int]] = []

    def __call__(self, step: str, share: float | None, text: str) -> None:
        if step == "measure":
            parts = store.parts(self.folder, store.head(self.folder).plan)
            self.targets = [[target.target for target in part.targets] for part in parts]


@dataclass(frozen=True)
class Measured:
    """A run that was interrupted in its third generation, as it then was, and its end."""

    cut: Run
    looked: Look
    finished: FinishedRun

    @property
    def run(self) -> Run:
        return self.finished.run

    @property
    def folder(self) -> Path:
        assert self.finished.folder is not None
        return self.finished.folder


@pytest.fixture(scope="module")
def precise(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Two exact targets and one that fails: the ratio is known at the first look."""
    folder = tmp_path_factory.mktemp("precise")
    model = small.layer(folder / "layer.onnx")
    asked = order(
        "fake,us=1000", "fake,us=1500", "fake,fault=kill,at=sample", pace=schedule.pace(0.01, 600)
    )
    with pytest.raises(KeyboardInterrupt):
        bench(model, asked, reports=folder, watch=Stop("process start 3"))
    cut = store.unfinished(folder)
    look = Look(cut)
    return Measured(store.read(cut), look, bench(model, asked, resume=cut, watch=look))


def test_a_run_stops_at_the_first_look_where_every_ratio_is_known_well_enough(
    precise: Measured,
) -> None:
    assert [g.number for g in precise.run.generations] == [*range(schedule.FEWEST)]
    warnings = {warning.kind: warning.detail for warning in precise.run.warnings}
    assert warnings[WarningKind.STOPPED_EARLY] == "every ratio is known to ±1.0\u2009% or better"
    assert WarningKind.NO_INTERVAL not in warnings


def test_a_target_that_failed_starts_in_no_later_generation(precise: Measured) -> None:
    records = precise.run.records

    assert precise.looked.targets == [[0, 1, 2], *[[0, 1]] * 4]
    assert [len(record.cold.loaded) for record in records] == [6, 6, 0]
    assert records[2].failure is not None
    assert not records[2].timings
    assert precise.finished.unmet == ["fake cpu, at=sample, fault=kill"]


def test_the_length_of_a_block_is_that_of_the_first_generation(precise: Measured) -> None:
    samples = store.read_samples(precise.folder)

    timings = [record.timings[0] for record in precise.run.records[:2]]
    assert [(timing.calls, timing.discarded) for timing in timings] == [(20, 1), (14, 1)]
    assert set(samples) == {f"{target}/0/{g}" for target in (0, 1) for g in range(6)}
    assert {samples[key].shape for key in samples if key[0] == "0"} == {(20, 20)}


def test_every_sample_is_kept_and_the_record_holds_what_they_say(precise: Measured) -> None:
    samples = store.read_samples(precise.folder)

    for record in precise.run.records[:2]:
        for series in record.timings[0].series:
            rows = samples[f"{record.target}/0/{series.generation}"]
            assert series.medians == [float(np.median(row)) for row in rows]
            assert series.means == [float(np.mean(row)) for row in rows]


def test_generations_follow_each_other_on_one_clock(precise: Measured) -> None:
    spans = [(g.started, g.ended) for g in precise.run.generations]

    flat = [moment for span in spans for moment in span]
    assert flat == sorted(flat)
    assert flat[0] > 0


def test_a_time_too_short_for_an_interval_is_refused_with_the_time_it_takes(
    tmp_path: Path,
) -> None:
    model = small.layer(tmp_path / "layer.onnx")
    asked = order("fake,us=1000,start=0.5", "fake,us=1500", pace=schedule.pace(time=1.0))

    with pytest.raises(InputError) as caught:
        bench(model, asked, reports=tmp_path / "reports")

    assert caught.value.what.startswith(
        "--time 1s is too short for 6 process starts of each target: they take about"
    )
    assert "Slowest to start: fake cpu, start=0.5, us=1000 (" in caught.value.what
    assert caught.value.cures[1] == "--quick       goes on, without intervals"


def test_the_ceiling_ends_a_run_that_says_what_it_lacks(tmp_path: Path) -> None:
    model = small.layer(tmp_path / "layer.onnx")
    asked = order("fake,us=1000", pace=schedule.pace(time=1.0, quick=True))

    run = bench(model, asked, reports=tmp_path / "reports").run

    assert run.state == "done"
    assert len(run.generations) < schedule.FEWEST
    assert WarningKind.NO_INTERVAL in {warning.kind for warning in run.warnings}


def test_an_interrupt_keeps_the_generations_that_were_whole(precise: Measured) -> None:
    assert precise.cut.state == "interrupted"
    assert [g.number for g in precise.cut.generations] == [0, 1]


def test_a_resumed_run_goes_on_with_the_next_number_and_the_same_blocks(precise: Measured) -> None:
    before, after = precise.cut, precise.run

    assert after.state == "done"
    assert after.generations[:2] == before.generations
    for old, new in zip(before.records[:2], after.records[:2], strict=True):
        assert new.timings[0].series[:2] == old.timings[0].series
        assert new.timings[0].calls == old.timings[0].calls
    assert after.seconds > before.seconds > 0


def test_nothing_but_the_run_is_left_in_its_folder(precise: Measured) -> None:
    names = {path.name for path in precise.folder.iterdir()}

    assert {"run.json", "samples.npz", "report.md"} <= names
    assert not names & {"work", "generations"}
    assert not [name for name in names if name.endswith(".part")]
    assert not command.workers(precise.folder)


def test_targets_too_many_to_be_alive_at_once_are_each_paired_with_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four exact targets, three at a time: the baseline is in both groups. Three pairs need eight
    process starts."""
    monkeypatch.setattr(schedule, "MOST_ALIVE", 3)
    slower = ["fake,us=1000", "fake,us=1100", "fake,us=1200", "fake,us=1300"]
    model = small.layer(tmp_path / "layer.onnx")

    run = bench(model, order(*slower, pace=schedule.pace(0.01, 600)), reports=tmp_path).run

    alive = [
        {r.target for r in run.records for s in r.timings[0].series if s.generation == number}
        for number in range(len(run.generations))
    ]
    assert alive == [{0, 1, 2}, {0, 3}] * 8
    table = summarize(run).tables[0]
    ratios = {row.target.index: row.ratio for row in table.rows if row.ratio}
    assert {i: round(1 / ratio.middle, 6) for i, ratio in ratios.items()} == {
        1: 1.1,
        2: 1.2,
        3: 1.3,
    }
    assert all(ratio.starts == 8 for ratio in ratios.values())
    assert "8 process starts" in protocol_line(run)


def test_what_does_not_fit_into_the_memory_is_measured_in_smaller_groups() -> None:
    assert schedule.groups([3, 3, 3, 3, 3], 2, 9) == [[2, 0, 1], [2, 3, 4]]
    assert schedule.groups([30, 30], 0, 9) == [[0, 1]]
    assert schedule.groups([1], 0, 9) == [[0]]
    assert [len(g) for g in schedule.groups([0] * 50, 0, 9)] == [26, 25]


def test_the_fastest_is_no_winner_over_one_that_was_never_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two equal leaders in two groups: through the baseline no difference is found."""
    monkeypatch.setattr(schedule, "MOST_ALIVE", 2)
    targets = ["fake,us=1000", "fake,us=500,spread=0.002", "fake,us=500,spread=0.003"]
    model = small.layer(tmp_path / "layer.onnx")

    run = bench(model, order(*targets, pace=schedule.pace(0.01, 600)), reports=tmp_path).run

    conclusion = summarize(run).tables[0].conclusion
    assert set(conclusion.tied) == {
        "fake cpu, spread=0.002, us=500",
        "fake cpu, spread=0.003, us=500",
    }
    assert "no difference is found" in conclusion.text


def test_as_many_process_starts_are_made_as_tell_all_right_targets_from_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pairs: the third target besides the baseline is not right, the fourth fails. What they
    need is set here, so that a run of few targets shows it."""
    monkeypatch.setattr(schedule, "starts_needed", lambda pairs, alpha: 7 if pairs == 2 else 6)
    monkeypatch.setattr(stats, "starts_needed", lambda pairs, alpha: 99 if pairs == 2 else 6)
    right = [f"fake,us={count}000" for count in range(1, 4)]
    asked = order(
        *right, "fake,compute=bfloat16", "fake,fault=kill,at=sample", pace=schedule.pace(0.01, 600)
    )

    run = bench(small.layer(tmp_path / "layer.onnx"), asked, reports=tmp_path).run

    assert len(run.generations) == 8  # The first look at which there are seven.
    few = next(one for one in run.warnings if one.kind is WarningKind.TOO_MANY_PAIRS)
    assert few.detail == "8 of the 99 that 2 pairs need"


def test_all_targets_of_a_runtime_warm_up_as_long_as_the_one_that_needed_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that did not would be the colder one in every process start of the run."""
    spans: list[Mapping[tuple[int, int], Seconds]] = []
    run = generation.run

    def spy(
        setup: RunSetup, count: int, known: Calibrations, watch: Callable[[float], None]
    ) -> GenerationResult:
        spans.append({place: calibration.span for place, calibration in known.items()})
        if count:
            raise KeyboardInterrupt  # What it would have been told is known.
        result = run(setup, count, known, watch)
        slow = {(0, 0): 0.3, (1, 0): 0.1, (2, 0): 0.7}
        found = {at: replace(one, span=slow[at]) for at, one in sorted(result.calibrations.items())}
        return replace(result, calibrations=found)

    monkeypatch.setattr(generation, "run", spy)
    asked = order("fake,us=1000", "fake,us=1500", "onnxruntime", pace=schedule.pace(0.01, 600))
    with pytest.raises(KeyboardInterrupt):
        bench(small.layer(tmp_path / "layer.onnx"), asked, reports=tmp_path)

    assert spans[0] == {}
    assert spans[1] == {(0, 0): 0.3, (1, 0): 0.3, (2, 0): 0.7}
