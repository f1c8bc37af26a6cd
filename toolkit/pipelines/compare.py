"""Old and new → one run of both, side by side → pairings; or two runs → their common baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.engine import selection
from toolkit.errors import InputError
from toolkit.pipelines.bench import BenchRequest, FinishedRun, Watch, bench
from toolkit.records import store
from toolkit.report import comparison
from toolkit.report.comparison import Pairing
from toolkit.runtimes.target import Target, parse


@dataclass(frozen=True)
class ComparedModels:
    """What came of a comparison."""

    title: str
    pairings: Sequence[Pairing]
    finished: FinishedRun | None = None
    """The run that was made for it; None where two runs were there."""


def compare(
    old: str | Path,
    new: str | Path | None = None,
    order: BenchRequest | Sequence[str] = (),
    *,
    reports: str | Path = "reports",
    watch: Watch = lambda step, share, text: None,
) -> ComparedModels:
    """Compares two model files on every target, side by side in one run; or one file on two
    targets; or two runs, given their folders.

    A new file is fed and judged as the old one: by its oracle. Raises ToolkitError where nothing
    can be compared.
    """
    was, now = Path(old), None if new is None else Path(new)
    if now is not None and _is_run(was) and _is_run(now):
        title = f"{now.name} against {was.name}"
        return ComparedModels(title, comparison.between(store.read(was), store.read(now)))
    if not isinstance(order, BenchRequest):
        order = BenchRequest([parse(text) for text in order])
    targets, pairs = _pairs(order, now)
    baseline = order.baseline or targets[0].name
    whole = replace(
        order, targets=targets, baseline=baseline, everything=False, threads=order.threads[:1]
    )
    finished = bench(was, whole, reports=reports, watch=watch)
    title = f"{now.name} against {was.name}" if now else f"{was.name}: {targets[1].label}"
    return ComparedModels(title, comparison.side_by_side(finished.run, pairs), finished)


def _is_run(path: Path) -> bool:
    return path.is_dir() or path.name == store.RUN


def _pairs(order: BenchRequest, new: Path | None) -> tuple[list[Target], list[tuple[int, int]]]:
    """The targets of the run, and which of them are old and new."""
    named = selection.settled(order.targets or [Target("onnxruntime", "cpu")])
    wanted = selection.crossed(named, order.threads)
    if new is None:
        if len(wanted) < 2:
            raise InputError(
                "one file is compared on two targets or more",
                "toolkit compare M.onnx --target onnxruntime@1.30.0 --target onnxruntime@1.32.0",
            )
        return wanted, [(0, place) for place in range(1, len(wanted))]
    both = [twin for target in wanted for twin in (target, replace(target, model=str(new)))]
    return both, [(2 * place, 2 * place + 1) for place in range(len(wanted))]
