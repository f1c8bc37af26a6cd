"""Old against new: side by side, or two runs by the baseline that both have."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest
from msgspec.structs import replace

from tests import command, small
from toolkit.errors import InputError, RunError
from toolkit.measure import schedule
from toolkit.measure.schedule import Pace
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.pipelines.compare import ComparedModels, compare
from toolkit.records.schema import Run
from toolkit.report import compared
from toolkit.report.betweenruns import between
from toolkit.report.compared import Gates
from toolkit.report.comparison import Gate, Pairing
from toolkit.report.summary import summarize
from toolkit.runtimes.target import parse

pytestmark = pytest.mark.process

PACE = schedule.pace(0.01, 600)
QUICK = schedule.pace(None, 1, True)
"""One process start: enough where no interval is asked for."""


def order(*targets: str, pace: Pace = PACE) -> BenchRequest:
    return BenchRequest([parse(text) for text in targets], pace=pace)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.layer(tmp_path_factory.mktemp("compare") / "layer.onnx")


@pytest.fixture(scope="module")
def longer(model: Path) -> ComparedModels:
    """One file on a target and on one that takes 5 % longer."""
    return compare(model, None, order("fake,us=1000", "fake,us=1050"), reports=model.parent)


@pytest.fixture(scope="module")
def slower(longer: ComparedModels) -> Sequence[Pairing]:
    return longer.pairings


def test_a_call_from_python_has_its_decision_and_its_page_has_it_too(
    longer: ComparedModels,
) -> None:
    """Nothing was typed: the page knows by the command that would have been."""
    assert longer.finished is not None
    view = summarize(longer.finished.run)

    assert longer.decision is not None
    assert longer.decision.text.startswith(
        "Do not take fake cpu, us=1050: as precise (float32), 1.05× slower ("
    )
    assert view.decision == longer.decision


@pytest.mark.parametrize(
    ("limit", "outcome"), [(0.03, Gate.FAILS), (0.04999, Gate.FAILS), (0.06, Gate.HOLDS)]
)
def test_a_gate_of_speed_fails_beyond_its_limit_alone(
    slower: Sequence[Pairing], limit: float, outcome: Gate
) -> None:
    (one,) = slower

    assert one.interval is not None
    assert one.interval.estimate == pytest.approx(1.05)
    assert one.slower(limit) is outcome


def test_one_target_with_two_numbers_of_threads_is_compared_with_itself(model: Path) -> None:
    quick = schedule.pace(None, 1, True)
    request = BenchRequest([parse("fake,us=1000")], pace=quick, threads=(1, 2))

    done = compare(model, None, request, reports=model.parent)

    assert done.finished is not None
    targets = done.finished.run.plan.targets
    assert [target.name for target in targets] == [
        "fake:cpu,us=1000,threads=1",
        "fake:cpu,us=1000,threads=2",
    ]
    assert len(done.pairings) == 1


def test_what_no_interval_decides_is_skipped_and_fails_under_strict_alone(model: Path) -> None:
    """One process start has no interval."""
    quick = BenchRequest(
        [*map(parse, ["fake,us=1000", "fake,us=1050"])], pace=schedule.pace(None, 1, True)
    )
    done = compare(model, None, quick, reports=model.parent)
    ruled = compared.rulings(done.pairings, Gates(slower=0.03))
    suite = ElementTree.fromstring(compared.junit(done.title, ruled))

    assert [ruling.outcome for ruling in ruled] == [Gate.OPEN]
    assert (suite.get("skipped"), suite.get("failures")) == ("1", "0")
    assert suite.find("testcase/skipped") is not None
    assert not compared.fails(ruled, Gates(slower=0.03))
    assert compared.fails(ruled, Gates(slower=0.03, strict=True))


@pytest.fixture(scope="module")
def spoilt(model: Path) -> Path:
    """A copy of the model with one weight changed by a tenth."""
    loaded = onnx.load(model)
    weight = loaded.graph.initializer[0]
    array = onnx.numpy_helper.to_array(weight).copy()
    array.flat[0] += 0.1 * abs(array).max()
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    path = model.with_name("spoilt.onnx")
    onnx.save(loaded, path)
    return path


def test_a_new_file_is_judged_by_the_oracle_of_the_old_one(model: Path, spoilt: Path) -> None:
    done = compare(model, spoilt, order("fake", pace=QUICK), reports=model.parent)
    (one,) = done.pairings
    ruled = compared.rulings(done.pairings, Gates(slower=0.03, worse=True))

    assert one.name == "fake cpu, spoilt.onnx"
    assert one.old.right
    assert not one.new.right
    assert one.interval is None  # What is not right has no ratio.
    assert {ruling.gate: ruling.outcome for ruling in ruled} == {
        "speed": Gate.OPEN,
        "answers": Gate.FAILS,
    }


def test_the_command_ends_with_1_and_writes_both_files(
    model: Path, spoilt: Path, tmp_path: Path
) -> None:
    done = command.run(
        "compare", model, spoilt, "--target", "fake", "--fail-if-worse",
        "--junit", "gates.xml", "--markdown", "gates.md", cwd=tmp_path,
    )  # fmt: skip

    suite = ElementTree.parse(tmp_path / "gates.xml").getroot()
    assert done.code == 1
    assert "fails    fake cpu, spoilt.onnx at batch 1: " in done.out
    assert suite.get("failures") == "1"
    lines = (tmp_path / "gates.md").read_text().splitlines()
    assert lines[0] == "### spoilt.onnx against layer.onnx"
    assert lines[2].startswith("**Do not ship: ")
    assert done.out.splitlines()[1].startswith("decision Do not ship: ")
    (said,) = suite.findall("properties/property")
    assert str(said.get("value")).startswith("Do not ship: ")


def test_as_json_the_decision_stands_first_and_the_page_has_it_too(
    model: Path, tmp_path: Path
) -> None:
    done = command.run(
        "compare", model, model, "--target", "fake", "--quick", "--time", "1s", "--json",
        "--goal", "size", cwd=tmp_path,
    )  # fmt: skip

    whole = json.loads(done.out)
    text = whole["decision"]["text"]
    assert done.code == 0
    assert [*whole] == ["decision", "title", "pairings", "gates", "notes"]
    assert (whole["decision"]["goal"], whole["decision"]["action"]) == ("size", "either will do")
    assert text.startswith("Either will do: as precise (float32), ")
    assert text in (tmp_path / "reports/latest/report.html").read_text()


def test_one_file_on_one_target_is_no_comparison(model: Path) -> None:
    with pytest.raises(InputError) as caught:
        compare(model, None, order("fake"), reports=model.parent)

    assert caught.value.what == "one file is compared on two targets or more"


# Two runs


@pytest.fixture(scope="module")
def runs(model: Path) -> tuple[Run, Run]:
    """The same two targets, measured twice."""
    request = order("fake,us=1000", "fake,us=500,seed=1")
    old, new = (bench(model, request, reports=model.parent).run for _ in range(2))
    return old, new


def test_two_runs_are_compared_by_their_ratios_to_the_common_baseline(
    runs: tuple[Run, Run],
) -> None:
    (one,) = between(*runs)

    assert one.interval is not None
    assert one.interval.estimate == pytest.approx(1.0)
    assert (one.old.p50, one.new.p50) == (None, None)
    assert one.slower(0.01) is Gate.HOLDS


def test_a_target_that_became_slower_beside_the_baseline_is_found(runs: tuple[Run, Run]) -> None:
    """A target is told by its name: the second run's times are scaled as if it had changed."""
    old, new = runs
    record = new.records[1]
    timing = record.timings[0]
    series = [
        replace(one, medians=[median * 1.1 for median in one.medians]) for one in timing.series
    ]
    changed = replace(record, timings=[replace(timing, series=series)])

    (one,) = between(old, replace(new, records=[new.records[0], changed]))

    assert one.interval is not None
    assert math.isclose(one.interval.estimate, 1.1)
    assert one.slower(0.03) is Gate.FAILS


def test_without_a_common_baseline_the_way_that_works_is_told(model: Path) -> None:
    old, new = (
        bench(model, order(first, "fake,us=500", pace=QUICK), reports=model.parent).run
        for first in ("fake,us=1000", "fake,us=999")
    )

    with pytest.raises(RunError) as caught:
        between(old, new)

    assert caught.value.what.startswith(
        "the two runs have no common baseline: it was fake:cpu,us=1000 1.0 on "
    )
    assert caught.value.cures[0].startswith(
        "toolkit compare OLD.onnx NEW.onnx --target 'fake:cpu,us=999' --target 'fake:cpu,us=500' "
    )
