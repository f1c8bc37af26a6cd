"""Decides what to do with a new file or target, from what is known of it beside the old one.

This is a pure function of facts that have no numbers left in them. The rules, in their order; the
first that applies decides:

D1  What did not run where the old one did, or whose answers were refuted, is not to be used,
    however fast. Where neither ran, or one was not reached, nothing can be told.
D2  A metric that fell by more than the user allows is a reason against it; one that may have is a
    reason to wait. One that did not speaks for answers that are coarser.
D3  Answers that are not shown decide nothing.
D4  What is right replaces what was not right, or did not run, whatever it costs.
D5  The goal decides, and waits until it is known. Where it is better: yes. Where it is not better,
    what else is better (the other measures, the precision) is a reason to keep the new one for
    that alone, if something else is worse, or the goal is.
D6  Answers that are coarser than before, by more than the user accepts, make a yes conditional, and
    are a price wherever something else is weighed.
D7  Without gain and without loss either will do. A loss without a gain is a no.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

SHARE = re.compile(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\s*")
"""A percentage as it is typed."""


class Goal(StrEnum):
    """The measures that a decision weighs; one of them is what the user is after."""

    LATENCY = "latency"
    SIZE = "size"
    MEMORY = "memory"
    COLD_START = "cold-start"


PRECISION = "precision"
"""A gain that is no goal: answers that are finer than before."""


class Change(StrEnum):
    """How a measure of the new one stands to that of the old one."""

    BETTER = "better"
    SAME = "no difference that counts"
    WORSE = "worse"
    UNKNOWN = "not known yet"


class State(StrEnum):
    """What is known of the answers of one side."""

    RIGHT = "right"
    NOT_SHOWN = "not shown"
    REFUTED = "not right"
    """Less precise than it has to be, or wrong."""
    FAILED = "did not run"
    PENDING = "not measured yet"
    """The run did not come to it, or none of its process starts counts."""


class Action(StrEnum):
    """The ends of a decision, from yes to no."""

    TAKE = "take"
    TAKE_IF = "take if precise enough"
    EITHER = "either will do"
    KEEP = "keep for this only"
    WAIT = "cannot tell yet"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Facts:
    """All that a decision is made from."""

    old: State
    new: State
    precision: Change
    """The class of the new answers beside that of the old ones. SAME too where the user accepts
    what is coarser."""
    changes: Mapping[Goal, Change]
    """Without an entry for what was not measured: a goal that is not there is not known."""
    metric: Change | None = None
    """A metric on the user's own labelled data: WORSE where it fell by more than the user allows.
    None: none was asked for."""


@dataclass(frozen=True)
class Weighed:
    """A decision, before it is put into words."""

    action: Action
    gains: tuple[str, ...] = ()
    """What is better, the goal first."""
    unknown: str = ""
    """What has to be known first: a goal, 'metric', 'answers' or 'run'; empty: all is known."""


@dataclass(frozen=True)
class ComparisonDecision:
    """What to do with the new file or target."""

    action: Action
    """The one of the pairing that is farthest from a yes."""
    goal: Goal
    text: str
    """A sentence to repeat: 'Ship it: as precise (float32), 1.23× faster (1.21 to 1.25), …'."""
    lines: tuple[str, ...] = ()
    """One for each pairing, where they differ."""
    reasons: tuple[str, ...] = ()
    """Why an int8 file is slower or not right, where that is known, with what to try."""

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The sentence, then the lines, then the reasons."""
        return (self.text, *self.lines, *self.reasons)


@dataclass(frozen=True)
class Wishes:
    """What the user asks of a decision."""

    goal: Goal = Goal.LATENCY
    hidden: float = 0.05
    """The difference, as a share, that may stay hidden where none is found: `--fail-if-slower`
    says it. A wider interval around 1 decides nothing."""
    drop: float | None = None
    """By how much a metric on labelled data may fall: `--fail-if-drop` says it, as a difference of
    shares. None: a metric is told, and decides nothing."""

    @property
    def options(self) -> tuple[str, ...]:
        """The words of a command by which `wishes` reads them."""
        given = ("--goal", self.goal.value, "--fail-if-slower", f"{100 * self.hidden:g}%")
        return given if self.drop is None else (*given, "--fail-if-drop", f"{100 * self.drop:g}%")


def wishes(command: Sequence[str]) -> Wishes:
    """Reads from the command of a run what its user asked for; what is not there has its default.

    A record is untrusted, so a word that is no goal or no share says nothing.
    """
    goal = _value(command, "--goal")
    hidden, drop = (_share(command, option) for option in ("--fail-if-slower", "--fail-if-drop"))
    return Wishes(
        Goal(goal) if goal in [*Goal] else Goal.LATENCY, hidden or Wishes.hidden, drop or None
    )


def _share(command: Sequence[str], option: str) -> float:
    """The share that an option states; 0 where it states none."""
    share = SHARE.fullmatch(_value(command, option))
    number = float(share[1]) / 100 if share else 0.0
    return number if 0 < number <= 1 else 0.0


def _value(command: Sequence[str], option: str) -> str:
    """The last value of an option in a command; empty where it is not there."""
    value = ""
    for before, word in itertools.pairwise(["", *command]):
        if before == option:
            value = word
        elif word.startswith(f"{option}="):
            value = word.removeprefix(f"{option}=")
    return value


def decide(facts: Facts, goal: Goal) -> Weighed:
    """Decides by the rules D1 to D7."""
    if facts.new is State.FAILED and facts.old is not State.FAILED:
        return Weighed(Action.REFUSE)  # D1
    if facts.new is State.REFUTED or facts.metric is Change.WORSE:
        return Weighed(Action.REFUSE)  # D1, D2
    if State.PENDING in (facts.new, facts.old) or facts.new is State.FAILED:
        return Weighed(Action.WAIT, unknown="run")
    if facts.metric is Change.UNKNOWN:
        return Weighed(Action.WAIT, unknown="metric")
    if facts.new is State.NOT_SHOWN:
        return Weighed(Action.WAIT, unknown="answers")  # D3
    is_coarser = facts.precision is Change.WORSE and facts.metric is None  # D2
    yes = Action.TAKE_IF if is_coarser else Action.TAKE  # D6
    if facts.old in (State.REFUTED, State.FAILED):
        return Weighed(yes)  # D4
    return _weighed(facts, goal, yes)


def _weighed(facts: Facts, goal: Goal, yes: Action) -> Weighed:
    """Weighs gains against losses (D5 to D7)."""
    reached = facts.changes.get(goal, Change.UNKNOWN)
    if reached is Change.UNKNOWN:
        return Weighed(Action.WAIT, unknown=goal)
    order = (goal, *(each for each in Goal if each is not goal))
    gains: Sequence[str] = [g for g in order if facts.changes.get(g) is Change.BETTER]
    losses = [g for g in order if facts.changes.get(g) is Change.WORSE]
    if facts.precision is Change.BETTER:
        gains = [*gains, PRECISION]
    if reached is Change.BETTER:
        return Weighed(yes, tuple(gains))
    is_free = not losses and yes is Action.TAKE
    if not gains:
        return Weighed(Action.EITHER if is_free else Action.REFUSE)
    return Weighed(Action.TAKE if is_free else Action.KEEP, tuple(gains))
