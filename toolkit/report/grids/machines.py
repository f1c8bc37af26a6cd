"""Tables of what a target costs and what the machine did: cold start, memory, noise, warnings."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.records.schema import Generation
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import Spread, figure, listed, printable, timed
from toolkit.units import THIN, duration, percent, size

COLD_HEAD = (
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


def cold(targets: Iterable[ShownTarget]) -> Grid:
    """Cold start and memory, median and range over the process starts.

    Before them stands the conversion of the model, which a runtime makes once; that column is left
    out where no runtime made one.
    """
    known = [t for t in targets if any(t.cold.parts().values()) or t.use.resident]
    head: tuple[str, ...] = COLD_HEAD
    rows: list[tuple[str, ...]] = [
        (
            target.name,
            conversion_text(target),
            *(time_range(part) for part in target.cold.parts().values()),
            time_range(target.cold.steady_after),
            memory_range(target.use.resident),
            memory_range(target.use.peak),
        )
        for target in known
    ]
    if all(conversion_text(target) == NONE for target in known):
        head = (head[0], *head[2:])
        rows = [(row[0], *row[2:]) for row in rows]
    return Grid(head, tuple(rows), frozenset(range(1, len(head))))


def conversion_text(target: ShownTarget) -> str:
    """'1.52 s → 35.2 KB': how long it took, and the size of what it made."""
    conversion = target.record.conversion if target.record else None
    if conversion is None:
        return NONE
    return f"{duration(conversion.seconds)} → {size(conversion.size)}"


def time_range(part: Spread | None) -> str:
    """'150 ms (140 to 170)', from seconds."""
    if part is None:
        return NONE
    middle, around = timed(part)
    return f"{middle} ({around})"


def memory_range(part: Spread | None) -> str:
    """'12.1 MB (11.9 MB to 12.4 MB)', from bytes; a worker may also hold less than before."""
    if part is None:
        return NONE
    low, middle, high = (signed_size(value) for value in (part.low, part.middle, part.high))
    # Rounded, the ends may be the same words, which are no range.
    return middle if low == high else f"{middle} ({low} to {high})"


def signed_size(value: float) -> str:
    """'−1.2 MB': bytes that may be negative."""
    return f"{'−' if value < 0 else ''}{size(round(abs(value)))}"


def machine(view: View) -> Grid:
    """The machine during each process start; with a column of its GPUs where it has any."""
    on_gpu = any(generation.devices for generation in view.run.generations)
    rows = [
        (
            str(generation.number),
            f"{generation.started:.1f} to {generation.ended:.1f}{THIN}s",
            ", ".join(map(str, generation.cores)),
            steal(generation),
            figure(generation.others, 2),
            busiest(generation),
            *([gpus(generation)] if on_gpu else []),
            "yes" if generation.counted else "no",
        )
        for generation in view.run.generations
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
        "counts",
    )
    return Grid(head, tuple(rows), frozenset({0, 1, 3, 4}))


def steal(generation: Generation) -> str:
    """The time that the hypervisor gave to others, in per cent."""
    share = generation.steal
    return figure(share if isinstance(share, str) else share * 100, 2)


def busiest(generation: Generation) -> str:
    """'cc1plus 40 %': the process, not one of ours, that used most of a core."""
    if not generation.busy:
        return NONE
    first = generation.busy[0]
    return f"{printable(first.name)} {percent(first.cores)}"


def gpus(generation: Generation) -> str:
    """'1980 MHz, 54 °C, held down by its power limit', for each GPU."""
    states = []
    for device in generation.devices:
        state = f"{device.clock:.0f}{THIN}MHz, {device.temperature:.0f}{THIN}°C"
        held = [printable(reason) for reason in device.throttled]
        states.append(f"{state}, held down by {listed(held)}" if held else state)
    return "; ".join(states) or NONE


def notes(view: View) -> Grid:
    """Every warning with its meaning and its cure."""
    rows = [
        (note.where or "the run", f"{note.kind}: {note.detail}", note.advice.means, note.advice.do)
        for note in view.notes
    ]
    return Grid(("where", "seen", "what it means", "what to do"), tuple(rows))
