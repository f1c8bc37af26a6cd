"""The options that `check` and `bench` share, and what they make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from toolkit.cli.values import BOUND, DURATION, PERCENT, PRECISION

if TYPE_CHECKING:
    from toolkit.answers.verdict import Limits
    from toolkit.engine.assignment import FeedRequest
    from toolkit.pipelines.bench import BenchRequest, FinishedRun
    from toolkit.runtimes.target import Target
    from toolkit.sources.source import Source

F = TypeVar("F", bound=Callable[..., Any])

# What may not be read is told as everything else that is wrong with a file: not as a usage.
FILE = click.Path(path_type=Path, readable=False)

MODEL = click.argument("model", type=FILE, required=False)

TARGETS = [
    click.option("--provider", help="ONNX Runtime's execution providers: cpu, cuda or cpu,cuda."),
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="T",
        help="RUNTIME[@VERSION][:PROVIDER][,key=value…]; repeatable. env=FOLDER: from there.",
    ),
]
FEEDS = [
    click.option("--batch", metavar="N,N…", help="Sizes of the first dynamic dimension."),
    click.option(
        "--dim", "dims", multiple=True, metavar="NAME=N,N…", help="Sizes of dynamic dimensions."
    ),
    click.option(
        "--shape", "shapes", multiple=True, metavar="INPUT=1x3x224x224", help="A whole shape."
    ),
    click.option(
        "--inputs",
        type=FILE,
        help="Feeds of your own: .npz, .safetensors or a test_data_set folder.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Of what is drawn.",
    ),
    click.option(
        "--source",
        metavar="FILE.py:NAME",
        help="The PyTorch module that the file was made from; its code is run.",
    ),
    click.option("--weights", type=FILE, help="Its weights."),
]
RUNNING = [
    click.option(
        "--threads",
        metavar="N,N…",
        default="1",
        show_default=True,
        help="Threads of each target; 'all' is every core.",
    ),
    click.option(
        "--timeout",
        type=DURATION,
        default="60s",
        show_default=True,
        help="For one step of one target; a load has ten times as long.",
    ),
]
LIMITS = [
    click.option("--accept", type=PRECISION, help="The precision that is right enough."),
    click.option("--atol", type=BOUND, help="Right is |error| ≤ atol + rtol·|expected|."),
    click.option("--rtol", type=BOUND, help="See --atol."),
    click.option(
        "--min-top1-agreement", "top1", type=PERCENT, help="Rows whose top class must agree."
    ),
]


def options(function: F) -> F:
    """Adds the shared options to a command."""
    return _added(function, [*TARGETS, *FEEDS, *RUNNING, *LIMITS])


def feeds(function: F) -> F:
    """Adds those that say what the model is fed and by what it is judged."""
    return _added(function, FEEDS)


def limits(function: F) -> F:
    """Adds those that say how precise is right enough."""
    return _added(function, LIMITS)


def _added(function: F, added: Sequence[Callable[[F], F]]) -> F:
    for option in reversed(added):
        function = option(function)
    return function


def model_of(model: Path | None) -> Path:
    """The model that is meant. Raises InputError where none is given and the reference is not."""
    from toolkit.errors import InputError
    from toolkit.pipelines.bench import REFERENCE

    if model is None and not REFERENCE.exists():
        raise InputError(
            f"there is no {REFERENCE} here",
            "toolkit export           makes it",
            "toolkit bench M.onnx     takes another model",
        )
    return model or REFERENCE


def targets_of(provider: str | None, targets: tuple[str, ...]) -> list[Target]:
    """What --provider and --target name, in that order."""
    from toolkit.runtimes.target import of_providers, parse

    return [*([] if provider is None else of_providers(provider)), *map(parse, targets)]


def wanted_of(given: dict[str, Any]) -> FeedRequest:
    """What the model is fed."""
    from toolkit.engine.assignment import FeedRequest
    from toolkit.feeds import parsing

    if given["inputs"] is not None and (given["dims"] or given["batch"] or given["shapes"]):
        raise click.UsageError("--inputs has its own sizes: leave --dim, --batch and --shape away")

    return FeedRequest(
        dims=parsing.dims(given["dims"]),
        batch=parsing.batch(given["batch"]) if given["batch"] else (),
        shapes=parsing.shapes(given["shapes"]),
        inputs=given["inputs"],
        seed=given["seed"],
    )


def source_of(given: dict[str, Any]) -> Source | None:
    """The PyTorch source, where it is named."""
    from toolkit.sources import source

    if given["source"] is None:
        if given["weights"] is not None:
            raise click.UsageError("--weights needs the --source that they belong to")
        return None
    return source.parse(given["source"], weights=given["weights"])


def limits_of(given: dict[str, Any]) -> Limits:
    """How precise is right enough."""
    from toolkit.answers.verdict import Limits

    return Limits(given["accept"], given["atol"], given["rtol"], given["top1"])


def order_of(given: dict[str, Any], typed: list[str]) -> BenchRequest:
    """All that is asked for, besides the model."""
    from toolkit.measure import schedule
    from toolkit.pipelines.bench import BenchRequest
    from toolkit.workers.jobs import Patience

    timeout = given["timeout"]
    return BenchRequest(
        targets=targets_of(given["provider"], given["targets"]),
        everything=given.get("everything", False),
        baseline=given.get("baseline"),
        wanted=wanted_of(given),
        source=source_of(given),
        pace=schedule.pace(given.get("precision"), given.get("time"), given.get("quick", False)),
        limits=limits_of(given),
        threads=threads_of(given["threads"]),
        patience=Patience(timeout, 10 * timeout),
        command=typed,
    )


def refuse(finished: FinishedRun, done: str) -> None:
    """Raises TargetError where not one target could be run: there is nothing to show."""
    from toolkit.errors import TargetError

    targets = finished.run.plan.targets
    failures = [(record.target, record.failure) for record in finished.run.records]
    told = [(targets[index], failure) for index, failure in failures if failure is not None]
    if len(told) < len(targets):
        return
    causes: dict[str, list[str]] = {}
    for target, failure in told:
        causes.setdefault(failure.what, []).append(target.label)
    providers = {target.provider for target, _ in told}
    # A GPU that is missing is missing for all of its targets: 'cuda: not measured. …'
    who = "cuda" if len(causes) == 1 and providers == {"cuda"} else None
    what = "; ".join(f"{who or ', '.join(names)}: not {done}. {w}" for w, names in causes.items())
    raise TargetError(what, *dict.fromkeys(cure for _, failure in told for cure in failure.cures))


def demand(finished: FinishedRun, done: str) -> None:
    """Exits with 1 where a target that the user named has no right answers."""
    if finished.unmet:
        named = sum(target.asked for target in finished.run.plan.targets)
        were = "was" if len(finished.unmet) == 1 else "were"
        click.echo(
            f"error: {len(finished.unmet)} of {named} targets {were} not {done} "
            f"with right answers: {'; '.join(finished.unmet)}.",
            err=True,
        )
        failures = [record.failure for record in finished.run.records if record.failure]
        for cure in dict.fromkeys(cure for failure in failures for cure in failure.cures):
            click.echo(f"  {cure}", err=True)
        raise click.exceptions.Exit(1)


def threads_of(text: str) -> tuple[int, ...]:
    """'1,all' → the numbers of threads, each once; 'all' is every core that this process may use.

    Raises BadParameter for another text, and for more threads than cores.
    """
    import os

    cores = len(os.sched_getaffinity(0))
    found = []
    for word in text.split(","):
        count = str(cores) if word.strip() == "all" else word.strip()
        if not count.isdecimal() or int(count) < 1:
            raise click.BadParameter(f"{word!r} is no number of threads: give 1, 2 … or all")
        if int(count) > cores:
            raise click.BadParameter(f"{count} threads on the {cores} cores that are allowed here")
        found.append(int(count))
    return tuple(dict.fromkeys(found))
