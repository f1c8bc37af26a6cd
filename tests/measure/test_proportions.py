"""The interval of a share that was counted."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from toolkit.measure.proportions import proportion


@pytest.mark.parametrize(
    ("count", "of"), [(0, 1), (1, 1), (0, 8), (8, 8), (3, 7), (992, 1000), (1, 100_000)]
)
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_it_is_wilsons_score_interval(count: int, of: int, alpha: float) -> None:
    theirs = binomtest(count, of).proportion_ci(1 - alpha, method="wilson")

    ours = proportion(count, of, alpha)

    assert ours.share == count / of
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("count", "of"), [(0, 0), (2, 1), (-1, 5)])
def test_what_is_no_share_is_refused(count: int, of: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        proportion(count, of)
