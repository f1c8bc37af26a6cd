"""The files of a report, in the folder of its run."""

from __future__ import annotations

from pathlib import Path

from toolkit.records import store
from toolkit.report import markdown, page
from toolkit.report.plots import draw
from toolkit.report.svg import svg
from toolkit.report.view import View

MARKDOWN, PAGE = "report.md", "report.html"


def write(view: View, folder: Path) -> Path:
    """report.md with its plots and report.html; returns the page. Raises InputError."""
    write_markdown(view, folder / MARKDOWN)
    return write_page(view, folder / PAGE)


def write_markdown(view: View, file: Path) -> None:
    """The Markdown, and beside it an SVG for each plot."""
    plots = draw(view)
    for plot in plots:
        store.write(file.with_name(f"{plot.name}.svg"), svg(plot).encode())
    shown = [(f"{plot.name}.svg", plot.title, plot.reading) for plot in plots]
    store.write(file, markdown.render(view, shown).encode())


def write_page(view: View, file: Path) -> Path:
    """The page."""
    store.write(file, page.render(view).encode())
    return file
