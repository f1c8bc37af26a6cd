from __future__ import annotations

from pathlib import Path

from toolkit.doctor import clock
from toolkit.doctor.finding import Severity
from toolkit.units import THIN


def plain(text: str) -> str:
    return text.replace(THIN, " ")


def test_a_fine_clock_is_fine(tmp_path: Path) -> None:
    (finding,) = clock.check(40e-9, tmp_path)
    assert (finding.severity, plain(finding.what)) == (Severity.OK, "steps of 40.0 ns")


def sources(root: Path, current: str, available: str) -> Path:
    folder = root / clock.SOURCES
    folder.mkdir(parents=True)
    (folder / "current_clocksource").write_text(current + "\n")
    (folder / "available_clocksource").write_text(available + "\n")
    return root


def test_a_coarse_clock_names_the_finer_source(tmp_path: Path) -> None:
    (finding,) = clock.check(2e-6, sources(tmp_path, "acpi_pm", "tsc hpet acpi_pm"))
    assert finding.severity is Severity.NOTE
    assert plain(finding.what) == (
        "steps of 2.00 µs (clock source acpi_pm): too coarse for calls of microseconds"
    )
    assert finding.cures == (
        "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
        "toolkit bench --batch 64    makes the calls longer",
    )


def test_a_clock_without_a_finer_source_asks_for_longer_calls(tmp_path: Path) -> None:
    (finding,) = clock.check(0.0, sources(tmp_path, "hpet", "hpet acpi_pm"))
    assert finding.what.startswith("it did not move while it was watched (clock source hpet)")
    assert finding.cures == ("toolkit bench --batch 64    makes the calls longer",)
