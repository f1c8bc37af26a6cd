"""Model → question → every target's verdict. Nothing is timed."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from toolkit import __version__, referencefile
from toolkit.engine import entrants, planning, runner
from toolkit.engine import question as questions
from toolkit.pipelines.bench import REFERENCE, Finished, Order, Watch, judge_all
from toolkit.records import machine
from toolkit.records.schema import VERSION, Run
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target, parse
from toolkit.workers import environments


def check(
    model: str | Path = REFERENCE,
    order: Order | Sequence[str] = (),
    *,
    watch: Watch = lambda step, share, text: None,
) -> Finished:
    """Judges a model's answers on targets. The record has verdicts and ReLU cards, and no times.

    `order` is an Order, or the targets as they are typed. Raises ToolkitError where nothing can be
    judged; a target that fails is a row with its error.
    """
    if not isinstance(order, Order):
        order = Order([parse(text) for text in order])
    path, here = Path(model), machine.describe()
    known = order.source is not None or referencefile.matches(path)
    chosen = entrants.settled(order.targets or _default(source=known))
    targets = entrants.crossed(chosen, order.threads)
    with tempfile.TemporaryDirectory(prefix="toolkit-") as scratch:
        work = Path(scratch)
        rooms = environments.lay(work / "rooms", [listing.find(t.runtime) for t in targets])
        watch("ask", None, "finding out what is right")
        with runner.unoptimised(rooms) as run_file:
            asked = questions.ask(
                path, order.wanted, work, run_file, given=order.source, threads=order.threads[0]
            )
        shown = [entrants.recorded(target, order.threads[0]) for target in targets]
        run = Run(
            version=VERSION,
            toolkit=__version__,
            state="running",
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            command=list(order.command),
            plan=planning.plan(asked, shown, 0, order.terms),
            machine=here,
            records=[],
            generations=[],
        )
        judged, _ = judge_all(run, asked, targets, rooms, order, watch)
    return Finished(None, msgspec.structs.replace(judged, state="done"), asked.notes)


def _default(*, source: bool) -> list[Target]:
    """The runtimes in this environment: ONNX Runtime, PyTorch where its source is known, and the
    reference evaluator, which is always there."""
    found = ["onnxruntime"] if importlib.util.find_spec("onnxruntime") is not None else []
    found += ["torch"] if source else []
    return [Target(name, "cpu", asked=False) for name in [*found, "reference"]]
