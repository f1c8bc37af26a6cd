"""What it cost and what the machine did: tables of cold starts, memory, noise and warnings."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.records.schema import Generation
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import Spread, figure, listed, printable, timed
from toolkit.units import THIN, duration, percent, size


def cold(targets: Sequence[ShownTarget]) -> Grid:
    """Cold start and memory, median and range over the process starts; and what a runtime made of
    the model before that, once, where one did."""
    shown = [one for one in targets if any(one.cold.parts().values()) or one.use.resident]
    rows = [
        (
            one.name,
            conversion(one),
            *(time_range(part) for part in one.cold.parts().values()),
            time_range(one.cold.steady_after),
            memory_range(one.use.resident),
            memory_range(one.use.peak),
        )
        for one in shown
    ]
    head: tuple[str, ...] = (
        "target",
        "converted once",
        "import",
        "load",
        "first call",
        "new shape",
        "steady after",
        "memory above idle",
        "at its peak",
    )
    if all(conversion(one) == NONE for one in shown):
        head = (head[0], *head[2:])
        rows = [(row[0], *row[2:]) for row in rows]
    return Grid(head, tuple(rows), frozenset(range(1, len(head))))


def conversion(one: ShownTarget) -> str:
    """'1.52 s → 35.2 KB'."""
    made = one.record.conversion if one.record else None
    return NONE if made is None else f"{duration(made.seconds)} → {size(made.size)}"


def time_range(part: Spread | None) -> str:
    """'150 ms (140 to 170)'."""
    if part is None:
        return NONE
    middle, around = timed(part)
    return f"{middle} ({around})"


def memory_range(part: Spread | None) -> str:
    """'12.1 MB (11.9 MB to 12.4 MB)'; a worker may also hold less than before."""
    if part is None:
        return NONE
    low, middle, high = (signed_size(value) for value in (part.low, part.middle, part.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def signed_size(value: float) -> str:
    return f"{'−' if value < 0 else ''}{size(round(abs(value)))}"


def machine(view: View) -> Grid:
    """The machine during each process start."""
    on_gpu = any(one.devices for one in view.run.generations)
    rows = [
        (
            str(one.number),
            f"{one.started:.1f} to {one.ended:.1f}{THIN}s",
            ", ".join(map(str, one.cores)),
            figure(one.steal if isinstance(one.steal, str) else one.steal * 100, 2),
            figure(one.others, 2),
            busiest(one),
            *([gpus(one)] if on_gpu else []),
            "yes" if one.counted else "no",
        )
        for one in view.run.generations
    ]
    gpu = ("GPU",) if on_gpu else ()
    head = (
        "process start",
        "time",
        "cores",
        "steal, %",
        "other load, cores",
        "busiest, of a core",
        *gpu,
    )
    return Grid((*head, "counts"), tuple(rows), frozenset({0, 1, 3, 4}))


def busiest(one: Generation) -> str:
    """'cc1plus 40 %': the process that is not ours and took most, of a core."""
    if not one.busy:
        return NONE
    first = one.busy[0]
    return f"{printable(first.name)} {percent(first.cores)}"


def gpus(one: Generation) -> str:
    """'1980 MHz, 54 °C, held down by its power limit'."""
    said = []
    for device in one.devices:
        state = f"{device.clock:.0f}{THIN}MHz, {device.temperature:.0f}{THIN}°C"
        held = [printable(reason) for reason in device.throttled]
        said.append(f"{state}, held down by {listed(held)}" if held else state)
    return "; ".join(said) or NONE


def notes(view: View) -> Grid:
    """Every warning with its cure."""
    rows = [
        (one.where or "the run", f"{one.kind}: {one.detail}", one.advice.means, one.advice.do)
        for one in view.notes
    ]
    return Grid(("where", "seen", "what it means", "what to do"), tuple(rows))
