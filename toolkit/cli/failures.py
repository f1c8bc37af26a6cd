"""Ends `check`, `bench` and `compare` where targets have no right answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from toolkit.cli import screen

if TYPE_CHECKING:
    from toolkit.pipelines.bench import FinishedRun


def raise_if_none_ran(finished: FinishedRun, done: str) -> None:
    """Raises TargetError where not one target could be run, so that there is nothing to show.

    `done` is what was to be done with them: 'measured' or 'judged'.
    """
    from toolkit.errors import TargetError

    targets = finished.run.plan.targets
    failures = [
        (targets[record.target], record.failure)
        for record in finished.run.records
        if record.failure is not None
    ]
    if len(failures) < len(targets):
        return
    labels: dict[str, list[str]] = {}
    for target, failure in failures:
        labels.setdefault(failure.what, []).append(target.label)
    providers = {target.provider for target, _ in failures}
    # A GPU that is missing is missing for all of its targets: 'cuda: not measured. …'
    who = "cuda" if len(labels) == 1 and providers == {"cuda"} else None
    what = "; ".join(
        f"{who or ', '.join(names)}: not {done}. {reason}" for reason, names in labels.items()
    )
    cures = dict.fromkeys(cure for _, failure in failures for cure in failure.cures)
    raise TargetError(what, *cures)


def exit_if_unmet(finished: FinishedRun, done: str) -> None:
    """Exits with 1 where a target that the user named has no right answers.

    `done` is what was to be done with it: 'measured' or 'judged'.
    """
    unmet = finished.unmet
    if not unmet:
        return
    named = sum(target.asked for target in finished.run.plan.targets)
    were = "was" if len(unmet) == 1 else "were"
    failures = [record.failure for record in finished.run.records if record.failure]
    screen.error(
        f"{len(unmet)} of {named} targets {were} not {done} with right answers: "
        f"{'; '.join(unmet)}.",
        dict.fromkeys(cure for failure in failures for cure in failure.cures),
    )
    raise click.exceptions.Exit(1)


def exit_if_not_held(finished: FinishedRun) -> None:
    """Exits with 1 where a file does not run at sizes that it declares, unless all of them lie
    beyond one limit."""
    held = finished.held
    if not held.fault:
        return
    screen.error(held.fault, held.cures)
    raise click.exceptions.Exit(1)
