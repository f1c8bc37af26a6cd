"""Tests the tables of words without a form yet."""

from __future__ import annotations

import msgspec

from tests.report import runs
from toolkit.machine.facts import BusyProcess, GpuState
from toolkit.report.grids import machines
from toolkit.report.summary import summarize
from toolkit.units import THIN


def test_the_machine_is_told_with_who_was_busy_and_the_state_of_its_gpu() -> None:
    run, _ = runs.make(runs.TWO, runs.Shape(starts=2))
    cool = GpuState(name="H100", clock=1980.0, temperature=54.4, throttled=[])
    hot = GpuState(name="H100", clock=1410.0, temperature=88.0, throttled=["its temperature"])
    first, second = run.generations
    run = msgspec.structs.replace(
        run,
        generations=[
            msgspec.structs.replace(
                first, busy=[BusyProcess(name="cc1\x1bplus", cores=0.4, core=1)], devices=[cool]
            ),
            msgspec.structs.replace(second, devices=[hot]),
        ],
    )

    grid = machines.machine(summarize(run))

    starts = [dict(zip(grid.head, row, strict=True)) for row in grid.rows]
    assert [row["busiest, of a core"].replace(THIN, " ") for row in starts] == [
        "cc1\ufffdplus 40 %",
        "–",
    ]
    assert [row["GPU"].replace(THIN, " ") for row in starts] == [
        "1980 MHz, 54 °C",
        "1410 MHz, 88 °C, held down by its temperature",
    ]


def test_a_machine_without_a_gpu_has_no_column_for_it() -> None:
    run, _ = runs.make(runs.TWO, runs.Shape(starts=2))

    assert "GPU" not in machines.machine(summarize(run)).head
