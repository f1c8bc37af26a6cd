"""Tests that every kind of warning says what to do, and only what can be done."""

from __future__ import annotations

import msgspec
import pytest

from tests.report import runs
from toolkit.records.schema import Tensor, WarningKind
from toolkit.report.warnings import ADVICE, OF_FIXED_SHAPES, advice


def test_every_kind_of_warning_has_its_advice() -> None:
    assert set(ADVICE) == set(WarningKind)
    assert all(a.means.endswith(".") and a.do.endswith(".") for a in ADVICE.values())


@pytest.mark.parametrize("kind", OF_FIXED_SHAPES)
@pytest.mark.parametrize(
    ("shapes", "larger"),
    [([[1, 64]], False), ([[], [3]], False), ([["batch", 64]], True), ([[3], None], True)],
    ids=["fixed", "a scalar", "a dynamic batch", "an unknown rank"],
)
def test_a_larger_batch_is_proposed_where_the_file_takes_one(
    kind: WarningKind, shapes: list[list[int | str | None] | None], larger: bool
) -> None:
    run, _ = runs.make(runs.many(1))
    inputs = [Tensor(name=f"x{n}", type="float32", shape=shape) for n, shape in enumerate(shapes)]
    model = msgspec.structs.replace(run.plan.model, inputs=inputs)

    says = advice(kind, model).do

    assert ("larger batch" in says) == larger
