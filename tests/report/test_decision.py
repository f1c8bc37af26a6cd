"""The rules of a decision, over all combinations of facts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from toolkit.report.decision import (
    Action,
    Change,
    Facts,
    Goal,
    State,
    Weighed,
    Wishes,
    decide,
    wishes,
)

BETTER, SAME, WORSE, UNKNOWN = Change
RIGHT, NOT_SHOWN, REFUTED, FAILED, PENDING = State
LATENCY, SIZE, MEMORY, COLD = Goal


def facts(
    old: State = RIGHT,
    new: State = RIGHT,
    *,
    precision: Change = SAME,
    metric: Change | None = None,
    **changes: Change,
) -> Facts:
    goals = {Goal(key.replace("_", "-")): each for key, each in changes.items()}
    return Facts(old, new, precision, goals, metric)


def case(
    name: str, given: Facts, goal: Goal, action: Action, *gains: str, wait: str = ""
) -> object:
    return pytest.param(given, goal, Weighed(action, gains, wait), id=name)


@pytest.mark.parametrize(
    ("given", "goal", "weighed"),
    [
        case("faster", facts(latency=BETTER, size=SAME), LATENCY, Action.TAKE, LATENCY),
        case(
            "faster, but larger",
            facts(latency=BETTER, size=WORSE), LATENCY, Action.TAKE, LATENCY,
        ),
        case(
            "faster and coarser",
            facts(precision=WORSE, latency=BETTER, size=BETTER),
            LATENCY, Action.TAKE_IF, LATENCY, SIZE,
        ),
        case(
            "smaller, slower and coarser",
            facts(precision=WORSE, latency=WORSE, size=BETTER),
            LATENCY, Action.KEEP, SIZE,
        ),
        case(
            "the same with size as the goal",
            facts(precision=WORSE, latency=WORSE, size=BETTER),
            SIZE, Action.TAKE_IF, SIZE,
        ),
        case("smaller, no slower", facts(latency=SAME, size=BETTER), LATENCY, Action.TAKE, SIZE),
        case(
            "smaller, no slower, coarser",
            facts(precision=WORSE, latency=SAME, size=BETTER),
            LATENCY, Action.KEEP, SIZE,
        ),
        case(
            "smaller, no slower, more memory",
            facts(latency=SAME, size=BETTER, memory=WORSE),
            LATENCY, Action.KEEP, SIZE,
        ),
        case(
            "more precise and slower",
            facts(precision=BETTER, latency=WORSE),
            LATENCY, Action.KEEP, "precision",
        ),
        case(
            "more precise",
            facts(precision=BETTER, latency=SAME), LATENCY, Action.TAKE, "precision",
        ),
        case("slower", facts(latency=WORSE, size=SAME), LATENCY, Action.REFUSE),
        case(
            "coarser, else the same",
            facts(precision=WORSE, latency=SAME), LATENCY, Action.REFUSE,
        ),
        case("larger, else the same", facts(latency=SAME, size=WORSE), LATENCY, Action.REFUSE),
        case("nothing differs", facts(latency=SAME, size=SAME), LATENCY, Action.EITHER),
        case(
            "not known",
            facts(latency=UNKNOWN, size=BETTER), LATENCY, Action.WAIT, wait="latency",
        ),
        case(
            "the other goal is known",
            facts(latency=UNKNOWN, size=BETTER), SIZE, Action.TAKE, SIZE,
        ),
        case("no cold start", facts(latency=BETTER), COLD, Action.WAIT, wait="cold-start"),
        case("starts faster", facts(latency=WORSE, cold_start=BETTER), COLD,
             Action.TAKE, COLD),
        case("less memory", facts(latency=SAME, memory=BETTER), MEMORY, Action.TAKE, MEMORY),
        case("wrong", facts(new=REFUTED, latency=BETTER, size=BETTER), LATENCY, Action.REFUSE),
        case("both wrong", facts(REFUTED, REFUTED), LATENCY, Action.REFUSE),
        case("wrong before", facts(REFUTED, RIGHT), LATENCY, Action.TAKE),
        case("ran not before", facts(FAILED, RIGHT, size=WORSE), LATENCY, Action.TAKE),
        case("ran not before, coarser", facts(FAILED, precision=WORSE), LATENCY, Action.TAKE_IF),
        case("crashed", facts(new=FAILED), LATENCY, Action.REFUSE),
        case("crashed, wrong before", facts(REFUTED, FAILED), LATENCY, Action.REFUSE),
        case("neither ran", facts(FAILED, FAILED), LATENCY, Action.WAIT, wait="run"),
        case("not reached", facts(new=PENDING, size=BETTER), SIZE, Action.WAIT, wait="run"),
        case(
            "not shown",
            facts(new=NOT_SHOWN, latency=BETTER), LATENCY, Action.WAIT, wait="answers",
        ),
        case("not shown before", facts(NOT_SHOWN, latency=BETTER), LATENCY, Action.TAKE, LATENCY),
        case("a metric fell", facts(metric=WORSE, latency=BETTER), LATENCY, Action.REFUSE),
        case(
            "it may have",
            facts(metric=UNKNOWN, latency=BETTER), LATENCY, Action.WAIT, wait="metric",
        ),
        case(
            "coarser, and the metric held",
            facts(precision=WORSE, metric=SAME, latency=BETTER),
            LATENCY, Action.TAKE, LATENCY,
        ),
    ],
)  # fmt: skip
def test_the_table_of_decisions(given: Facts, goal: Goal, weighed: Weighed) -> None:
    assert decide(given, goal) == weighed


def combinations() -> Iterator[tuple[Facts, Goal]]:
    known = (BETTER, SAME, WORSE)
    for old, new, precision, metric in itertools.product(State, State, known, (None, *Change)):
        for values in itertools.product(Change, known, (SAME, WORSE), (BETTER, UNKNOWN)):
            for goal in Goal:
                yield Facts(old, new, precision, dict(zip(Goal, values, strict=True)), metric), goal


YES = (Action.TAKE, Action.TAKE_IF, Action.EITHER, Action.KEEP)


def test_what_holds_of_every_decision() -> None:
    """All combinations of answers, precision, metric and measures, at every goal."""
    seen = set()
    for given, goal in combinations():
        weighed = decide(given, goal)
        seen.add(weighed.action)

        # Nothing that is not shown to be right is ever used.
        assert weighed.action not in YES or given.new is RIGHT
        assert weighed.action is Action.REFUSE or given.metric is not WORSE or given.new is FAILED
        # What is waited for is named, and nothing else is.
        assert bool(weighed.unknown) is (weighed.action is Action.WAIT)
        # A gain is a measure that is better, and a reason is given for what is kept for one thing.
        assert all(
            given.precision is BETTER
            if gain == "precision"
            else given.changes[Goal(gain)] is BETTER
            for gain in weighed.gains
        )
        assert weighed.action is not Action.KEEP or weighed.gains
        # Coarser answers are never taken unconditionally, unless a metric held.
        if given.precision is WORSE and given.metric is None:
            assert weighed.action not in (Action.TAKE, Action.EITHER)
        # A goal that is not known decides nothing, where both answers count.
        if given.old in (RIGHT, NOT_SHOWN) and given.changes[goal] is UNKNOWN:
            assert weighed.action in (Action.WAIT, Action.REFUSE)
            assert (
                weighed.action is Action.WAIT
                or {given.new} & {REFUTED, FAILED}
                or given.metric is WORSE
            )
    assert seen == {*Action}


@pytest.mark.parametrize("goal", Goal)
def test_a_better_goal_never_makes_a_decision_worse(goal: Goal) -> None:
    order = [Action.TAKE, Action.TAKE_IF, Action.EITHER, Action.KEEP, Action.REFUSE]
    for given, each in combinations():
        if each is not goal or given.changes[goal] not in (SAME, WORSE):
            continue
        before = decide(given, goal).action
        after = decide(
            Facts(
                given.old, given.new, given.precision, {**given.changes, goal: BETTER}, given.metric
            ),
            goal,
        ).action
        if before is not Action.WAIT and after is not Action.WAIT:
            # A reason to take it under a condition may come where it was kept for less.
            assert order.index(after) <= max(order.index(before), 1)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("toolkit compare a b", Wishes()),
        ("toolkit compare a b --goal size", Wishes(SIZE)),
        ("toolkit compare a b --goal=memory --fail-if-slower=3%", Wishes(MEMORY, 0.03)),
        ("toolkit compare a b --goal size --goal cold-start", Wishes(COLD)),
        ("toolkit compare a b --goal everything --fail-if-slower 3", Wishes()),
        ("toolkit compare a b --fail-if-slower 0% --goal", Wishes()),
        ("", Wishes()),
    ],
)  # fmt: skip
def test_what_was_wished_is_read_from_the_command_of_a_run(command: str, expected: Wishes) -> None:
    assert wishes(command.split()) == expected


def test_the_words_of_wishes_are_read_as_the_same() -> None:
    asked = Wishes(SIZE, 0.025)

    assert wishes(["toolkit", "compare", *asked.options]) == asked
