"""What a reader is shown, before it has a form: every rendering is made from a `View`.

The rules that nothing here may weaken:

V1  A number is never shown without a verdict of the same session.
V2  A row that is not right has no rank and no ratio; one whose answers are wrong has no latency.
V3  A target that did not run is a row with its reason.
V4  No interval below 6 process starts, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from toolkit.answers.verdict import Verdict
from toolkit.records.schema import Case, PlannedTarget, Run, TargetRecord, WarningKind
from toolkit.report.warnings import Advice
from toolkit.report.words import Spread
from toolkit.tensors import Array
from toolkit.units import Seconds

PARTS = ("copies in", "compute", "copies out", "whole call")
"""Of a call; the last where its runtime cannot take it apart."""

Samples = Mapping[str, Array]
"""'<target index>/<case index>/<generation>' → int64 nanoseconds, (rounds, calls)."""


class Standing(StrEnum):
    """The three parts of a table, in this order."""

    RANKED = "ranked"
    NOT_RIGHT = "not ranked"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Ratio:
    """The baseline's time divided by the target's: above 1 the target is faster."""

    middle: float
    low: float | None
    high: float | None
    """None below 6 process starts (rule V4)."""
    starts: int
    text: str
    """'1.23× faster (1.21 to 1.25)'."""
    different: bool
    """The interval excludes 1, all pairs of this case taken together."""
    undecidable: bool = False
    """The interval excludes 1, and so few process starts could not show it of so many pairs."""


@dataclass(frozen=True)
class Quantiles:
    """The distribution of one target's calls, as far as its samples carry it."""

    calls: int
    curve: tuple[tuple[float, Seconds], ...]
    """(share of the calls, latency), up to the last percentile that is carried."""
    percentiles: Mapping[str, Seconds]
    """'p90' → latency, for those that so many calls carry."""
    missing: Mapping[str, int]
    """'p99.9' → calls that it needs."""


@dataclass(frozen=True)
class Trace:
    """Block medians over the time of the run, thinned to what a plot can show."""

    at: tuple[Seconds, ...]
    latency: tuple[Seconds, ...]
    generation: tuple[int, ...]


@dataclass(frozen=True)
class Speed:
    """How fast one target was at one case."""

    p50: Spread
    """Seconds: the median over process starts of their medians, with the range."""
    starts: int
    rounds: int
    calls: int
    """Calls a block."""
    empty: Seconds
    """What an empty interval shows, inside every sample."""
    rate: float
    """Calls a second, from the mean latency: one call after the other in one process."""
    rows: int
    """Rows of the batch in one call."""
    quantiles: Quantiles | None
    trace: Trace
    into: Spread | None
    """The copies of the inputs inside the call, made alone; None: not to be told apart."""
    out: Spread | None
    """The same of the outputs."""

    def parts(self) -> dict[str, Seconds]:
        """Where the time of a call goes; compute is what is left of it."""
        if self.into is None or self.out is None:
            return {"whole call": self.p50.middle}
        rest = self.p50.middle - self.into.middle - self.out.middle
        return {
            "copies in": self.into.middle,
            "compute": max(0.0, rest),
            "copies out": self.out.middle,
        }


@dataclass(frozen=True)
class Cold:
    """Cold start, seconds; None where it was not measured."""

    imported: Spread | None
    loaded: Spread | None
    first_call: Spread | None
    new_shape: Spread | None
    steady_after: Spread | None

    def parts(self) -> dict[str, Spread | None]:
        return {
            "import": self.imported,
            "load": self.loaded,
            "first call": self.first_call,
            "new shape": self.new_shape,
        }


@dataclass(frozen=True)
class Use:
    """Memory above what the worker held before the load; bytes."""

    resident: Spread | None
    peak: Spread | None


@dataclass(frozen=True)
class ShownTarget:
    """One target, and what is known of it at every case."""

    index: int
    name: str
    """The label, with where it ran in it where that is not what was asked for."""
    planned: PlannedTarget
    """What the plan says of it: the target as it was typed, its threads, its file."""
    record: TargetRecord | None
    library: str
    """'onnxruntime 1.32.0'; empty where it never answered."""
    verdict: Verdict | None
    placement: str
    copies: str
    cold: Cold
    use: Use


@dataclass(frozen=True)
class Row:
    """One line of a table: one target at one case."""

    target: ShownTarget
    standing: Standing
    rank: int | None
    speed: Speed | None
    ratio: Ratio | None
    answers: str
    """The verdict in a few words, or '–'."""
    reason: str
    """Why it is not ranked or not measured; empty for a ranked row."""
    cures: tuple[str, ...] = ()

    @property
    def says(self) -> str:
        """What stands where a ranked row has its ratio."""
        if self.standing is Standing.RANKED:
            return self.ratio.text if self.ratio else "–"
        return f"{self.standing}: {self.reason}"


@dataclass(frozen=True)
class Conclusion:
    """What is fastest at a case."""

    headline: str
    details: tuple[str, ...] = ()
    """By how much, and how sure that is."""
    tied: tuple[str, ...] = ()
    """The fastest and those that are not shown to differ from it; empty where it stands alone."""

    @property
    def text(self) -> str:
        return " ".join((self.headline, *self.details))

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """One where all of it is about one case."""
        return (self.headline, *self.details) if len(self.details) > 1 else (self.text,)


@dataclass(frozen=True)
class Table:
    """All targets at one case, in the order in which they are shown."""

    case: Case
    baseline: str
    """The name of the row that the others are divided by; empty where no row can be."""
    changed: str
    """Why it is not the baseline that was planned; else empty."""
    rows: tuple[Row, ...]
    conclusion: Conclusion
    apart: tuple[str, ...] = ()
    """Targets whose ratio to the baseline is not the quotient of the two p50s, by more than its
    interval: a ratio is paired and estimated by itself."""

    def ranked(self) -> tuple[Row, ...]:
        return self.part(Standing.RANKED)

    def leads(self, row: Row) -> bool:
        """It is the fastest, or not shown to differ from it."""
        return row.rank == 1 or row.target.name in self.conclusion.tied

    def part(self, standing: Standing) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.standing is standing)


@dataclass(frozen=True)
class Note:
    """A warning, with what to do about it."""

    kind: WarningKind
    where: str
    """The target; empty where it concerns the whole run."""
    detail: str
    advice: Advice


@dataclass(frozen=True)
class View:
    """All that is shown of a run."""

    run: Run
    title: str
    """The name of the model."""
    model: str
    """The model in one line."""
    machine: str
    protocol: str
    """'1 thread · 14 process starts × 20 rounds'."""
    measured: str
    """When, how and how long."""
    state: str
    """What a reader must know of an unfinished run; empty for a finished one."""
    conclusions: tuple[Conclusion, ...]
    """What is fastest; cases with the same headline are told together."""
    without_rank: tuple[str, ...]
    """What is not right, and what was not measured."""
    tables: tuple[Table, ...]
    targets: tuple[ShownTarget, ...]
    notes: tuple[Note, ...]
    copies: tuple[str, ...]
    samples: bool
    """The samples were there."""


def spread(values: list[float] | list[int]) -> Spread | None:
    """Median and range; None of nothing."""
    if not values:
        return None
    return Spread(float(np.median(values)), float(min(values)), float(max(values)))
