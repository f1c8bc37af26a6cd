"""The view of a run: everything that a reader is shown, before it has a form.

Every rendering (terminal, Markdown, page, CSV, plots) is made from a `View`. These rules hold for
all of them, and nothing here may weaken them:

V1  A number is never shown without a verdict of the same session.
V2  Only right rows have a rank. Those whose answers are not shown stand apart, with their ratio;
    those that are less precise have no ratio, and those whose answers are wrong no latency.
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
from toolkit.report.decision import ComparisonDecision
from toolkit.report.warnings import Advice
from toolkit.report.words import Spread
from toolkit.tensors import Array
from toolkit.units import Seconds

PARTS = ("copies in", "compute", "copies out", "whole call")
"""The parts of a call; it has only the last one where its runtime cannot take it apart."""

Samples = Mapping[str, Array]
"""'<target index>/<case index>/<generation>' → int64 nanoseconds, (rounds, calls)."""


class Standing(StrEnum):
    """The parts of a table, in the order in which they are shown."""

    RANKED = "ranked"
    NOT_SHOWN = "not shown"
    NOT_RIGHT = "not ranked"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Ratio:
    """The baseline's time divided by the target's: above 1 the target is faster."""

    middle: float
    low: float | None
    """The lower end of the interval; None below 6 process starts (rule V4)."""
    high: float | None
    """The upper end; None where `low` is."""
    starts: int
    """The process starts that the ratio was estimated from."""
    text: str
    """The ratio in words: '1.23× faster (1.21 to 1.25)'."""
    different: bool
    """True where the interval excludes 1 with all pairs of this case taken together."""
    undecidable: bool = False
    """True where the interval by itself excludes 1, but so few process starts could not show that
    of so many pairs, however far apart they are."""


@dataclass(frozen=True)
class Quantiles:
    """The distribution of one target's calls, as far as its samples carry it."""

    calls: int
    curve: tuple[tuple[float, Seconds], ...]
    """(share of the calls, latency), up to the last percentile that the calls carry."""
    percentiles: Mapping[str, Seconds]
    """'p90' → latency, for the percentiles that so many calls carry."""
    missing: Mapping[str, int]
    """'p99.9' → the number of calls that it needs, for the other percentiles."""


@dataclass(frozen=True)
class Trace:
    """Block medians over the time of the run, thinned to what a plot can show.

    The three tuples are equally long: each position is a point.
    """

    at: tuple[Seconds, ...]
    latency: tuple[Seconds, ...]
    generation: tuple[int, ...]


@dataclass(frozen=True)
class Speed:
    """The speed of one target at one case."""

    p50: Spread
    """Seconds: the median over process starts of their medians, with the range."""
    starts: int
    rounds: int
    calls: int
    """Calls in a block."""
    empty: Seconds
    """The time that an empty interval shows; every sample contains it."""
    within: tuple[Seconds, Seconds] | None
    """The interval of the p50, exact, at the run's alpha; None below 6 process starts (rule V4)."""
    rate: float
    """Calls a second, one call after the other in one process: the median over process starts, each
    from its mean latency."""
    rates: tuple[float, float] | None
    """The interval of `rate`, as `within`."""
    rows: int
    """Rows of the batch in one call."""
    quantiles: Quantiles | None
    trace: Trace
    into: Spread | None
    """Seconds: the copies of the inputs inside a call, timed alone; None where the runtime cannot
    make them alone."""
    out: Spread | None
    """Seconds: the copies of the outputs inside a call, as `into`."""

    @property
    def throughput(self) -> Spread:
        """Rows a second, with the interval; the ends are the middle where there is none."""
        low, high = self.rates or (self.rate, self.rate)
        return Spread(self.rate, low, high).scaled(self.rows)

    def parts(self) -> dict[str, Seconds]:
        """Splits the p50 into its parts; compute is what the copies leave of it."""
        if self.into is None or self.out is None:
            return {"whole call": self.p50.middle}
        rest = self.p50.middle - self.into.middle - self.out.middle
        return {
            "copies in": self.into.middle,
            # The copies are timed apart from the call, so their noise may exceed a short one.
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
        """The parts that follow each other, by the names that readers see."""
        return {
            "import": self.imported,
            "load": self.loaded,
            "first call": self.first_call,
            "new shape": self.new_shape,
        }

    @property
    def total(self) -> Seconds:
        """The medians of the known parts together; 0 where none is known."""
        return sum(part.middle for part in self.parts().values() if part)


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
    """The label; where it ran stands behind it if that is not what was asked for."""
    planned: PlannedTarget
    record: TargetRecord | None
    """None where the run had not come to it."""
    library: str
    """'onnxruntime 1.32.0'; empty where it never answered."""
    verdict: Verdict | None
    placement: str
    """The providers that its nodes ran on: '4/4 nodes on cuda'; empty where that is unknown."""
    copies: str
    """The copies that its calls contain, in words."""
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
    def compares(self) -> bool:
        """It has a ratio to the baseline, or is the baseline."""
        return self.standing in (Standing.RANKED, Standing.NOT_SHOWN)

    @property
    def says(self) -> str:
        """The text of the ratio's column: the ratio, or the reason why there is none."""
        if self.compares:
            return self.ratio.text if self.ratio else "–"
        return self.why

    @property
    def why(self) -> str:
        """Why it has no rank: 'not ranked: declares float32, computes bfloat16'."""
        return f"{self.standing}: {self.reason}"


@dataclass(frozen=True)
class Conclusion:
    """Says in sentences which target is fastest at a case."""

    headline: str
    details: tuple[str, ...] = ()
    """Sentences on how large the lead is, and how sure that is."""
    tied: tuple[str, ...] = ()
    """The fastest and those that are not shown to differ from it; empty where it stands alone."""

    @property
    def text(self) -> str:
        """All sentences on one line."""
        return " ".join((self.headline, *self.details))

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """One paragraph where all of it is about one case, else one for each sentence."""
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
    rows_a_second: bool = False
    """A call of some case works on several rows, so rows a second are shown."""
    price: float | None = None
    """What an hour of the machine costs, where the user gave it."""
    unit: str = "rows"
    """What a call works on: 'rows', or 'calls' where no dimension is known to be the batch."""
    apart: tuple[str, ...] = ()
    """Targets whose ratio to the baseline is not the quotient of the two p50s, by more than its
    interval: a ratio is paired and estimated by itself."""

    def ranked(self) -> tuple[Row, ...]:
        return self.part(Standing.RANKED)

    def compared(self) -> tuple[Row, ...]:
        """The rows that have a ratio, or are the baseline."""
        return tuple(row for row in self.rows if row.compares)

    def leads(self, row: Row) -> bool:
        """True for the fastest row, and for those that are not shown to differ from it."""
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
    """The machine in one line."""
    protocol: str
    """'1 thread · 14 process starts × 20 rounds'."""
    measured: str
    """When it was measured, how, and how long that took, in one line."""
    state: str
    """A warning to the reader of an unfinished run; empty for a finished one."""
    decision: ComparisonDecision | None
    """What to do with a new file or target; None of a run that compares none with an old one."""
    conclusions: tuple[Conclusion, ...]
    """Which target is fastest; cases with the same headline share one conclusion."""
    choosing: tuple[str, ...]
    """Sentences on which batch and number of threads to take, and on what rows cost."""
    without_rank: tuple[str, ...]
    """Sentences on what is not shown, what is not right, and what was not measured."""
    agreements: tuple[str, ...]
    """Sentences on how often the top class agrees; empty where that was not asked for."""
    tables: tuple[Table, ...]
    targets: tuple[ShownTarget, ...]
    notes: tuple[Note, ...]
    copies: tuple[str, ...]
    """Sentences on the copies that a timed call contains."""
    samples: bool
    """False where samples.npz is missing, so that there are no percentiles beyond p50."""


def spread(values: list[float] | list[int]) -> Spread | None:
    """Median and range of some values; None without values."""
    if not values:
        return None
    return Spread(float(np.median(values)), float(min(values)), float(max(values)))
