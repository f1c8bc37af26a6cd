from __future__ import annotations

import pytest

from toolkit.measure import disturbance
from toolkit.measure.disturbance import Observed
from toolkit.units import THIN


def observed(**parts: object) -> Observed:
    quiet: dict[str, object] = {
        "steal": [0.0] * 14,
        "others": [0.02] * 14,
        "frequency": [],
        "spare": 0,
        "seconds": 15.0,
    }
    return Observed(**{**quiet, **parts})  # type: ignore[arg-type]


def test_a_quiet_run_has_nothing_to_say() -> None:
    assert disturbance.verdict(observed()) == []


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (
            {"others": [0.4] * 12 + [0.0] * 2},
            "other processes used 40 % of a core in 12 of 14 process starts: "
            "close them, or give --time 60s",
        ),
        (
            {"steal": [0.1] * 3 + [0.0] * 11},
            "the hypervisor took 10 % of the cores' time in 3 of 14 process starts: "
            "give --time 60s, or use a machine with cores of its own",
        ),
        (
            {"frequency": [3400.0, 2800.0, 3300.0]},
            "the cores ran at 2800 to 3400 MHz: "
            "hold the clock with `sudo cpupower frequency-set -g performance`",
        ),
    ],
    ids=["others", "steal", "frequency"],
)
def test_each_disturbance_names_what_to_do(parts: dict[str, object], line: str) -> None:
    assert [text.replace(THIN, " ") for text in disturbance.verdict(observed(**parts))] == [line]


def test_load_on_cores_that_are_free_disturbs_nobody() -> None:
    assert disturbance.verdict(observed(others=[1.5] * 14, spare=6)) == []
