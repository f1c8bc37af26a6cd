"""`toolkit doctor`: says what is wrong with an installation or a machine, with the cure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from toolkit.cli import screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.doctor.finding import Finding

VERSION = 1
"""The version of what --json prints."""
TOPIC = 13
"""Width of the second column: that of 'onnxruntime', and two spaces."""


@click.command("doctor", epilog="Example: toolkit doctor --env ~/venvs/gpu")
@click.option("--env", metavar="PATH", help="Examine this environment instead of toolkit's own.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(env: str | None, as_json: bool) -> None:
    """Say what is wrong with this installation or machine, and how to mend it.

    The worst comes first, each with commands to paste. Exits 1 where there is a fault.
    """
    from toolkit.doctor.examination import examine

    with screen.progress("doctor") as draw:
        draw(None, "asks the environment and watches the machine")
        findings = examine(env)
    if as_json:
        _print_json(findings)
    else:
        _print_table(findings)
    if any(finding.severity == "fault" for finding in findings):
        raise click.exceptions.Exit(1)


def _print_table(findings: Sequence[Finding]) -> None:
    for finding in findings:
        screen.line(finding.severity, f"{finding.topic:<{TOPIC}}{finding.what}")
        for cure in finding.cures:
            screen.line("", f"{'':<{TOPIC}}  {cure}")
    counts = Counter(str(finding.severity) for finding in findings)
    screen.say()
    screen.line("", f"{_count(counts['fault'], 'fault')}, {_count(counts['note'], 'note')}")


def _count(number: int, name: str) -> str:
    return f"{number or 'no'} {name}{'' if number == 1 else 's'}"


def _print_json(findings: Sequence[Finding]) -> None:
    import json
    from dataclasses import asdict

    rows = [asdict(finding) for finding in findings]
    screen.json(json.dumps({"version": VERSION, "findings": rows}, indent=2))
