"""Reads the folder of a run with all that reads one: `report`, `compare` and `bench --resume`."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, TypeAlias
from unittest import mock
from xml.etree import ElementTree

import click
import vl_convert

from benchmarks.fuzz import outcomes
from benchmarks.fuzz.outcomes import Outcome
from toolkit.cli.bench import command as bench
from toolkit.errors import ToolkitError
from toolkit.pipelines import compare
from toolkit.plaintext import INVISIBLE
from toolkit.records import store
from toolkit.report import compared, csv, files, markdown, page, plots, terminal
from toolkit.report.compared import Gates
from toolkit.report.plots import Plot
from toolkit.report.summary import summarize
from toolkit.report.view import View

GATES = Gates(slower=0.03, worse=True, strict=True)
MARKUP = "<script>alert"
"""Begins a program that a text of a damaged record holds; no page may have it as markup."""


CODE = re.compile(r"^(`{3,})\n.*?\n\1$", re.DOTALL | re.MULTILINE)
DRAWS = "draws"
"""Stands in the folder of a case whose plots are drawn: one in four, since that is most of its
time."""
Draw: TypeAlias = Callable[[View], Sequence[Plot]]


def read(folder: Path, sound: Path, draw: Draw = plots.draw) -> Outcome:
    """Reads a run in every way, beside one that is sound. The outcome is that of the report; a
    comparison, or a run that goes on, may be refused in one line, too. `draw` makes the plots."""
    said = [
        _refused(step)
        for step in (
            lambda: show(folder, draw),
            lambda: compare_with(sound, folder),
            lambda: resume(folder),
        )
    ]
    for words in said:
        if "\n" in words:
            return "bug", f"several lines: {words!r}"
    return ("refused", said[0]) if said[0] else ("read", "; ".join(filter(None, said)))


def _refused(step: Callable[[], object]) -> str:
    """The words with which a step refuses a run; empty where it reads it."""
    try:
        step()
    except ToolkitError as error:
        outcome, what = outcomes.refused(error)
        return what if outcome == "refused" else f"{what}\n"
    return ""


def may_draw(folder: Path, draw: Random) -> None:
    """Draws lots whether the plots of a case are drawn."""
    if draw.random() < 0.25:
        (folder / DRAWS).touch()


def show(folder: Path, draw: Draw) -> None:
    """`toolkit report` in each of its forms."""
    run = store.read(folder)
    demand_lines(*store.damage(folder))
    store.encode(run)
    view = summarize(run, store.read_samples(folder))
    demand_lines(*terminal.render(view).splitlines(), *markdown.render(view).splitlines())
    demand_lines(*csv.render(view).splitlines())
    # Once: a report draws for its page and for its Markdown.
    drawn = draw(view) if (folder.parent / DRAWS).exists() else ()
    with mock.patch.object(page, "draw", return_value=drawn):
        with mock.patch.object(files, "draw", return_value=drawn):
            files.write(view, folder)
    for name in (files.PAGE, files.MARKDOWN):
        # What stands in a block of code is no markup: the command of the run, in the Markdown.
        if MARKUP in CODE.sub("", (folder / name).read_text("utf-8")):
            raise ValueError(f"a text of the record is markup in {name}")


def compare_with(old: Path, new: Path) -> None:
    """`toolkit compare` of two runs, with all gates."""
    done = compare.compare(old, new)
    rulings = compared.rulings(done.pairings, GATES)
    shown = compared.terminal(
        done.pairings, rulings, columns=80, colour=False, notes=done.notes, decision=done.decision
    )
    demand_lines(*shown.splitlines())
    parts = (done.title, done.pairings, rulings, done.notes, done.decision)
    compared.markdown(*parts).encode()
    compared.json(*parts).encode()
    ElementTree.fromstring(compared.junit(done.title, rulings, done.decision))


def resume(folder: Path) -> None:
    """`toolkit bench --resume`, up to where it would need the model: that is not here."""
    try:
        bench.main(["--resume", str(folder)], prog_name="toolkit bench", standalone_mode=False)
    except click.ClickException as error:
        raise ToolkitError(error.format_message()) from error


def demand_lines(*lines: str) -> None:
    """Raises ValueError for a line with a control character."""
    for line in lines:
        if any(unicodedata.category(letter) in INVISIBLE for letter in line):
            raise ValueError(f"a line cannot be printed: {line[:80]!r}")


def draw_once() -> None:
    """Lets Vega draw, and Altair check, from memory what they had before: that is nine tenths of
    the time of a case, and most of a damaged run's plots are those of a sound one."""
    from altair.utils import schemapi

    for name in ("vegalite_to_svg", "vegalite_to_vega"):
        setattr(vl_convert, name, _remembered(getattr(vl_convert, name)))
    schemapi.validate_jsonschema = _checked_once(schemapi.validate_jsonschema)


def _remembered(draw: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @lru_cache(maxsize=512)
    def drawn(spec: str) -> Any:
        return draw(json.loads(spec))

    return lambda spec: drawn(json.dumps(spec))


def _checked_once(check: Callable[..., Any]) -> Callable[..., Any]:
    """A check of Altair's that remembers what it found sound."""
    sound: set[tuple[str, str, int]] = set()

    def checked(spec: Any, schema: Any, rootschema: Any = None, *, raise_error: bool = True) -> Any:
        # A schema is part of a class of Altair's, and lives as long as that.
        key = (json.dumps(spec, default=repr), json.dumps(schema), id(rootschema))
        if key in sound:
            return None
        error = check(spec, schema, rootschema=rootschema, raise_error=raise_error)
        if error is None and len(sound) < 20_000:
            sound.add(key)
        return error

    return checked
