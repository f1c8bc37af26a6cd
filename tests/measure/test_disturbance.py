from __future__ import annotations

import pytest

from toolkit.machine.facts import BusyProcess
from toolkit.measure import disturbance
from toolkit.measure.disturbance import Observed, Rounds
from toolkit.units import THIN


def busy(name: str, cores: float, core: int, pid: int | None = None) -> BusyProcess:
    return BusyProcess(name=name, cores=cores, core=core, pid=pid)


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
            {
                "others": [0.4] * 3 + [0.0],
                "busy": [[busy("cc1plus", 0.35, 1, 4711)]] * 3 + [[]],
                "rounds": Rounds(12, 60),
            },
            "'cc1plus' (PID 4711, not of this run) used 35 % of core 1 in 3 of 4 process starts, "
            "and the targets waited for their core in 12 of 60 rounds: "
            "close it, or give --time 60s",
        ),
        (
            {
                "others": [0.5, 0.5],
                "busy": [[busy("make", 0.4, 0, 7)], [busy("make", 0.5, 1, 8)]],
            },
            "'make' (not of this run) used 45 % of a core in 2 of 2 process starts: "
            "close it, or give --time 60s",
        ),
        (
            {"others": [0.5, 0.5], "busy": [[busy("another user's process", 0.5, 0)]] * 2},
            "another user's process used 50 % of core 0 in 2 of 2 process starts: give --time 60s",
        ),
        (
            {"others": [0.6] * 2, "busy": [[busy("a", 0.2, 0), busy("b", 0.1, 0)]] * 2},
            "other processes used 60 % of a core in 2 of 2 process starts: "
            "close them, or give --time 60s",
        ),
        (
            {"rounds": Rounds(40, 280)},
            "the targets waited for their core in 40 of 280 rounds: give --time 60s",
        ),
        (
            {"devices": [[], ["its power limit"], ["its power limit", "its temperature"]]},
            "the GPU's clock was held down by its power limit and its temperature in 2 of 3 "
            "process starts: let it cool, or lock its clock with `nvidia-smi -lgc`",
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
    ids=[
        "others",
        "one of them",
        "on several cores",
        "another user's",
        "nobody stands out",
        "nobody seen",
        "gpu",
        "steal",
        "frequency",
    ],
)
def test_each_disturbance_names_what_to_do(parts: dict[str, object], line: str) -> None:
    assert [text.replace(THIN, " ") for text in disturbance.verdict(observed(**parts))] == [line]


def test_a_wait_now_and_then_is_nothing_to_say() -> None:
    assert disturbance.verdict(observed(rounds=Rounds(3, 280))) == []


def test_load_on_cores_that_are_free_disturbs_nobody() -> None:
    assert disturbance.verdict(observed(others=[1.5] * 14, spare=6)) == []
