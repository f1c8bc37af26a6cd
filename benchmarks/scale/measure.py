"""Measures what export with its proof and check cost on models of real size: time and memory.

    python -m benchmarks.scale mlp bert resnet50
    python -m benchmarks.scale --table

Whole processes, import and building included: a bare `torch.onnx.export`, `toolkit export` and
`toolkit check --target onnxruntime`, one after the other in turns, so that a machine which changes
its speed changes it for all three. Memory is the highest sum of the proportional set sizes of a
command's processes, looked at every 0.1 s; the files of a run are removed at its end.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import psutil

from benchmarks import ledger
from benchmarks.ledger import Ledger, Line
from toolkit.machine.features import features, summary
from toolkit.onnxfiles import modelfile

ROOT = Path(__file__).parent.parent.parent
TOOLKIT = Path(sys.executable).with_name("toolkit")
MLP = "mlp"
"""The reference model: it has a factory and inputs of its own."""
LIMIT = 3600.0
"""Seconds after which a command is ended: it is no result."""
GLANCE = 0.1


@dataclass(frozen=True)
class Used:
    """What one command took."""

    seconds: float
    memory: int
    """The highest sum of the proportional set sizes of its processes, in bytes."""
    code: int


def run(command: Sequence[str], folder: Path) -> Used:
    """Runs a command to its end, and looks at its memory while it runs."""
    began = time.monotonic()
    with open(folder / "output", "w") as output:
        home = ledger.environment(HOME=str(folder))
        process = psutil.Popen(command, cwd=ROOT, stdout=output, stderr=output, env=home)
        highest = 0
        while process.poll() is None:
            highest = max(highest, sum(_proportional(process)))
            if time.monotonic() - began > LIMIT:
                process.kill()
            time.sleep(GLANCE)
    return Used(time.monotonic() - began, highest, process.returncode)


def _proportional(process: psutil.Process) -> Iterator[int]:
    try:
        processes = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in processes:
        try:
            yield each.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def commands(name: str, file: Path) -> dict[str, list[str]]:
    """The three commands for a model, by what they are called."""
    check = [str(TOOLKIT), "check", str(file), "--target", "onnxruntime"]
    if name == MLP:
        bare = ["-m", "benchmarks.scale.bare", MLP, str(file.with_name("bare.onnx"))]
        return {
            "bare": [sys.executable, *bare],
            "export": [str(TOOLKIT), "export", "-o", str(file)],
            "check": check,
        }
    from benchmarks.scale import grown, models

    is_fixed = name in models.INPUTS
    texts = models.INPUTS[name] if is_fixed else grown.inputs(name)
    home = Path(models.__file__ if is_fixed else grown.__file__)
    source = f"{home.relative_to(ROOT)}:{name}"
    inputs = [word for text in texts for word in ("--input", text)]
    bare = ["-m", "benchmarks.scale.bare", name, str(file.with_name("bare.onnx"))]
    return {
        "bare": [sys.executable, *bare],
        "export": [str(TOOLKIT), "export", source, *inputs, "-o", str(file), "--force"],
        "check": check,
    }


def measure(name: str, repeats: int) -> Line:
    """Runs the three commands in turns, so many times each; medians are kept."""
    with tempfile.TemporaryDirectory(prefix="scale-") as scratch:
        folder = Path(scratch)
        file = folder / "model.onnx"
        used: dict[str, list[Used]] = {}
        for _ in range(repeats):
            for kind, command in commands(name, file).items():
                used.setdefault(kind, []).append(run(command, folder))
                click.echo(f"{name:<16}{kind:<8}{used[kind][-1]}")
                if used[kind][-1].code:
                    click.echo((folder / "output").read_text()[-2000:], err=True)
        facts = modelfile.read(file) if file.exists() else None
    return {
        "model": name,
        **ledger.stamp(),
        "processor": summary(features()),
        "weights": None if facts is None else facts.parameters,
        "bytes": None if facts is None else facts.size,
        "repeats": repeats,
        **{kind: _median(all_used) for kind, all_used in used.items()},
    }


def _median(used: Sequence[Used]) -> dict[str, float]:
    return {
        "seconds": round(statistics.median(each.seconds for each in used), 2),
        "memory": int(statistics.median(each.memory for each in used)),
        "code": max(each.code for each in used),
    }


def table(lines: Sequence[Line]) -> str:
    """The newest result of each model as Markdown."""
    rows = [
        "| model | weights | bare export | export with proof | check | memory of check |",
        "|---|---|---|---|---|---|",
    ]
    for line in {line["model"]: line for line in lines}.values():
        bare, export, check = (line[kind] for kind in ("bare", "export", "check"))
        ratio = f"{export['seconds']:.1f} s, {export['seconds'] / bare['seconds']:.2f}×"
        share = check["memory"] / max(line["bytes"] or 0, 1)
        cells = (
            line["model"],
            f"{(line['weights'] or 0) / 1e6:,.1f} M",
            f"{bare['seconds']:.1f} s",
            _cell(export, ratio),
            _cell(check, f"{check['seconds']:.1f} s"),
            f"{check['memory'] / 1e6:,.0f} MB, {share:.1f}× the file",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def of_bert(lines: Sequence[Line]) -> str:
    """The row of BERT-base alone."""
    return table([line for line in lines if line["model"] == "bert"])


def _cell(used: Line, text: str) -> str:
    return f"{text} (exit code {used['code']})" if used["code"] else text


@click.command()
@click.argument("names", nargs=-1)
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--table", "shows", is_flag=True, help="Print the newest results and stop.")
@click.option(
    "--ledger", "path", type=click.Path(path_type=Path), default=ledger.RESULTS / "scale.jsonl"
)
def main(names: tuple[str, ...], repeats: int, shows: bool, path: Path) -> None:
    """Measures the named models of benchmarks/scale/models.py, or mlp, the reference model."""
    results = Ledger(path)
    for name in () if shows else names:
        results.append(measure(name, repeats))
    click.echo(table(results.lines()))


if __name__ == "__main__":
    main()
