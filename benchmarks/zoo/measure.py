"""Exports the zoo's architectures with bare PyTorch and with toolkit, and judges both files.

    python -m benchmarks.zoo                 what is not in the ledger yet
    python -m benchmarks.zoo hf_bert unet    these, anew
    python -m benchmarks.zoo --table

Whole processes, imports and building included; seconds of the clock and of the processor, all
processes together. The latter hardly depend on what else runs. A model that takes longer than
LIMIT counts as refused. Both files are judged by `judged.py`, which uses nothing of toolkit's own
proof.
"""

from __future__ import annotations

import itertools
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import ledger
from benchmarks.ledger import Ledger, Line
from benchmarks.zoo import listing
from benchmarks.zoo.entry import Entry
from benchmarks.zoo.minimal import REASONS

ROOT = Path(__file__).parent.parent.parent
TOOLKIT = Path(sys.executable).with_name("toolkit")
LIMIT = 900.0
"""Seconds for one command."""
SUMMARY = "## Exception summary"
"""The heading under which torch's exporter repeats the first cause of its traceback."""
BOOK = ledger.RESULTS / "zoo.jsonl"


@dataclass(frozen=True)
class Ended:
    """A command that ended, or was stopped (code None)."""

    code: int | None
    seconds: float
    processor: float
    """Seconds of the processor, those of the processes that it started included."""
    output: str
    errors: str


def run(command: Sequence[str]) -> Ended:
    """Runs a command for at most LIMIT seconds."""
    began, used = time.monotonic(), processor_time()
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=ledger.environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return Ended(None, LIMIT, processor_time() - used, "", "took too long")
    seconds = time.monotonic() - began
    return Ended(ended.returncode, seconds, processor_time() - used, ended.stdout, ended.stderr)


def processor_time() -> float:
    """Seconds of the processor of all commands so far that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def exported(command: Sequence[str]) -> dict[str, Any]:
    """Exports with one of the two; the outcome has a verdict where no file came out."""
    export = run(command)
    outcome: dict[str, Any] = {
        "seconds": round(export.seconds, 2),
        "processor": round(export.processor, 2),
    }
    if export.code != 0:
        outcome |= {"verdict": "refused", "says": refusal(export.errors), "code": export.code}
    return outcome


def judged(entry: Entry, files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """The verdict on each file, all in one process, which imports and builds once."""
    names = [name for name, file in files.items() if file.exists()]
    if not names:
        return {}
    judge = [sys.executable, "-m", "benchmarks.zoo.judged", entry.group, entry.name]
    ended = run([*judge, *(str(files[name]) for name in names)])
    verdicts: list[dict[str, Any]] = [
        json.loads(line) for line in ended.output.splitlines() if line.startswith("{")
    ]
    unjudged: dict[str, Any] = {"verdict": "not judged", "says": refusal(ended.errors)}
    lacking = itertools.repeat(unjudged)
    return dict(zip(names, itertools.chain(verdicts, lacking), strict=False))


def refusal(errors: str) -> str:
    """The paragraph of toolkit's error, torch's own summary, or the last line of a traceback."""
    lines = [line for line in errors.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if line.startswith("error")), None)
    summary = next((i for i, line in enumerate(lines) if line.startswith(SUMMARY)), None)
    if start is not None:
        chosen = lines[start:]
    elif summary is not None:
        chosen = lines[summary + 1 : summary + 2]
    else:
        chosen = lines[-1:]
    return without_folders(" | ".join(line.strip() for line in chosen))[:700]


def without_folders(text: str) -> str:
    """The text with files by their names alone: a ledger tells no path of a machine."""
    return re.sub(r"(?:/[\w.+-]+)+/([\w.+-]+)", r"\1", text)


def measure(entry: Entry, kept: Mapping[str, Any] | None) -> Line:
    """Both exports of one entry; `kept` is what bare torch gave before, where it is kept."""
    with tempfile.TemporaryDirectory(prefix="zoo-") as scratch:
        files = {who: Path(scratch) / f"{who}.onnx" for who in ("bare", "ours")}
        stated = [word for text in entry.inputs for word in ("--input", text)]
        bare = [sys.executable, "-m", "benchmarks.zoo.bare", entry.group, entry.name]
        own = [str(TOOLKIT), "export", entry.source, *stated, "-o", str(files["ours"])]
        outcomes = {
            "bare": dict(kept) if kept else exported([*bare, str(files["bare"])]),
            "ours": exported(own),
        }
        verdicts = judged(entry, files)
        return {
            "model": entry.name,
            "group": entry.group,
            **ledger.stamp(),
            **{who: {**outcome, **verdicts.get(who, {})} for who, outcome in outcomes.items()},
        }


def table(lines: Sequence[Line]) -> str:
    """Counts, the reasons of torch's wrong files, and of each model both verdicts, as Markdown."""
    every = listing.every()
    newest = ledger.newest(lines)
    lines = [line for line in newest if line["group"] != "minimal"]
    counts = {who: Counter(line[who]["verdict"] for line in lines) for who in ("bare", "ours")}
    both = [line for line in lines if line["bare"]["verdict"] == line["ours"]["verdict"] == "right"]
    ratios = [line["ours"]["processor"] / line["bare"]["processor"] for line in both] or [0.0]
    ratio = statistics.median(ratios)
    rows = [
        f"{len(lines)} of {len(every) - len(REASONS)} architectures so far. Where both files are"
        f" right, an export with its proof takes {ratio:.2f} times the processor time of a bare one"
        " (median).",
        "",
        "| | right | wrong at a size that the module takes | refused |",
        "|---|---|---|---|",
        *(
            f"| {label} | {counts[who]['right']} | {counts[who]['wrong']} |"
            f" {len(lines) - counts[who]['right'] - counts[who]['wrong']} |"
            for who, label in (("bare", "`torch.onnx.export`"), ("ours", "`toolkit export`"))
        ),
        "",
        "The smallest modules of which torch alone writes a wrong file, without a word"
        " ([their code](../benchmarks/zoo/minimal.py)), with the reason and the models that meet"
        " it:",
        "",
        "| module | reason | models | `torch.onnx.export` | `toolkit export` |",
        "|---|---|---|---|---|",
        *(_reason(line, every) for line in newest if line["group"] == "minimal"),
        "",
        "| model | kind | `torch.onnx.export` | `toolkit export` |",
        "|---|---|---|---|",
    ]
    for line in sorted(lines, key=lambda line: (line["group"], line["model"])):
        cells = [line["model"], line["group"], _cell(line["bare"]), _cell(line["ours"])]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _reason(line: Line, every: Mapping[str, Entry]) -> str:
    """The row of a minimal module."""
    reason = REASONS[line["model"]]
    what = str(every[line["model"]].factory.__doc__).rstrip(".")
    cells = [what, reason.text, ", ".join(reason.models), _cell(line["bare"]), _cell(line["ours"])]
    return f"| {' | '.join(cells)} |"


def _cell(result: Mapping[str, Any]) -> str:
    """A verdict, with its reason or with the processor time that it took."""
    if result["verdict"] == "right":
        return f"right, {result['processor']:.0f} s"
    reason = result["says"].split(" | ")[0].removeprefix("error: ")
    return f"{result['verdict']}: {_plain(reason)[:200]}"


def _plain(text: str) -> str:
    """The text without what Markdown reads as marks."""
    return re.sub(r"[|`*_<>\[\]]", lambda mark: "&#" + str(ord(mark[0])) + ";", text)


@click.command()
@click.argument("names", nargs=-1)
@click.option("--group", help="Only the models of this kind.")
@click.option("--ours", "only_ours", is_flag=True, help="Keep what bare torch gave before.")
@click.option("--table", "shows", is_flag=True, help="Print the newest results and stop.")
@click.option("--ledger", "path", type=click.Path(path_type=Path), default=BOOK)
def main(
    names: tuple[str, ...], group: str | None, only_ours: bool, shows: bool, path: Path
) -> None:
    """Measures the named models, or those that are not in the ledger yet."""
    book = Ledger(path)
    if shows:
        click.echo(table(book.lines()))
        return
    entries = listing.every()
    chosen = names or tuple(
        name
        for name, entry in entries.items()
        if group in (None, entry.group) and name not in {line["model"] for line in book.lines()}
    )
    for name in chosen:
        earlier = {line["model"]: line["bare"] for line in book.lines()}
        line = measure(entries[name], earlier.get(name) if only_ours else None)
        book.append(line)
        click.echo(
            f"{name:<24}bare {line['bare']['verdict']:<10}{line['bare']['seconds']:6.1f} s"
            f"   toolkit {line['ours']['verdict']:<10}{line['ours']['seconds']:6.1f} s"
            f"   {line['ours']['says'] or line['bare']['says']}"[:400]
        )
