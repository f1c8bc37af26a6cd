"""Puts the decision of a comparison into a sentence that a reader can repeat.

W1  One sentence stands for all pairings. Where they come to the same action it is that one, with
    what they share; where they differ it names the targets of each action.
W2  Where the pairings differ in anything, each has a line of its own below it.
W3  What a decision waits for is named with the option that brings it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.records.schema import Plan, Run
from toolkit.report import metrics
from toolkit.report.changes import WORDS, Measured
from toolkit.report.comparison import Gate, Pairing
from toolkit.report.decision import (
    Action,
    Change,
    ComparisonDecision,
    Facts,
    Goal,
    State,
    Weighed,
    Wishes,
    decide,
)
from toolkit.report.words import listed
from toolkit.units import Seconds, significant

MEASURES = {
    Goal.LATENCY: "latency",
    Goal.SIZE: "size",
    Goal.MEMORY: "memory",
    Goal.COLD_START: "cold start",
}
"""What a decision is for, in words."""
ALWAYS = (Goal.SIZE, Goal.LATENCY)
"""Measures that a sentence names in any case; the others where they count, or are the goal."""
STEPS: tuple[tuple[Seconds, Seconds], ...] = ((60, 10), (300, 30), (math.inf, 60))
"""Up to so many seconds a proposed time is a multiple of so many."""
SHORTEST: Seconds = 10.0
"""The least time that is proposed."""
RESERVE = 1.3
"""A proposed time is so much longer than the process starts should take: on a shared machine they
take a third longer in one minute than in the next, and a time that is too short is refused."""
SIDE_BY_SIDE = "measure both side by side: toolkit compare OLD.onnx NEW.onnx"


@dataclass(frozen=True)
class _Wait:
    """What has to be given before there can be a decision (W3)."""

    text: str
    seconds: Seconds = 0.0
    """The time that is proposed; 0 where something else is."""


@dataclass(frozen=True)
class _Part:
    """The decision on one pairing, in pieces."""

    where: str
    """The target and the case, as far as they tell this pairing from the others."""
    new: str
    """The name of the new target; empty where two files are compared."""
    weighed: Weighed
    accept: str
    """The class that would have to be precise enough."""
    known: tuple[str, ...]
    """All that is known, the answers first."""
    latency: Measured | None
    wait: _Wait | None
    """What it waits for; None where it is decided."""

    @property
    def head(self) -> str:
        """'Keep it for size only', without a place."""
        return _head(self, self.new or "it")

    @property
    def sentence(self) -> str:
        known = ", ".join(self.known)
        if self.wait is None:
            return f"{self.head}: {known}."
        return f"{self.head}: {self.wait.text}." + (f" So far: {known}." if known else "")


def decided(
    pairings: Sequence[Pairing], wishes: Wishes, run: Run | None
) -> ComparisonDecision | None:
    """The decision over all pairings; None where there are none.

    `run` is the one in which both sides were measured, from which a longer time is foretold; None
    where they are of two runs.
    """
    parts = [_part(pairing, pairings, wishes, run) for pairing in pairings]
    if not parts:
        return None
    order = [*Action]
    action = max((part.weighed.action for part in parts), key=order.index)
    reasons = _reasons(parts, pairings)
    if len({part.sentence for part in parts}) == 1:
        return ComparisonDecision(action, wishes.goal, parts[0].sentence, (), reasons)
    lines = tuple(f"{part.where}: {_lowered(part)}" for part in parts)
    return ComparisonDecision(action, wishes.goal, _over_all(parts), lines, reasons)


def _reasons(parts: Sequence[_Part], pairings: Sequence[Pairing]) -> tuple[str, ...]:
    """The reasons of all pairings, each once; with its place where it is not that of all."""
    places: dict[str, list[str]] = {}
    for part, pairing in zip(parts, pairings, strict=True):
        if pairing.why:
            places.setdefault(pairing.why, []).append(part.where)
    return tuple(
        why if len(where) == len(parts) else f"{listed(where)}: {why}"
        for why, where in places.items()
    )


def _over_all(parts: Sequence[_Part]) -> str:
    """One sentence for each action, with the places where it is meant (W1)."""
    groups: dict[str, list[_Part]] = {}
    for part in parts:
        groups.setdefault(part.head, []).append(part)
    alone = len(groups) == 1
    return " ".join(_of_group(same, alone=alone) for same in groups.values())


def _of_group(parts: Sequence[_Part], *, alone: bool) -> str:
    """The sentence of the pairings that come to one action, with what they share.

    Where they are not all pairings (`alone`), it names their places.
    """
    first = parts[0]
    where = "" if alone else f" on {listed(part.where for part in parts)}"
    if first.wait is not None:
        return f"{first.head}{where}: {_longest(parts)}."
    shared = _shared(parts)
    return f"{first.head}{'' if first.new else where}" + (
        f": {', '.join(shared)}." if shared else "."
    )


def _longest(parts: Sequence[_Part]) -> str:
    """What all of them wait for: of several times the longest, which is enough for each."""
    waits = sorted((part.wait for part in parts if part.wait), key=lambda wait: wait.seconds)
    others = [wait.text for wait in waits if not wait.seconds]
    longest = [waits[-1].text] if waits[-1].seconds else []
    return "; ".join(dict.fromkeys([*others, *longest]))


def _shared(parts: Sequence[_Part]) -> list[str]:
    """What is known of all of them alike, and from where to where their latencies changed."""
    first = parts[0]
    shared = [text for text in first.known if all(text in part.known for part in parts)]
    span = _span([part.latency for part in parts])
    if span and first.latency is not None and first.latency.text not in shared:
        shared.insert(min(1, len(shared)), span)
    return shared


def _span(latencies: Sequence[Measured | None]) -> str:
    """'1.21 to 1.53× faster'; empty where they did not all change in one direction."""
    known = [each for each in latencies if each is not None]
    kinds = {each.change for each in known}
    if len(known) < len(latencies) or len(kinds) != 1 or not kinds < {Change.BETTER, Change.WORSE}:
        return ""
    less, more, _ = WORDS[Goal.LATENCY]
    times = sorted(max(each.ratio, 1 / each.ratio) for each in known)
    direction = less if kinds == {Change.BETTER} else more
    return f"{significant(times[0])} to {significant(times[-1])}× {direction}"


def _head(part: _Part, name: str) -> str:
    """What to do, of a file ('Ship it') or of a target ('Take onnxruntime 1.32.0')."""
    verb = "Take" if part.new else "Ship"
    gains = [MEASURES[Goal(g)] if g in [*Goal] else g for g in part.weighed.gains]
    match part.weighed.action:
        case Action.TAKE:
            return f"{verb} {name}"
        case Action.TAKE_IF:
            return f"{verb} {name} if {part.accept} is precise enough (--accept {part.accept})"
        case Action.KEEP:
            return f"Keep {name} for {listed(gains)} only"
        case Action.EITHER:
            return "Either will do"
        case Action.REFUSE:
            return f"Do not {verb.lower()}" + (f" {name}" if part.new else "")
        case Action.WAIT:
            return "Cannot tell yet"


def _lowered(part: _Part) -> str:
    sentence = part.sentence
    return sentence[0].lower() + sentence[1:]


def _part(pairing: Pairing, pairings: Sequence[Pairing], wishes: Wishes, run: Run | None) -> _Part:
    answered = pairing.facts
    facts = Facts(
        old=answered.old,
        new=answered.new,
        precision=answered.precision,
        changes={goal: measured.change for goal, measured in pairing.changes.items()},
        metric=_metric(pairing, wishes),
    )
    coarse = Weighed(Action.WAIT, unknown="judge")
    weighed = coarse if answered.judge else decide(facts, wishes.goal)
    return _Part(
        where=_where(pairing, pairings),
        new="" if pairing.of_files else pairing.name,
        weighed=weighed,
        accept=answered.acceptable,
        known=tuple(_known(pairing, weighed, wishes)),
        latency=pairing.changes.get(Goal.LATENCY),
        wait=_wait(pairing, weighed, wishes, run),
    )


def _metric(pairing: Pairing, wishes: Wishes) -> Change | None:
    """What the metric that the user has a limit for comes to; None where no limit was given."""
    if wishes.drop is None or pairing.facts.new is State.FAILED:
        return None
    held = {Gate.FAILS: Change.WORSE, Gate.HOLDS: Change.SAME, Gate.OPEN: Change.UNKNOWN}
    return held[pairing.dropped(wishes.drop)]


def _where(pairing: Pairing, pairings: Sequence[Pairing]) -> str:
    """Names a pairing by what tells it from the others: its target, its case, or both."""
    name = pairing.old.name if pairing.of_files else pairing.name
    targets = {(each.old.name, each.name) for each in pairings}
    if len({each.case for each in pairings}) == 1:
        return name
    return pairing.case if len(targets) == 1 else f"{name} at {pairing.case}"


def _known(pairing: Pairing, weighed: Weighed, wishes: Wishes) -> Iterable[str]:
    """All that stands behind the decision, the answers first."""
    answered = pairing.facts
    if answered.new is State.FAILED and weighed.action is Action.REFUSE:
        yield f"it did not run: {answered.fault}"
        return
    if weighed.action is Action.REFUSE and answered.new is State.REFUTED:
        yield answered.fault
        yield from (f"{each.metric} {metrics.drop(each)}" for each in pairing.drops)
        if answered.old is State.REFUTED:
            yield "and the old one is not right either"
        return
    if weighed.unknown == "run":
        return
    if answered.new is State.RIGHT:
        if answered.old is State.REFUTED:
            yield f"right ({pairing.new.answers}), where the old one is not"
        elif answered.old is State.FAILED:
            yield f"right ({pairing.new.answers}), where the old one did not run"
        elif weighed.action is not Action.TAKE_IF:  # Its head names the class.
            yield answered.known
    order = [*ALWAYS, *(goal for goal in Goal if goal not in ALWAYS)]
    if weighed.gains[:1] != (Goal.SIZE,):
        order[:2] = [Goal.LATENCY, Goal.SIZE]
    for goal in order:
        measured = pairing.changes.get(goal)
        if measured is None:
            continue
        counts = measured.change in (Change.BETTER, Change.WORSE)
        if goal in ALWAYS or counts or goal is wishes.goal:
            yield measured.text
    if pairing.agreement:
        yield pairing.agreement
    yield from (f"{each.metric} {metrics.drop(each)}" for each in pairing.drops)


def _wait(pairing: Pairing, weighed: Weighed, wishes: Wishes, run: Run | None) -> _Wait | None:
    """What has to be given before there can be a decision; None where there is one."""
    if weighed.action is not Action.WAIT:
        return None
    reason = pairing.facts.fault or pairing.old.reason
    if weighed.unknown == "run":
        return _Wait(f"not both were measured ({reason})" if reason else "not both were measured")
    if weighed.unknown == "answers":
        given = "give --inputs FOLDER with samples of your own, or --accept undecided"
        cure = f"{SIDE_BY_SIDE} --inputs FOLDER" if run is None else given
        return _Wait(f"the new answers are not shown ({reason}); {cure}")
    if weighed.unknown == "judge":
        return _Wait(f"{pairing.facts.judge}; compare them the other way round")
    if weighed.unknown == "metric":
        return _Wait(_more_examples(pairing, wishes))
    measured = pairing.changes.get(wishes.goal)
    if run is None:
        return _Wait(SIDE_BY_SIDE)
    if measured is None:
        return _Wait(f"{MEASURES[wishes.goal]} was not measured; give another --goal")
    return proposal(run, measured)


def _more_examples(pairing: Pairing, wishes: Wishes) -> str:
    """Says how many examples would probably tell: an interval narrows with their square root, and
    has to lie on one side of the limit."""
    undecided = "the examples do not tell whether the metric fell"
    if not pairing.drops or wishes.drop is None:
        return f"{undecided}; give more of them (--data)"
    drop = pairing.drops[0]
    half = (float(drop.high) - float(drop.low)) / 2
    away = abs(wishes.drop - float(drop.drop))
    if not (math.isfinite(half) and away > 0):
        return f"{undecided}; give more of them (--data)"
    needed = RESERVE * drop.examples * (half / away) ** 2
    return f"{undecided}; about {_two_digits(needed):,} would (--data)"


def _two_digits(number: float) -> int:
    """Rounds up to two digits: 1,234 → 1,300."""
    step = int(10 ** max(0, math.floor(math.log10(max(1.0, number))) - 1))
    return math.ceil(number / step) * step


def proposal(run: Run, measured: Measured) -> _Wait:
    """'give --time 90s': enough for the process starts that would probably tell.

    How long one takes is that of this run. A run that stops at a precision of its own is given a
    narrower one too.
    """
    seconds = max(SHORTEST, RESERVE * _time_of(run, measured))
    plan = run.plan
    if not plan.quick and plan.time is not None:
        seconds = max(seconds, plan.time + 1)  # What was not enough is not proposed again.
    time = f"--time {_rounded(seconds)}"
    if plan.quick:
        return _Wait(f"give {time}, without --quick", seconds)
    return _Wait(f"give {_narrower(plan, measured.wanted)}{time}", seconds)


def _time_of(run: Run, measured: Measured) -> Seconds:
    """The time of so many process starts as are needed: the first finds out how long a block is,
    so the others tell what one more takes, where there are any."""
    ended = sorted(generation.ended for generation in run.generations)
    first, last = (ended[0], ended[-1]) if ended else (0.0, 0.0)
    others = measured.starts - 1
    another = (last - first) / others if others > 0 else first
    return first + (measured.needed - 1) * another


def _narrower(plan: Plan, wanted: float) -> str:
    """The precision to ask for, where the run's own would end the next one too early."""
    if plan.precision is None or plan.precision <= wanted:
        return ""
    return f"--precision {significant(100 * wanted, 2)}% "


def _rounded(seconds: Seconds) -> str:
    step = next(step for limit, step in STEPS if seconds <= limit)
    return f"{math.ceil(seconds / step) * step:.0f}s"
