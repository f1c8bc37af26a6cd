"""Model → question → every target's verdict. Nothing is timed."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from toolkit import __version__
from toolkit.engine import assignment as assignments
from toolkit.engine import planning, selection, unoptimised
from toolkit.machine import describe
from toolkit.onnxfiles import referencefile
from toolkit.pipelines.bench import REFERENCE, BenchRequest, FinishedRun, Watch, judge_all
from toolkit.records.schema import VERSION, Run
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target, parse
from toolkit.workers import environments


def check(
    model: str | Path = REFERENCE,
    order: BenchRequest | Sequence[str] = (),
    *,
    watch: Watch = lambda step, share, text: None,
) -> FinishedRun:
    """Judges a model's answers on targets. The record has verdicts and ReLU cards, and no times.

    `order` is an Order, or the targets as they are typed. Raises ToolkitError where nothing can be
    judged; a target that fails is a row with its error.
    """
    if not isinstance(order, BenchRequest):
        order = BenchRequest([parse(text) for text in order])
    path, here = Path(model), describe.describe()
    known = order.source is not None or referencefile.matches(path)
    chosen = selection.settled(order.targets or _default(source=known))
    targets = selection.crossed(chosen, order.threads)
    with tempfile.TemporaryDirectory(prefix="toolkit-") as scratch:
        work = Path(scratch)
        worker_code = environments.lay(work / "rooms", [listing.find(t.runtime) for t in targets])
        watch("ask", None, "finding out what is right")
        with unoptimised.unoptimised(worker_code) as run_file:
            asked = assignments.ask(
                path, order.wanted, work, run_file, given=order.source, threads=order.threads[0]
            )
        shown = [selection.recorded(target, order.threads[0]) for target in targets]
        run = Run(
            version=VERSION,
            toolkit=__version__,
            state="running",
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            command=list(order.command),
            plan=planning.plan(asked, shown, 0, order.options),
            machine=here,
            records=[],
            generations=[],
        )
        judged, _ = judge_all(run, asked, targets, worker_code, order, watch)
    return FinishedRun(None, msgspec.structs.replace(judged, state="done"), asked.notes)


def _default(*, source: bool) -> list[Target]:
    """The runtimes in this environment: ONNX Runtime, PyTorch where its source is known, and the
    reference evaluator, which is always there."""
    found = ["onnxruntime"] if importlib.util.find_spec("onnxruntime") is not None else []
    found += ["torch"] if source else []
    return [Target(name, "cpu", asked=False) for name in [*found, "reference"]]
