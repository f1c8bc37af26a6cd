"""When a pass over labelled data may end."""

from __future__ import annotations

import pytest

from toolkit.data.intervals import Estimate
from toolkit.data.looks import ALPHA, Looks, decided


def test_all_looks_of_a_gate_together_spend_alpha() -> None:
    looks = Looks(10_000, gate=True)

    spent = [looks.alpha(place, last=False) for place in looks.places]
    spent.append(looks.alpha(10_000, last=True))

    assert looks.places == [256, 512, 1024, 2048, 4096, 8192]
    assert all(share > 0 for share in spent)
    assert sum(spent) == pytest.approx(ALPHA)


def test_a_pass_that_the_time_ends_spends_what_is_left() -> None:
    looks = Looks(10_000, gate=True)
    spent = looks.alpha(256, last=False)

    assert spent + looks.alpha(300, last=True) == pytest.approx(ALPHA)


def test_without_a_gate_and_of_unknown_many_there_is_one_look() -> None:
    assert Looks(10_000, gate=False).places == ()
    assert Looks(None, gate=True).places == ()
    assert Looks(None, gate=True).alpha(77, last=True) == ALPHA


def test_pairs_share_alpha() -> None:
    assert Looks(100, gate=False, pairs=4).alpha(100, last=True) == ALPHA / 4


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.006, 0.01, "fails"), (-0.01, 0.005, "holds"), (0.004, 0.006, ""), (0.0, 0.0, "holds")],
)
def test_a_gate_is_decided_by_the_whole_interval(low: float, high: float, outcome: str) -> None:
    assert decided(Estimate((low + high) / 2, low, high), 0.005) == outcome
