"""Makes the golden reports; `python -m tests.report.golden` writes them anew."""

from __future__ import annotations

from pathlib import Path

from tests.report import runs
from toolkit.report import markdown, terminal
from toolkit.report.summary import summarize
from toolkit.report.view import View

FOLDER = Path(__file__).parent / "golden"


def views() -> dict[str, View]:
    """Stem of the golden files → the view that they show."""
    two = summarize(*runs.make(runs.TWO))
    mixed = summarize(*runs.make(runs.MIXED, runs.Shape(warnings=(runs.EARLY,))))
    sweep = summarize(*runs.make(runs.SWEEP, runs.Shape(batches=(1, 8), seed=3)))
    short = summarize(*runs.make(runs.TWO, runs.Shape(starts=4, state="interrupted")))
    return {"two": two, "mixed": mixed, "sweep": sweep, "short": short}


def texts() -> dict[str, str]:
    """Name of the golden file → its content."""
    shown = views()
    return {
        **{f"{name}.txt": terminal.render(view) for name, view in shown.items()},
        **{f"{name}.md": markdown.render(view) for name, view in shown.items()},
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
