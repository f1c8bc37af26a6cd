"""`toolkit runtimes`: shows which runtimes there are, and makes environments for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import screen
from toolkit.cli.screen import LABEL

if TYPE_CHECKING:
    from toolkit.engine.probing import ProbeResult
    from toolkit.workers.managed import Installed

VERSION = 1
"""The version of what --json prints."""

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

    with screen.progress("runtimes") as draw:
        results = installing.look(draw)
    if as_json:
        _print_json(results)
    else:
        _print_table(results)


@command.command("install", epilog="Example: toolkit runtimes install openvino onnxruntime@1.30.0")
@click.argument("names", nargs=-1, metavar="NAME[@VERSION]…")
@click.option("--all-cpu", is_flag=True, help="Install all that run on the CPU.")
def install(names: tuple[str, ...], all_cpu: bool) -> None:
    """Make environments for runtimes.

    Each lies in the user's cache folder, with every package pinned. It is shared between projects,
    and made whole or not at all.
    """
    from toolkit.pipelines import installing
    from toolkit.workers import managed

    if bool(names) == all_cpu:
        known = ", ".join(sorted(managed.recipes()))
        raise click.UsageError(f"give names or --all-cpu; there are: {known}")
    recipes = [*map(managed.parse, names)] if names else installing.for_the_cpu()
    with screen.progress("install") as draw:
        installing.install(recipes, _print_installed, draw)


def _print_installed(environment: Installed, was_there: bool) -> None:
    from toolkit.units import size

    outcome = "was there" if was_there else "installed"
    screen.line(
        "install",
        f"{environment.name} {environment.version} {outcome} · {size(environment.size)}",
    )


@command.command("remove", epilog="Example: toolkit runtimes remove openvino@2026.4.0")
@click.argument("names", nargs=-1, required=True, metavar="NAME[@VERSION]…")
def remove(names: tuple[str, ...]) -> None:
    """Remove environments of runtimes.

    They are those that `install` made: all versions of a runtime, or the one that is named.
    """
    from toolkit.units import size
    from toolkit.workers import managed

    for name in names:
        plain, _, version = name.partition("@")
        for removed in managed.remove(plain, version or None):
            screen.line(
                "remove", f"{removed.name} {removed.version} removed · {size(removed.size)}"
            )


@command.command("clear", epilog="Example: toolkit runtimes clear")
def clear() -> None:
    """Remove the converted models that are kept.

    A run that needs one converts the model again.
    """
    from toolkit.units import size
    from toolkit.workers import managed

    count, freed = managed.clear()
    screen.line("clear", f"{count} conversions removed · {size(freed)}")


HEAD = ("runtime", "where", "version", "runs on", "precision", "licence", "on disk")


def _print_table(results: list[ProbeResult]) -> None:
    from toolkit.report.words import width

    rows = [HEAD, *map(_row, results)]
    widths = [max(width(row[column]) for row in rows) for column in range(len(HEAD))]
    for number, row in enumerate(rows):
        cells = (text + " " * (widths[i] - width(text)) for i, text in enumerate(row))
        screen.line("runtimes" if not number else "", "  ".join(cells))
    for result in results:
        refusals = [f"not on {provider}: {why}" for provider, why in result.refused]
        for reason in [result.fault, *refusals]:
            if reason:
                screen.line("", f"{result.place.runtime}: {reason}")
    absent = [result.place.recipe for result in results if not result.place.environment]
    if absent:
        click.echo(f"\n{'':<{LABEL}}toolkit runtimes install {' '.join(absent)}")


def _row(result: ProbeResult) -> tuple[str, ...]:
    """Returns the cells below HEAD; – where nothing is known."""
    from toolkit.units import size

    installation = result.place
    return (
        installation.runtime,
        installation.environment or "not installed",
        result.version or "–",
        ", ".join(result.works) or "–",
        result.precision or "–",
        installation.licence or "–",
        "–" if installation.size is None else size(installation.size),
    )


def _print_json(results: list[ProbeResult]) -> None:
    import json
    from dataclasses import asdict

    rows: list[dict[str, Any]] = [asdict(result) for result in results]
    click.echo(json.dumps({"version": VERSION, "runtimes": rows}, indent=2))
