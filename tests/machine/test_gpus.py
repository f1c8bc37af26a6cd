"""The states of GPUs, and what NVML says of their clocks."""

from __future__ import annotations

import pynvml
import pytest

from toolkit.machine import describe, gpus


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, []),
        (pynvml.nvmlClocksThrottleReasonGpuIdle, []),
        (pynvml.nvmlClocksThrottleReasonSwPowerCap, ["its power limit"]),
        (
            pynvml.nvmlClocksThrottleReasonHwSlowdown
            | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
            ["the board", "its temperature, by the board"],
        ),
    ],
    ids=["none", "idle", "power", "two"],
)
def test_the_reasons_in_words(bits: int, words: list[str]) -> None:
    assert gpus.reasons(pynvml, bits) == words


def test_every_gpu_of_this_machine_has_a_state() -> None:
    known = [gpu.name for gpu in describe.graphics()]
    assert [state.name for state in gpus.states(range(len(known)))] == known
    assert gpus.states(()) == []
