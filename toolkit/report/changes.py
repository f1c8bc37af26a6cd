"""Says how one measure of the new one stands to that of the old one.

M1  A change counts where the interval shows a difference, for all pairs of a case together, that is
    no smaller than what may stay hidden (5 %, or the user's limit), and for the goal than 1 % if
    that is less.
M2  No difference is known of the goal where the interval lies within what may stay hidden.
    Whatever is between, or has no interval, is not known yet.
M3  A size has no interval: it is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.measure import schedule, stats
from toolkit.measure.stats import FEWEST, MARGIN, Comparison, Interval, Outcome
from toolkit.records.schema import TargetRecord
from toolkit.report.decision import Change, Goal, Wishes
from toolkit.report.ratios import interval_words
from toolkit.report.words import counted
from toolkit.units import Bytes, Seconds, percent, significant

WORDS = {
    Goal.LATENCY: ("faster", "slower", "in latency"),
    Goal.MEMORY: ("less memory", "more memory", "in memory"),
    Goal.COLD_START: ("faster to start", "slower to start", "in cold start"),
    Goal.SIZE: ("smaller", "larger", "in size"),
}
"""What less of a measure is called, what more of it is, and where no difference was found."""
LEAST: Seconds = 1e-6
"""No process starts in less."""
SLACK = 0.8
"""An interval is asked to become so much narrower than just enough: its width is an estimate."""


@dataclass(frozen=True)
class Measured:
    """One measure of the new one beside the old one."""

    ratio: float
    """New divided by old: below 1 it is faster, smaller, less."""
    interval: Interval | None
    """None of a size, and where there are too few process starts."""
    change: Change
    text: str
    """The change in words: '1.23× faster (1.21 to 1.25)'."""
    starts: int = 0
    """Process starts that hold both; 0 for a size."""
    needed: int = 0
    """Process starts that would probably tell; 0 where it is known."""
    wanted: float = 0.0
    """The half-width of an interval that would tell, as a share; 0 where it is known."""


def timed(comparison: Comparison, logs: Sequence[float], wishes: Wishes, alpha: float) -> Measured:
    """The latency, from one log ratio a process start and from what may be said of them."""
    return _measured(Goal.LATENCY, comparison, logs, wishes, alpha)


def paired(goal: Goal, logs: Sequence[float], wishes: Wishes, alpha: float) -> Measured | None:
    """Memory or cold start, from one log ratio a process start; None without any."""
    if not logs:
        return None
    (comparison,) = stats.compare([logs], alpha)
    return _measured(goal, comparison, logs, wishes, alpha)


def unpaired(
    goal: Goal, first: Sequence[float], second: Sequence[float], wishes: Wishes, alpha: float
) -> Measured | None:
    """A measure of two runs, from the log ratios (or logarithms) of each; None without any."""
    if not first or not second:
        return None
    interval = stats.shift(first, second, alpha)
    middle = math.exp(float(np.median(np.subtract.outer(np.asarray(second), np.asarray(first)))))
    is_different = interval is not None and interval.excludes_one
    outcome = Outcome.DIFFERENT if is_different else Outcome.NOT_SHOWN
    comparison = Comparison(middle, interval, None, outcome if interval else Outcome.TOO_FEW)
    # More of one run alone would not tell: no time is proposed.
    shorter = min(first, second, key=len)
    return _measured(goal, comparison, shorter, wishes, alpha)


def sizes(old: Bytes, new: Bytes, wishes: Wishes) -> Measured | None:
    """The sizes of two files (M3); None of an empty one."""
    if not old or not new:
        return None
    ratio = new / old
    is_small = max(ratio, 1 / ratio) <= 1 + _floor(Goal.SIZE, wishes)
    change = Change.SAME if is_small else Change.BETTER if ratio < 1 else Change.WORSE
    if max(ratio, 1 / ratio) <= 1 + MARGIN:
        return Measured(ratio, None, change, "the same size")
    times = max(ratio, 1 / ratio)
    # Two figures of 1.05 would be 1.1, and twice the difference.
    shown = significant(times, 2 if times >= 1.1 else 3)
    less, more, _ = WORDS[Goal.SIZE]
    return Measured(ratio, None, change, f"{shown}× {less if ratio < 1 else more}")


def memory(record: TargetRecord | None) -> list[float]:
    """The logarithm of the bytes that each process start held above idle; empty where one held
    none, as what was freed meanwhile can make it."""
    if record is None:
        return []
    held = record.memory
    bytes_held = [r - idle for idle, r in zip(held.idle, held.resident, strict=False)]
    return [math.log(b) for b in bytes_held] if all(b > 0 for b in bytes_held) else []


def cold(record: TargetRecord | None) -> list[float]:
    """The logarithm of the seconds to the first answer in each process start; empty where a part
    of one is missing."""
    if record is None:
        return []
    start = record.cold
    parts = (start.imported, start.loaded, start.first_call)
    if len({*map(len, parts)}) != 1:
        return []
    totals = [sum(each) for each in zip(*parts, strict=True)]
    # A record is untrusted: the logarithms of what no process can be are of no use.
    return [math.log(total) for total in totals] if all(t > LEAST for t in totals) else []


def differences(old: Sequence[float], new: Sequence[float]) -> list[float]:
    """One log ratio for each process start; empty where one side lacks some."""
    if len(old) != len(new):
        return []
    return [after - before for before, after in zip(old, new, strict=True)]


def _measured(
    goal: Goal, comparison: Comparison, logs: Sequence[float], wishes: Wishes, alpha: float
) -> Measured:
    interval = comparison.interval
    change = _change(goal, comparison, wishes)
    needed, wanted = (0, 0.0)
    if change is Change.UNKNOWN:
        needed, wanted = _needed(comparison, len(logs), wishes, alpha)
    return Measured(
        ratio=comparison.ratio,
        interval=interval,
        change=change,
        text=_words(goal, comparison, len(logs)),
        starts=len(logs),
        needed=needed,
        wanted=wanted,
    )


def _floor(goal: Goal, wishes: Wishes) -> float:
    """The share below which a difference does not count (M1)."""
    return min(MARGIN, wishes.hidden) if goal is wishes.goal else wishes.hidden


def _change(goal: Goal, comparison: Comparison, wishes: Wishes) -> Change:
    interval = comparison.interval
    if interval is None:
        return Change.UNKNOWN
    if comparison.outcome is Outcome.DIFFERENT:
        far = interval.largest if goal is wishes.goal else abs(interval.estimate - 1)
        if far <= _floor(goal, wishes):
            return Change.SAME
        return Change.BETTER if interval.estimate < 1 else Change.WORSE
    return Change.SAME if interval.largest <= wishes.hidden else Change.UNKNOWN


def _needed(comparison: Comparison, starts: int, wishes: Wishes, alpha: float) -> tuple[int, float]:
    """How many process starts would probably tell, and how narrow the interval has to be.

    It has to exclude 1, or to lie within what may stay hidden, whichever is the nearer. Its width
    falls with the square root of the process starts.
    """
    fewest = schedule.fewest(comparison.pairs, alpha)
    interval = comparison.interval
    if interval is None:
        return max(fewest, starts + 1), wishes.hidden
    lead = abs(math.log(interval.estimate))
    wanted = SLACK * max(lead, math.log1p(wishes.hidden) - lead)
    wider = math.ceil(starts * (interval.half_width / wanted) ** 2)
    return max(fewest, wider, starts + 1), wanted


def _words(goal: Goal, comparison: Comparison, starts: int) -> str:
    less, more, where = WORDS[goal]
    interval = comparison.interval
    if interval is None:
        times = max(comparison.ratio, 1 / comparison.ratio)
        direction = less if comparison.ratio <= 1 else more
        few = f"{counted(starts, 'process start')}, {FEWEST} are needed"
        return f"{significant(times)}× {direction}, no interval ({few})"
    limit = percent(interval.largest)
    if comparison.outcome is Outcome.DIFFERENT:
        small = f", by less than {percent(MARGIN, 1)}" if interval.largest <= MARGIN else ""
        return f"{interval_words(interval, less, more)}{small}"
    if comparison.outcome is Outcome.UNDECIDABLE:
        few = f"{counted(starts, 'process start')} are too few for {comparison.pairs} pairs"
        return f"{interval_words(interval, less, more)} by itself ({few})"
    return f"no difference found {where} (one of up to {limit} could be hidden)"
