"""Draws cold starts as stacked bars."""

from __future__ import annotations

from toolkit.report import palette
from toolkit.report.grids import machines
from toolkit.report.plots import stacked
from toolkit.report.plots.base import Plot, in_order
from toolkit.report.plots.stacked import Bar, Part
from toolkit.report.view import ShownTarget, View

READING = (
    "Import the library, load the model, answer once; new shape is the first call at another size "
    "than the first. Point at a part for its range."
)


def draw(view: View) -> Plot | None:
    """One bar a target: import, load, first call, new shape. None where none was measured."""
    measured = [target for target in in_order(view) if target.cold.total]
    if not measured:
        return None
    return Plot(
        name="cold-start",
        title="From a fresh process to the first answer",
        reading=READING,
        spec=stacked.draw([*map(bar, measured)], palette.STAGES, "medians over process starts"),
        grid=machines.cold(measured),
    )


def bar(target: ShownTarget) -> Bar:
    """The stages of a start, from that of the process on."""
    stages = [
        Part(stage, part.middle, machines.time_range(part))
        for stage, part in target.cold.parts().items()
        if part
    ]
    return Bar(target.name, tuple(stages))
