"""Cold start as stacked bars."""

from __future__ import annotations

from toolkit.report import palette
from toolkit.report.grids import machines
from toolkit.report.plots import stacked
from toolkit.report.plots.base import Plot, in_order
from toolkit.report.plots.stacked import Bar, Part
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import timed

READING = (
    "Import the library, load the model, answer once; new shape is the first call at another size "
    "than the first. Point at a part for its range."
)


def draw(view: View) -> Plot | None:
    """One bar a target: import, load, first call, new shape."""
    shown = [one for one in in_order(view) if bar(one).total]
    if not shown:
        return None
    return Plot(
        name="cold-start",
        title="From a fresh process to the first answer",
        reading=READING,
        spec=stacked.draw([*map(bar, shown)], palette.STAGES, "medians over process starts"),
        grid=machines.cold(shown),
    )


def bar(one: ShownTarget) -> Bar:
    """From the start of the process to the last of its parts."""
    parts = [(stage, part, timed(part)) for stage, part in one.cold.parts().items() if part]
    return Bar(
        one.name,
        tuple(
            Part(stage, p.middle, f"{middle} ({around})") for stage, p, (middle, around) in parts
        ),
    )
