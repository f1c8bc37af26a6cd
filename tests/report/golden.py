"""Golden reports; `python -m tests.report.golden` writes them anew."""

from __future__ import annotations

from pathlib import Path

from tests.report import runs
from toolkit.report import markdown, terminal
from toolkit.report.summary import summarize
from toolkit.report.view import View

FOLDER = Path(__file__).parent / "golden"


def views() -> dict[str, View]:
    """Name of the golden file → the view that it shows."""
    one = summarize(*runs.made(runs.TWO))
    mixed = summarize(*runs.made(runs.MIXED, runs.Shape(warnings=(runs.EARLY,))))
    sweep = summarize(*runs.made(runs.SWEEP, runs.Shape(batches=(1, 8), seed=3)))
    short = summarize(*runs.made(runs.TWO, runs.Shape(starts=4, state="interrupted")))
    return {"two": one, "mixed": mixed, "sweep": sweep, "short": short}


def texts() -> dict[str, str]:
    """File name → content."""
    made = views()
    return {
        **{f"{name}.txt": terminal.render(view) for name, view in made.items()},
        **{f"{name}.md": markdown.render(view) for name, view in made.items()},
    }


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
