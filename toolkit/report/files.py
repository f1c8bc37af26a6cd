"""Writes the files of a report into the folder of its run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.records import untrusted
from toolkit.report import markdown, page
from toolkit.report.plots import Plot, draw
from toolkit.report.svg import svg
from toolkit.report.view import View

MARKDOWN, PAGE = "report.md", "report.html"


def write(view: View, folder: Path) -> Path:
    """Writes report.md with its plots, and report.html; returns the path of the page.

    Raises InputError where the folder cannot be written to.
    """
    plots = draw(view)
    write_markdown(view, folder / MARKDOWN, plots)
    return write_page(view, folder / PAGE, plots)


def write_markdown(view: View, file: Path, plots: Sequence[Plot] | None = None) -> None:
    """Writes the Markdown, and beside it an SVG for each plot. Raises InputError.

    `plots` are those of the view; None: they are drawn here.
    """
    if plots is None:
        plots = draw(view)
    for plot in plots:
        untrusted.write(file.with_name(f"{plot.name}.svg"), svg(plot).encode())
    pictures = [markdown.Picture(f"{plot.name}.svg", plot.title, plot.reading) for plot in plots]
    untrusted.write(file, markdown.render(view, pictures).encode())


def write_page(view: View, file: Path, plots: Sequence[Plot] | None = None) -> Path:
    """Writes the page and returns its path. Raises InputError. `plots` as in `write_markdown`."""
    untrusted.write(file, page.render(view, plots).encode())
    return file
