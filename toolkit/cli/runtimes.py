"""`toolkit runtimes`: shows which runtimes there are, and makes environments for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import screen

if TYPE_CHECKING:
    from toolkit.engine.probing import ProbeResult
    from toolkit.workers.managed import CacheSizes, Installed

VERSION = 1
"""The version of what --json prints."""

EXAMPLES = """\b
Examples:
  toolkit runtimes
  toolkit runtimes install openvino onnxruntime@1.30.0
  toolkit runtimes install --all-cpu
  toolkit runtimes sbom openvino -o openvino.cdx.json
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
    from toolkit.workers import managed

    with screen.progress("runtimes") as draw:
        results = installing.look(draw)
    if as_json:
        _print_json(results, managed.sizes())
    else:
        _print_table(results, managed.sizes())


@command.command("install", epilog="Example: toolkit runtimes install openvino onnxruntime@1.30.0")
@click.argument("names", nargs=-1, metavar="NAME[@VERSION]…")
@click.option("--all-cpu", is_flag=True, help="Install all that run on the CPU.")
def install(names: tuple[str, ...], all_cpu: bool) -> None:
    """Make environments for runtimes.

    Each lies in the user's cache folder, made from a lock file that pins every package with the
    hashes of its files, which are compared before anything is installed; PyTorch alone, where a
    runtime needs it, is pinned without one. A VERSION that no lock is for is resolved, and what was
    found is kept with the environment. Environments of older locks are removed.
    """
    from toolkit.pipelines import installing
    from toolkit.workers import recipes

    if bool(names) == all_cpu:
        known = ", ".join(sorted(recipes.known()))
        raise click.UsageError(f"give names or --all-cpu; there are: {known}")
    wanted = [*map(recipes.parse, names)] if names else installing.for_the_cpu()
    with screen.progress("install") as draw:
        removed = installing.install(wanted, _print_installed, draw)
    for environment in removed:
        _print_removed(environment, ", made from an older lock,")


def _print_installed(environment: Installed, was_there: bool) -> None:
    from toolkit.units import size

    outcome = "was there" if was_there else "installed"
    screen.line(
        "install",
        f"{environment.name} {environment.version} {outcome} · {size(environment.size)}",
    )


@command.command("remove", epilog="Example: toolkit runtimes remove openvino@2026.4.0")
@click.argument("names", nargs=-1, required=True, metavar="NAME[@VERSION]…")
@click.option("--force", is_flag=True, help="Also where a process uses one, which may then fail.")
def remove(names: tuple[str, ...], force: bool) -> None:
    """Remove environments of runtimes.

    They are those that `install` made: all versions of a runtime, or the one that is named. Where a
    process uses one of them, such as a run, all of that name stay, and the process is named.
    """
    from toolkit.workers import managed

    for name in names:
        plain, _, version = name.partition("@")
        for removed in managed.remove(plain, version or None, force=force):
            _print_removed(removed)


def _print_removed(environment: Installed, why: str = "") -> None:
    from toolkit.units import size

    text = f"{environment.name} {environment.version}{why} removed · {size(environment.size)}"
    screen.line("remove", text)


@command.command("clear", epilog="Example: toolkit runtimes clear")
def clear() -> None:
    """Remove the converted models that are kept.

    A run that needs one converts the model again.
    """
    from toolkit.units import size
    from toolkit.workers import managed

    count, freed = managed.clear()
    screen.line("clear", f"{count} conversions removed · {size(freed)}")


@command.command("sbom", epilog="Example: toolkit runtimes sbom openvino -o openvino.cdx.json")
@click.argument("name", metavar="NAME[@VERSION]")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write it to a file."
)
def sbom(name: str, output: Path | None) -> None:
    """Print what an environment is made of, as CycloneDX.

    The software bill of materials has each package with its version, its licence and the hash of
    the file that was installed, and marks what was installed without a hash.
    """
    from toolkit.pipelines import inventory
    from toolkit.records import untrusted

    text = inventory.bill(name)
    if output is None:
        screen.json(text)
    else:
        untrusted.write(output, text.encode())


HEAD = ("runtime", "where", "version", "runs on", "precision", "licence", "on disk")


def _print_table(results: list[ProbeResult], sizes: CacheSizes) -> None:
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
    _print_sizes(sizes)
    absent = [result.place.recipe for result in results if not result.place.environment]
    if absent:
        screen.say()
        screen.line("", f"toolkit runtimes install {' '.join(absent)}")


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


def _print_sizes(sizes: CacheSizes) -> None:
    from toolkit.units import size

    older = f", of which {size(sizes.older)} from older locks" if sizes.older else ""
    screen.line(
        "cache",
        f"environments {size(sizes.environments)}{older}"
        f" · converted models {size(sizes.conversions)}",
    )


def _print_json(results: list[ProbeResult], sizes: CacheSizes) -> None:
    import json
    from dataclasses import asdict

    rows: list[dict[str, Any]] = [asdict(result) for result in results]
    content = {"version": VERSION, "runtimes": rows, "cache": asdict(sizes)}
    screen.json(json.dumps(content, indent=2))
