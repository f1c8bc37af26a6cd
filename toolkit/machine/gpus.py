"""Reads the clock and the temperature of NVIDIA GPUs, and what holds the clock down."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from toolkit.machine.facts import GpuState

REASONS = {
    "SwPowerCap": "its power limit",
    "HwSlowdown": "the board",
    "SwThermalSlowdown": "its temperature",
    "HwThermalSlowdown": "its temperature, by the board",
    "HwPowerBrakeSlowdown": "the power supply",
    "SyncBoost": "another GPU of its group",
}
"""The end of NVML's name of a reason → the reason in words. Idleness and a clock that the user set
hold nothing down."""


@contextmanager
def driver() -> Iterator[Any]:
    """Yields NVIDIA's library (pynvml); None where its driver is missing."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        yield None
        return
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def states(numbers: Collection[int]) -> list[GpuState]:
    """Reads the GPUs of these numbers; empty for none, and without NVIDIA's driver."""
    if not numbers:
        return []
    with driver() as nvml:
        if nvml is None:
            return []
        try:
            handles = map(nvml.nvmlDeviceGetHandleByIndex, sorted(numbers))
            return [_state(nvml, handle) for handle in handles]
        except nvml.NVMLError:  # A virtual GPU, or a slice of one, need not tell.
            return []


def _state(nvml: Any, handle: Any) -> GpuState:
    name = nvml.nvmlDeviceGetName(handle)
    return GpuState(
        name=name.decode() if isinstance(name, bytes) else name,
        clock=float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        temperature=float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        throttled=reasons(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
    )


def reasons(nvml: Any, bits: int) -> list[str]:
    """Says a set of NVML's bits in words."""
    held = [
        words
        for name, words in REASONS.items()
        if bits & getattr(nvml, f"nvmlClocksThrottleReason{name}")
    ]
    return list(dict.fromkeys(held))
