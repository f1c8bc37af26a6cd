"""Old and new → one run of both, side by side → pairings; or two runs → their common baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.engine import selection
from toolkit.errors import InputError
from toolkit.pipelines.bench import bench
from toolkit.pipelines.request import BenchRequest, FinishedRun, Watch, as_request
from toolkit.records import privacy, store
from toolkit.report import betweenruns, comparison, deciding
from toolkit.report.comparison import Pairing
from toolkit.report.decision import ComparisonDecision, Wishes
from toolkit.report.summary import summarize
from toolkit.runtimes.target import Target
from toolkit.supervision import progress


@dataclass(frozen=True)
class ComparedModels:
    """The result of a comparison."""

    title: str
    pairings: Sequence[Pairing]
    finished: FinishedRun | None = None
    """The run that was made for it; None where two runs were there."""
    notes: tuple[str, ...] = ()
    """Sentences that a reader must know besides."""
    decision: ComparisonDecision | None = None
    """What to do with the new one; None where two runs have no target in common."""

    def _repr_html_(self) -> str:
        """The result as a notebook shows it."""
        from toolkit.report import notebook

        return notebook.comparison_markup(self.title, self.pairings, self.notes, self.decision)


def compare(
    old: str | Path,
    new: str | Path | None = None,
    order: BenchRequest | Sequence[str] = (),
    *,
    reports: str | Path = "reports",
    wishes: Wishes | None = None,
    watch: Watch = lambda step, share, text: None,
) -> ComparedModels:
    """Compares two model files on every target, side by side in one run; or one file on two
    targets; or two runs, given their folders.

    A new file is fed and judged as the old one: by its oracle. `wishes` say what the decision is
    for. Raises ToolkitError where nothing can be compared.
    """
    wishes = wishes or Wishes()
    was, now = Path(old), None if new is None else Path(new)
    request = as_request(order)
    if now is not None and _is_run(was) and _is_run(now):
        if request.data is not None:
            raise InputError(
                "--data: two runs that are there answer no examples any more",
                "toolkit compare OLD.onnx NEW.onnx --data DATA    runs both on the same examples",
            )
        with progress.bounded(request.deadline):
            return _of_runs(was, now, wishes)
    targets, pairs = _pairs(request, now)
    both = replace(
        request,
        targets=targets,
        baseline=request.baseline or targets[0].name,
        everything=False,
        threads=request.threads[:1],  # The targets name the others already.
        command=request.command or _command(was, now, targets, wishes),
        data=None if request.data is None else replace(request.data, pairs=tuple(pairs)),
    )
    finished = bench(was, both, reports=reports, watch=watch)
    title = f"{now.name} against {was.name}" if now else f"{was.name}: {targets[1].label}"
    run = privacy.run(finished.run)
    pairings = comparison.side_by_side(run, summarize(run).tables, pairs, wishes)
    decision = deciding.decided(pairings, wishes, run)
    return ComparedModels(title, pairings, finished, decision=decision)


def _command(
    was: Path, now: Path | None, targets: Sequence[Target], wishes: Wishes
) -> tuple[str, ...]:
    """What would have to be typed for a call from Python: the page knows a comparison, and what it
    is for, by the command of its run."""
    files = [path.name for path in (was, now) if path is not None]
    named = [word for t in targets if t.model is None for word in ("--target", t.name)]
    return ("toolkit", "compare", *files, *named, *wishes.options)


def _of_runs(was: Path, now: Path, wishes: Wishes) -> ComparedModels:
    """Compares two runs by what their records have."""
    before, after = store.read(was), store.read(now)
    pairings = betweenruns.between(before, after, wishes)
    damage = [f"left out: {line}" for run in (was, now) for line in store.damage(run)]
    notes = (*damage, *betweenruns.machines_apart(before, after))
    return ComparedModels(
        f"{now.name} against {was.name}",
        pairings,
        notes=notes,
        decision=deciding.decided(pairings, wishes, None),
    )


def _is_run(path: Path) -> bool:
    return path.is_dir() or path.name == store.RUN


def _pairs(request: BenchRequest, new: Path | None) -> tuple[list[Target], list[tuple[int, int]]]:
    """The targets of the run, and the pairs of them: (old, new), by their index."""
    named = selection.settled(request.targets or [Target("onnxruntime", "cpu")])
    targets = selection.crossed(named, request.threads)
    if new is None:
        if len(targets) < 2:
            raise InputError(
                "one file is compared on two targets or more",
                "toolkit compare M.onnx --target onnxruntime@1.30.0 --target onnxruntime@1.32.0",
            )
        return targets, [(0, place) for place in range(1, len(targets))]
    both = [twin for target in targets for twin in (target, replace(target, model=str(new)))]
    return both, [(2 * place, 2 * place + 1) for place in range(len(targets))]
