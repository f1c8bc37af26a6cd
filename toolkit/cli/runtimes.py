"""toolkit runtimes: which runtimes there are, and environments for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from toolkit.cli.screen import LABEL, line, progress

if TYPE_CHECKING:
    from toolkit.engine.probing import ProbeResult
    from toolkit.workers.managed import Installed

VERSION = 1
"""Of what --json prints."""

EXAMPLES = """\b
Examples:
  toolkit runtimes
  toolkit runtimes install openvino onnxruntime@1.30.0
  toolkit runtimes install --all-cpu
  toolkit runtimes remove openvino
"""


@click.group("runtimes", invoke_without_command=True, epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show every runtime: where it is installed, and the providers that ran a model here.

    Each is started and given a model of one Relu; what is shown as working has worked.
    """
    if context.invoked_subcommand is not None:
        return
    from toolkit.pipelines import installing

    with progress("runtimes") as tell:
        found = installing.look(tell)
    if as_json:
        _print_json(found)
    else:
        _print_table(found)


@command.command("install", epilog="Example: toolkit runtimes install openvino onnxruntime@1.30.0")
@click.argument("names", nargs=-1, metavar="NAME[@VERSION]…")
@click.option("--all-cpu", is_flag=True, help="All that run on the CPU.")
def install(names: tuple[str, ...], all_cpu: bool) -> None:
    """Make environments for runtimes, each of its own, in the user's cache folder.

    Every package is pinned. They are shared between projects, and made whole or not at all.
    """
    from toolkit.pipelines import installing
    from toolkit.workers import managed

    if bool(names) == all_cpu:
        known = ", ".join(sorted(managed.recipes()))
        raise click.UsageError(f"give names or --all-cpu; there are: {known}")
    recipes = [*map(managed.parse, names)] if names else installing.for_the_cpu()
    with progress("install") as tell:
        installing.install(recipes, _say, tell)


def _say(made: Installed, there: bool) -> None:
    from toolkit.units import size

    was = "was there" if there else "installed"
    line("install", f"{made.name} {made.version} {was} · {size(made.size)}")


@command.command("remove", epilog="Example: toolkit runtimes remove openvino@2026.4.0")
@click.argument("names", nargs=-1, required=True, metavar="NAME[@VERSION]…")
def remove(names: tuple[str, ...]) -> None:
    """Remove environments that `install` made: all versions, or the one that is named."""
    from toolkit.units import size
    from toolkit.workers import managed

    for name in names:
        plain, _, version = name.partition("@")
        for gone in managed.remove(plain, version or None):
            line("remove", f"{gone.name} {gone.version} removed · {size(gone.size)}")


@command.command("clear", epilog="Example: toolkit runtimes clear")
def clear() -> None:
    """Remove what runtimes made of models and toolkit kept: the next run makes it anew."""
    from toolkit.units import size
    from toolkit.workers import managed

    count, taken = managed.clear()
    line("clear", f"{count} conversions removed · {size(taken)}")


HEAD = ("runtime", "where", "version", "runs on", "precision", "licence", "on disk")


def _print_table(found: list[ProbeResult]) -> None:
    from toolkit.report.words import width

    rows = [HEAD, *(_row(one) for one in found)]
    room = [max(width(row[column]) for row in rows) for column in range(len(HEAD))]
    for number, row in enumerate(rows):
        cells = (text + " " * (room[i] - width(text)) for i, text in enumerate(row))
        line("runtimes" if not number else "", "  ".join(cells))
    for one in found:
        for reason in [one.fault, *(f"not on {p}: {why}" for p, why in one.refused)]:
            if reason:
                line("", f"{one.place.runtime}: {reason}")
    absent = [one.place.recipe for one in found if not one.place.environment]
    if absent:
        click.echo(f"\n{'':<{LABEL}}toolkit runtimes install {' '.join(absent)}")


def _row(one: ProbeResult) -> tuple[str, ...]:
    from toolkit.units import size

    place = one.place
    return (
        place.runtime,
        place.environment or "not installed",
        one.version or "–",
        ", ".join(one.works) or "–",
        one.precision or "–",
        place.licence or "–",
        "–" if place.size is None else size(place.size),
    )


def _print_json(found: list[ProbeResult]) -> None:
    import json
    from dataclasses import asdict

    rows: list[dict[str, Any]] = [asdict(one) for one in found]
    click.echo(json.dumps({"version": VERSION, "runtimes": rows}, indent=2))
