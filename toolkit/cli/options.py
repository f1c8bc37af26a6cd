"""The options that several commands share, and the requests that their values make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from toolkit.cli import labelled, screen
from toolkit.cli.values import ACCEPTED, DURATION, LIMIT, MEMORY, PERCENT, PRICE, UNDECIDED

if TYPE_CHECKING:
    from toolkit.answers.verdict import Limits
    from toolkit.engine.assignment import FeedRequest
    from toolkit.pipelines.bench import BenchRequest
    from toolkit.runtimes.target import Target
    from toolkit.sources.source import Source
    from toolkit.units import Bytes

F = TypeVar("F", bound=Callable[..., Any])

# click would call a file that may not be read a usage error, with exit code 2. It is told later, as
# everything else that is wrong with a file.
FILE = click.Path(path_type=Path, readable=False)

MODEL = click.argument("model", type=FILE, required=False)
PROVIDER = click.option(
    "--provider", help="ONNX Runtime's execution providers: cpu, cuda or cpu,cuda."
)
TIME = click.option(
    "--time", "time", type=DURATION, help="The ceiling on the time of the measurement, such as 20s."
)
PRECISE = click.option(
    "--precision",
    type=PERCENT,
    help="Stop as soon as every ratio is known to within this, such as 0.5%.",
)
QUICK = click.option(
    "--quick", is_flag=True, help="Go on without intervals where --time is too short for them."
)
ANONYMOUS = click.option(
    "--anonymous",
    is_flag=True,
    help="Record no more of the machine than its kind: for a report that you publish.",
)
LATENCY_LIMIT = click.option(
    "--latency-limit",
    type=DURATION,
    metavar="20ms",
    help="Name the best batch and number of threads whose p50 is within this.",
)
HOURLY = click.option(
    "--price",
    type=PRICE,
    metavar="0.34",
    help="What an hour of this machine costs, in any currency: adds the cost of a million rows.",
)
RELU = click.option(
    "--relu",
    is_flag=True,
    help="Show what each runtime's Relu gives for NaN, ±Inf, ±0 and subnormals, also where the "
    "model has none.",
)
INSTALL = click.option(
    "--install", is_flag=True, help="Install the runtimes that are missing, first."
)
SIGN = click.option(
    "--sign",
    type=FILE,
    metavar="KEY",
    help="Sign what is proven right with this private key; `sigstore` signs without a key, over "
    "a network.",
)
REPORTS = click.option(
    "-o",
    "--output",
    "reports",
    type=click.Path(path_type=Path),
    default="reports",
    show_default=True,
    help="The folder of the runs.",
)


def _runtimes(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """The runtimes that begin with what was typed, for a shell's completion."""
    from toolkit.engine.probing import HIDDEN
    from toolkit.runtimes import listing

    shown = [name for name in listing.names() if name not in HIDDEN]
    return [name for name in shown if name.startswith(typed)]


TARGET = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="T",
    shell_complete=_runtimes,
    help="RUNTIME[@VERSION][:PROVIDER][,key=value…]; repeatable. With env=FOLDER it is run "
    "from that environment.",
)
TARGETS = [PROVIDER, TARGET]
FEEDS = [
    click.option("--batch", metavar="N,N…", help="Sizes of the first dynamic dimension."),
    click.option(
        "--dim",
        "dims",
        multiple=True,
        metavar="NAME=N,N…",
        help="Sizes of a dynamic dimension; repeatable.",
    ),
    click.option(
        "--shape",
        "shapes",
        multiple=True,
        metavar="INPUT=1x3x224x224",
        help="The whole shape of an input; repeatable.",
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
        help="The seed of all that is drawn.",
    ),
    click.option(
        "--source",
        metavar="FILE.py:NAME",
        help="The PyTorch module that the file was made from; its code is run.",
    ),
    click.option("--weights", type=FILE, help="The weights of that module."),
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
        help="The limit for one step of one target; loading may take ten times as long. Given, "
        "it is also the limit for finding out what is right.",
    ),
]


def _limit_memory(ctx: click.Context, param: click.Parameter, value: Bytes | None) -> None:
    """Limits this process's memory, where it is one that another watches over."""
    from toolkit.supervision import limits

    if value is not None and limits.are_applied():
        limits.apply(value)


BOUNDS = [
    click.option(
        "--memory-limit",
        type=MEMORY,
        metavar="8GB",
        expose_value=False,
        callback=_limit_memory,
        help="What toolkit itself may hold in memory; default: four fifths of what is free.",
    ),
]
DEADLINE = click.option(
    "--timeout", type=DURATION, help="The limit for finding out what is right, such as 600s."
)
LIMITS = [
    click.option(
        "--accept",
        type=ACCEPTED,
        multiple=True,
        help="Take answers of this precision as right; `undecided`: those that are not shown.",
    ),
    click.option("--atol", type=LIMIT, help="Right is |error| ≤ atol + rtol·|expected|."),
    click.option("--rtol", type=LIMIT, help="See --atol."),
    click.option(
        "--min-top1-agreement",
        "top1",
        type=PERCENT,
        help="The share of rows whose top class must agree, such as 99%.",
    ),
]


def shared(function: F) -> F:
    """Adds the options of `check`, `bench` and `compare` to a command."""
    return _added(function, [*TARGETS, *FEEDS, *labelled.DATA, *RUNNING, *LIMITS, *BOUNDS])


def memory_bound(function: F) -> F:
    """Adds the limit of memory alone."""
    return _added(function, BOUNDS)


def bounds(function: F) -> F:
    """Adds the limits of time and memory to a command that measures no target."""
    return _added(function, [DEADLINE, *BOUNDS])


def feeds(function: F) -> F:
    """Adds the options that say what the model is fed and by what it is judged."""
    return _added(function, FEEDS)


def limits(function: F) -> F:
    """Adds the options that say how precise is right enough."""
    return _added(function, LIMITS)


def _added(function: F, options: Sequence[Callable[[F], F]]) -> F:
    # As decorators the last one is applied first.
    for option in reversed(options):
        function = option(function)
    return function


def ask_passphrase(key: Path | None) -> None:
    """Asks at a terminal for the passphrase of a private key that has one, where no variable holds
    it; there it is looked for."""
    import os
    import sys

    from toolkit.deployment import signing

    is_asked = sys.stdin.isatty() and sys.stderr.isatty() and signing.PASSPHRASE not in os.environ
    if key is not None and is_asked and key.is_file() and signing.is_locked(key):
        os.environ[signing.PASSPHRASE] = screen.secret(f"Passphrase of {key}")


def model_of(model: Path | None) -> Path:
    """Returns the model that is named, else the reference model.

    Raises InputError where none is named and the reference model was not exported here.
    """
    from toolkit.errors import InputError
    from toolkit.pipelines.bench import REFERENCE

    if model is None and not REFERENCE.exists():
        command = f"toolkit {click.get_current_context().info_name} M.onnx"
        raise InputError(
            f"there is no {REFERENCE} here",
            f"{'toolkit export':<{len(command)}}    makes it",
            f"{command}    takes another model",
        )
    return model or REFERENCE


def targets_of(provider: str | None, targets: tuple[str, ...]) -> list[Target]:
    """Returns the targets that --provider names, then those of --target."""
    from toolkit.runtimes.target import of_providers, parse

    return [*([] if provider is None else of_providers(provider)), *map(parse, targets)]


def feed_request(given: dict[str, Any]) -> FeedRequest:
    """Returns what the model is to be fed, from the values of FEEDS."""
    from toolkit.engine.assignment import FeedRequest
    from toolkit.feeds import parsing

    if given["inputs"] is not None and (given["dims"] or given["batch"] or given["shapes"]):
        raise click.UsageError("--inputs has its own sizes: leave out --dim, --batch and --shape")

    return FeedRequest(
        dims=parsing.dims(given["dims"]),
        batch=parsing.batch(given["batch"]) if given["batch"] else (),
        shapes=parsing.shapes(given["shapes"]),
        inputs=given["inputs"],
        seed=given["seed"],
    )


def source_of(given: dict[str, Any]) -> Source | None:
    """Returns the PyTorch source that --source and --weights name; None: it is not named."""
    from toolkit.sources import source

    if given["source"] is None:
        if given["weights"] is not None:
            raise click.UsageError("--weights needs the --source that they belong to")
        return None
    return source.parse(given["source"], weights=given["weights"])


def limits_of(given: dict[str, Any]) -> Limits:
    """Returns how precise is right enough, from the values of LIMITS."""
    from toolkit.answers.verdict import Limits

    accepted = dict.fromkeys(given["accept"])
    undecided = UNDECIDED in accepted
    accepted.pop(UNDECIDED, None)
    if len(accepted) > 1:
        raise click.UsageError(f"--accept takes one precision, not {' and '.join(accepted)}")
    precision = next(iter(accepted), None)
    return Limits(precision, given["atol"], given["rtol"], given["top1"], undecided)


def bench_request(given: dict[str, Any]) -> BenchRequest:
    """Returns all that is asked for besides the model; options that a command has not are unset."""
    import sys

    from toolkit.cli import typed
    from toolkit.measure import schedule
    from toolkit.pipelines.bench import BenchRequest
    from toolkit.workers.jobs import Patience

    timeout = given["timeout"]
    context, line = click.get_current_context(), ["toolkit", *sys.argv[1:]]
    written, whole = typed.recorded(context.command, line)
    return BenchRequest(
        targets=targets_of(given["provider"], given["targets"]),
        everything=given.get("everything", False),
        baseline=given.get("baseline"),
        wanted=feed_request(given),
        source=source_of(given),
        pace=schedule.pace(given.get("precision"), given.get("time"), given.get("quick", False)),
        limits=limits_of(given),
        threads=threads_of(given["threads"]),
        patience=Patience(timeout, 10 * timeout),
        deadline=timeout if _is_typed("timeout") else None,
        command=written,
        whole_command=whole,
        relu=given.get("relu", False),
        data=labelled.data_of(given),
        anonymous=given.get("anonymous", False),
        latency_limit=given.get("latency_limit"),
        price=given.get("price"),
    )


def _is_typed(option: str) -> bool:
    """Says whether an option has its value from the command line, not by default."""
    context = click.get_current_context()
    return context.get_parameter_source(option) is ParameterSource.COMMANDLINE


def threads_of(text: str) -> tuple[int, ...]:
    """Returns the numbers of threads in '1,all', each once; 'all' is every core that this process
    may use.

    Raises BadParameter for another text, and for more threads than cores.
    """
    import os

    cores = len(os.sched_getaffinity(0))
    counts = []
    for word in text.split(","):
        count = str(cores) if word.strip() == "all" else word.strip()
        if not count.isdecimal() or int(count) < 1:
            raise click.BadParameter(f"{word!r} is no number of threads: give 1, 2 … or all")
        if int(count) > cores:
            raise click.BadParameter(
                f"{count} threads are more than the {cores} cores that are allowed here"
            )
        counts.append(int(count))
    return tuple(dict.fromkeys(counts))
