"""Every option that a message proposes is one of the command that prints it.

A cure of an error that begins with an option is shown only by commands that have it
(`cli._taken`): errors rise where no one knows which command asked. All other texts are held to the
commands that can print them, by the table below.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from toolkit import cli
from toolkit.records.schema import WarningKind
from toolkit.report.warnings import ADVICE

PACKAGE = Path(cli.__file__).parent.parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
NAMED = re.compile(r"\btoolkit ([a-z]+)")


def options_of(command: click.Command) -> set[str]:
    own = {name for parameter in command.params for name in parameter.opts}
    if isinstance(command, click.Group):
        own.update(*map(options_of, command.commands.values()))
    return own | {"--help"}


COMMANDS = {
    name: options_of(importlib.import_module(f"toolkit.cli.{name}").command)
    for name in cli.COMMANDS
}
OURS = set().union(*COMMANDS.values())

JUDGING = {"check", "bench", "compare"}
MEASURING = {"bench", "compare"}
FED = {*JUDGING, "deploy"}
PRINTED_BY: dict[str, set[str]] = {
    "cli.check": {"check"},
    "cli.deploy": {"deploy"},
    "cli.export": {"export"},
    "cli.labelled": JUDGING,
    "cli.options": FED,  # Of what was typed: limits and feeds.
    "cli.report": {"report"},
    "cli.resuming": {"bench"},
    "cli.runtimes": {"runtimes"},
    "cli.train": {"train"},
    "data": JUDGING,
    "deployment.proving": {"deploy"},
    "deployment.signing": set(),  # Words about what was typed, of several commands.
    "deployment.verifying": {"check"},
    "engine.assignment": FED,
    "engine.ownsizes": FED,
    "engine.judges": FED,
    "engine.selection": {"bench"},
    "exporter": {"export"},
    "feeds": FED,
    "measure": MEASURING,
    "onnxfiles.modelfile": {"export"},  # It says how the file came to be.
    "pipelines.attempts": {"export"},
    "pipelines.export": {"export"},
    "report.checked": {"check"},
    "report.conclusion": JUDGING,
    "report.deciding": {"compare"},
    "report.decision": {"compare"},
    "runtimes": JUDGING,
    "sources": {"export"},
    "workers": JUDGING,
}
"""Module or room → the commands that can print its texts. `run` prints those of bench, which it
calls by that name, and `report` those of the command in the record. `report.warnings` is held by
the kinds of warning."""

FOREIGN = (
    "deployment.chromium", "deployment.destinations", "deployment.documents",
    "deployment.headers", "deployment.npm", "deployment.python", "deployment.venvs", "doctor",
    "onnxfiles.parsing", "onnxfiles.storedtensors", "report.ranking", "report.svg", "runtimes",
    "workers",
)  # fmt: skip
"""Rooms and modules that name options of other programs: pip, npm, docker, Chromium, cmake."""


HELP = {
    parameter.help
    for name in cli.COMMANDS
    for parameter in importlib.import_module(f"toolkit.cli.{name}").command.params
    if isinstance(parameter, click.Option)
}
"""The help of options has a test of its own."""


@dataclass(frozen=True)
class Mention:
    """An option in a text of the package."""

    module: str
    """Below the package: 'feeds.drawing'."""
    line: str
    """The line of the text; what is filled in stands as {}."""
    option: str
    before: str

    @property
    def named(self) -> str:
        """The command that the line names before it; empty where it names none."""
        names = [name for name in NAMED.findall(self.before) if name in COMMANDS]
        return names[-1] if names else ""

    def within(self, *prefixes: str) -> str:
        """The longest of the prefixes that the module is below; empty: none."""
        inside = [p for p in prefixes if self.module == p or self.module.startswith(f"{p}.")]
        return max(inside, key=len, default="")


def texts(path: Path) -> Iterator[str]:
    """The texts of a module, but for docstrings and the declarations of options."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "{}" for p in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from [node.value] if id(node) not in skipped else []


def mentions() -> list[Mention]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if "templates" in module:
            continue
        for line in (line for text in texts(path) for line in text.splitlines()):
            if OPTION.fullmatch(line) or line in HELP:  # A declaration, or a word of a command.
                continue
            found += [
                Mention(module, line, match[0], line[: match.start()])
                for match in OPTION.finditer(line)
            ]
    return found


ALL = mentions()
OWN = [each for each in ALL if each.option in OURS and not each.within("report.warnings")]


def test_the_package_proposes_options() -> None:
    assert len(ALL) > 100


def test_an_option_of_no_command_of_ours_is_one_of_a_program_that_is_called() -> None:
    strange = [each for each in ALL if each.option not in OURS and not each.within(*FOREIGN)]

    assert strange == []


def test_a_command_that_a_message_names_has_the_option_behind_it() -> None:
    wrong = [each for each in OWN if each.named and each.option not in COMMANDS[each.named]]

    assert wrong == []


def test_every_text_is_of_a_room_whose_commands_are_known() -> None:
    unknown = [
        each
        for each in OWN
        if not each.named and each.before and not each.within(*PRINTED_BY, *FOREIGN)
    ]

    assert unknown == []


def test_every_command_that_can_print_a_text_has_the_options_in_it() -> None:
    lacking = [
        (each, command)
        for each in OWN
        if not each.named and each.before
        for command in sorted(PRINTED_BY.get(each.within(*PRINTED_BY), ()))
        if each.option not in COMMANDS[command]
    ]

    assert lacking == []


@pytest.mark.parametrize("kind", WarningKind)
def test_the_advice_of_a_warning_is_of_options_that_its_commands_have(kind: WarningKind) -> None:
    """Whatever a check may warn of, it can be told of what a check has."""
    commands = JUDGING if kind in CHECKED else MEASURING

    for text in (ADVICE[kind].means, ADVICE[kind].do):
        for option in OPTION.findall(text):
            assert all(option in COMMANDS[command] for command in commands), (kind, option)


CHECKED = (
    WarningKind.PLACEMENT, WarningKind.FEWER_SHAPES, WarningKind.DISPUTED, WarningKind.SATURATES,
    WarningKind.NOT_LOOKED_AT,
)  # fmt: skip
"""The warnings that come of judging alone."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cure_that_begins_with_an_option_is_shown_by_commands_that_have_it(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["toolkit", command])
    leading = {each.option for each in OWN if not each.before}
    top = importlib.import_module(f"toolkit.cli.{command}").command
    has = {name for parameter in top.params for name in parameter.opts}

    assert leading
    assert {option for option in leading if cli._taken(f"{option} 8    asks for it")} == (
        leading & has
    )


def test_every_help_text_speaks_of_options_of_its_own_command() -> None:
    wrong = [
        (name, option)
        for name in cli.COMMANDS
        for parameter in importlib.import_module(f"toolkit.cli.{name}").command.params
        if isinstance(parameter, click.Option)
        for option in OPTION.findall(parameter.help or "")
        if option not in COMMANDS[name]
    ]

    assert wrong == []
