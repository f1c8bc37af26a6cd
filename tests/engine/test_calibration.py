"""The lengths of blocks and warm-ups are fixed by the first generation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import small
from tests.engine.conftest import ready_target
from toolkit.engine import calibration
from toolkit.engine.setup import Calibration, Calibrations
from toolkit.measure import steady
from toolkit.measure.schedule import Length
from toolkit.records.parts import CasePart, GenerationPart, TargetPart
from toolkit.records.schema import Generation, Series
from toolkit.units import Seconds

pytestmark = pytest.mark.process


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small.layer(tmp_path / "layer.onnx")


def calibrations(*spans: Seconds) -> Calibrations:
    """One for each target, at one case."""
    return {(target, 0): Calibration(Length(20, 1), span) for target, span in enumerate(spans)}


def spans(found: Calibrations) -> dict[tuple[int, int], Seconds]:
    return {place: known.span for place, known in found.items()}


def test_all_targets_of_a_runtime_have_the_longest_of_their_spans(model: Path) -> None:
    texts = ["fake,us=10", "fake,us=20", "onnxruntime"]
    targets = [ready_target(index, text, model) for index, text in enumerate(texts)]

    levelled = calibration.levelled(calibrations(0.1, 0.3, 0.7), targets)

    assert spans(levelled) == {(0, 0): 0.3, (1, 0): 0.3, (2, 0): 0.7}
    assert {known.length for known in levelled.values()} == {Length(20, 1)}


def test_what_compiles_while_it_runs_is_looked_at_as_long_in_every_start(model: Path) -> None:
    both = [ready_target(0, "onnxruntime-web:wasm", model), ready_target(1, "fake,us=10", model)]

    levelled = calibration.levelled(calibrations(*[steady.LATER_SPAN] * 2), both)

    assert spans(levelled) == {(0, 0): steady.SPAN, (1, 0): steady.LATER_SPAN}


def test_a_target_that_failed_is_left_out_and_levels_no_other(model: Path) -> None:
    still = [ready_target(0, "fake,us=10", model)]

    assert spans(calibration.levelled(calibrations(0.1, 0.5), still)) == {(0, 0): 0.1}


def test_a_run_that_goes_on_has_the_calibrations_of_its_first_generation() -> None:
    parts = [part(0, calls=20, steady_after=0.4), part(1, calls=20, steady_after=0.1)]

    kept = calibration.of_parts(parts)

    assert kept == {(0, 0): Calibration(Length(20, 1), 0.4)}


def part(number: int, *, calls: int, steady_after: Seconds) -> GenerationPart:
    series = Series(generation=number, starts=[0.0], medians=[1.0], means=[1.0], switches=[0])
    case = CasePart(case=0, calls=calls, discarded=1, series=series)
    generation = Generation(
        number=number, cores=[0], driver=[1], started=0.0, ended=1.0, steal=0.0, others=0.0
    )
    target = TargetPart(target=0, cases=[case], steady_after=steady_after)
    return GenerationPart(generation=generation, targets=[target])
