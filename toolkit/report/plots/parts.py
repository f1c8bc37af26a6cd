"""Draws where the time of a call goes, as stacked bars."""

from __future__ import annotations

from toolkit.report import palette
from toolkit.report.grids import latencies
from toolkit.report.plots import stacked
from toolkit.report.plots.base import Plot, at_case, slug
from toolkit.report.plots.stacked import Bar, Part
from toolkit.report.view import Speed, Table, View
from toolkit.units import duration

READING = (
    "Copies are made alone after the blocks of each process start, as the call makes them; compute "
    "is what is left of the call, with the cost of the binding in it."
)


def draw(view: View, table: Table) -> Plot | None:
    """One bar a target: copies in, compute, copies out; or the whole call.

    A call stays whole where its runtime cannot take it apart. None where no runtime can.
    """
    speeds = [(row.target.name, row.speed) for row in table.rows if row.speed]
    # Bars of whole calls would only repeat the table's p50.
    if all(speed.into is None for _, speed in speeds):
        return None
    return Plot(
        name=f"parts-{slug(table.case.name)}",
        title=f"Where the time of a call goes{at_case(table, view)}",
        reading=READING,
        spec=stacked.draw([bar(*speed) for speed in speeds], palette.PARTS, "medians"),
        grid=latencies.parts(table),
    )


def bar(name: str, speed: Speed) -> Bar:
    """The parts of the p50, end to end."""
    parts = speed.parts().items()
    return Bar(name, tuple(Part(kind, length, duration(length)) for kind, length in parts))
