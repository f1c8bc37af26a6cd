"""The plots of a report: one Altair specification each, for the page and as SVG.

No plot says more than its table, which stands beside it for those who cannot see it.
"""

from __future__ import annotations

from toolkit.report.plots import answers, cold, distribution, heat, machine, parts, ratios, scaling
from toolkit.report.plots.base import Plot
from toolkit.report.scaling import scalings
from toolkit.report.throughput import heats
from toolkit.report.view import View

__all__ = ["Plot", "draw"]


def draw(view: View) -> tuple[Plot, ...]:
    """All plots of a run, in the order of the page; none that would be empty."""
    plots = [
        *(ratios.draw(view, table) for table in view.tables),
        *(scaling.draw(view, curves) for curves in scalings(view.run, view.tables)),
        *(heat.draw(each) for each in heats(view.run, view.tables)),
        *(parts.draw(view, table) for table in view.tables),
        cold.draw(view),
        *(distribution.draw(view, table) for table in view.tables),
        answers.draw(view),
        *(machine.over_time(view, table) for table in view.tables),
        machine.load(view),
    ]
    return tuple(plot for plot in plots if plot is not None)
