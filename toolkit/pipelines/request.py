"""The values of `bench` and `check`: what a user asks for, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.answers.verdict import Limits
from toolkit.data.request import DataRequest
from toolkit.deployment.verifying import Verified
from toolkit.engine import planning
from toolkit.engine.assignment import FeedRequest
from toolkit.engine.sizesheld import SizesHeld
from toolkit.errors import InputError
from toolkit.measure import schedule
from toolkit.measure.schedule import Pace
from toolkit.records.schema import Run
from toolkit.runtimes.target import Target, parse
from toolkit.sources.source import Source
from toolkit.units import Seconds
from toolkit.workers.jobs import Patience

REFERENCE = Path("models/mlp/mlp.onnx")
"""The model where none is named: what `toolkit run` exports."""

Watch = Callable[[str, float | None, str], None]
"""Told what is being done ('ask', 'judge', 'data', 'measure'), the share done (None: unknown) and
details in words."""


@dataclass(frozen=True)
class BenchRequest:
    """All that a user asks for, besides the model."""

    targets: Sequence[Target] = ()
    """The targets; empty: those that make sense here."""
    everything: bool = False
    """Every runtime that is installed is a target too."""
    baseline: str | None = None
    """The target that the others are compared with, as it is typed or shown."""
    wanted: FeedRequest = field(default_factory=FeedRequest)
    source: Source | None = None
    """The PyTorch source of the model, where the user names it."""
    pace: Pace = field(default_factory=schedule.pace)
    limits: Limits = field(default_factory=Limits)
    threads: Sequence[int] = (1,)
    """Thread counts for targets without `threads=`; each such target is measured at every count."""
    patience: Patience = field(default_factory=Patience)
    deadline: Seconds | None = None
    """The limit for finding out what is right; None: 60 s a node of the graph, half an hour in
    all. It holds where another process watches over this one, as the command line and the
    functions of `toolkit` have it."""
    command: Sequence[str] = ()
    """The command for the record: as it was typed, without folders that lie elsewhere."""
    whole_command: Sequence[str] = ()
    """The same with whole paths, where files lie elsewhere: the cache keeps it for `--resume`,
    and in no record."""
    relu: bool = False
    """What each runtime's Relu gives for special values is asked, also where the model has none."""
    data: DataRequest | None = None
    """Labelled data on which the metrics of every judged target are measured."""
    anonymous: bool = False
    """The record tells nothing by which this machine differs from others of its kind."""
    latency_limit: Seconds | None = None
    """The p50 that a target may have at most; the report names the best size and number of threads
    within it."""
    price: float | None = None
    """What an hour of this machine costs, in any currency; the report has the cost of a million
    rows."""

    def __post_init__(self) -> None:
        """Raises InputError for a limit or a price that is none."""
        for name in ("latency_limit", "price"):
            number = getattr(self, name)
            if number is not None and not 0 < number < math.inf:
                raise InputError(f"{name}={number:g}: give a number above 0")

    @property
    def options(self) -> planning.PlanOptions:
        """The options that stand in the plan."""
        return planning.PlanOptions(
            self.pace,
            self.limits,
            self.threads[0],
            self.wanted.seed,
            self.patience.verb,
            self.latency_limit,
            self.price,
        )


def as_request(order: BenchRequest | Sequence[str]) -> BenchRequest:
    """The request, from itself or from targets as they are typed; a text alone is one target.
    Raises InputError for a text that is no target."""
    if isinstance(order, BenchRequest):
        return order
    return BenchRequest([parse(text) for text in ([order] if isinstance(order, str) else order)])


@dataclass(frozen=True)
class FinishedRun:
    """A run and the folder in which it lies."""

    folder: Path | None
    """None where nothing was kept: `check`."""
    run: Run
    notes: tuple[str, ...] = ()
    """The things that could not be done while the assignment was made, in words."""
    held: SizesHeld = field(default_factory=SizesHeld)
    """The sizes at which a bare file holds; empty where nothing was left out."""
    verified: Verified | None = None
    """Whose signature the model has, where that was asked for."""

    def __repr__(self) -> str:
        right = sum(record.right for record in self.run.records)
        of = f"{right} of {len(self.run.plan.targets)} targets right"
        return f"<FinishedRun of {self.run.plan.model.name}: {of}>"

    def __str__(self) -> str:
        """The result as the command shows it."""
        from toolkit.report import checked, terminal
        from toolkit.report.summary import summarize

        if self.folder is None:
            return checked.render(self.run, self.notes)
        return terminal.render(summarize(self.run))

    def _repr_html_(self) -> str:
        """The result as a notebook shows it."""
        from toolkit.report import notebook

        return notebook.run_markup(self.run, self.notes, timed=self.folder is not None)

    @property
    def right(self) -> bool:
        """The answers of every target that ran are right, of one at least, and of each that the
        user named."""
        ran = [record.right for record in self.run.records if record.failure is None]
        return bool(ran) and all(ran) and not self.unmet

    @property
    def unmet(self) -> list[str]:
        """The targets that the user named and that were not measured, or are not right."""
        records = {record.target: record for record in self.run.records}
        met = {
            index
            for index, record in records.items()
            if record.right and (self.folder is None or record.timings)
        }
        targets = enumerate(self.run.plan.targets)
        return [target.label for index, target in targets if target.asked and index not in met]
