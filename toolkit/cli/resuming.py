"""Goes on with a run: with what its record tells, and with what the user says about it now.

A record is a stranger's text until somebody who has looked at it says otherwise. What it names
that runs code (`decisions.py`, D1) is typed again, or confirmed at a terminal which shows the file
and its digest; the rest is taken from it as it stands.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from toolkit import plaintext
from toolkit.cli import decisions, screen, typed
from toolkit.cli.decisions import PathForm
from toolkit.errors import InputError, RunError, first_line

if TYPE_CHECKING:
    from toolkit.records.schema import Run

Values = dict[str, Any]
"""The values of a command's parameters, by their names."""


@dataclass(frozen=True)
class Code:
    """A value of an unfinished run by which code would be run."""

    parameter: click.Parameter
    value: str
    """As its option takes it; empty: the option is a flag."""

    @property
    def words(self) -> list[str]:
        """The value as it is typed."""
        option = max(self.parameter.opts, key=len)
        return [option, self.value] if self.value else [option]


def values(command: click.Command, folder: Path, typed_now: Values) -> Values:
    """The values with which an unfinished run goes on: those with which it was started, but for
    what is typed now, and for where it lies and what is printed.

    Raises RunError where the run was not started by `command`, where it names code that the user
    neither typed nor confirmed, and where what is typed is not what the run had.
    """
    from toolkit.records import store, whereabouts

    run = store.head(folder)
    _demand_started_by(command, folder, run)
    kept = whereabouts.of(folder, run.started)
    line = kept.command if kept is not None and kept.command else run.command
    before = _values_of(command, folder, line[2:])
    before.pop("resume")
    chosen = _joined(command, before, typed_now)
    if unsaid := [*_code(command, chosen.unsaid)]:
        _demand_confirmed(folder, unsaid, chosen.values)
    _demand_model(folder, chosen.values)
    return {**chosen.values, "reports": folder.parent, "as_json": typed_now["as_json"]}


def _values_of(command: click.Command, folder: Path, words: Sequence[str]) -> Values:
    """The values of a command line that a record holds. Raises RunError where nobody can have typed
    it: a record is a stranger's text, which prints no help and no usage."""
    context = click.Context(command, info_name=command.name)
    try:
        # Asked for help, or for the version, click prints it and ends the command.
        with contextlib.redirect_stdout(io.StringIO()):
            command.parse_args(context, [*words])
    except (click.ClickException, click.exceptions.Exit) as error:
        reason = (
            error.format_message()
            if isinstance(error, click.ClickException)
            else "it asks for help"
        )
        raise RunError(
            f"the command in {folder} cannot be typed again: {first_line(reason)}",
            "toolkit bench    starts a new one",
        ) from error
    return context.params


def _demand_started_by(command: click.Command, folder: Path, run: Run) -> None:
    if run.command[:2] == ["toolkit", command.name]:
        return
    line = shlex.join(run.command)
    started = f"started by {line}" if run.command else "started from Python"
    raise RunError(
        f"{folder} was {started}: only a run of toolkit bench goes on by --resume",
        *([f"{line}    starts it anew"] if run.command else []),
    )


@dataclass(frozen=True)
class _Chosen:
    """The values of a run that goes on."""

    values: Values
    unsaid: Values
    """Those that stand in the record alone: nobody has typed them now."""


def _joined(command: click.Command, before: Values, now: Values) -> _Chosen:
    """Puts what is typed now in the place of what it was. Raises RunError where they differ."""
    context = click.get_current_context()
    values, unsaid = dict(before), dict(before)
    for parameter in command.params:
        name = str(parameter.name)
        decision = decisions.of(str(command.name), parameter)
        if name not in before or name == "reports" or not _was_typed(context, name):
            continue
        if name == "targets":
            values[name], unsaid[name] = _targets(before[name], now[name])
        elif decision is not decisions.SAFE:  # The others stay as they were: they are the plan's.
            # The plan's digest tells whether the model is the same, and a flag names nothing.
            if name != "model" and now[name] is not True:
                _demand_same(parameter, decision.form, before[name], now[name])
            values[name], unsaid[name] = now[name], None
    return _Chosen(values, unsaid)


def _was_typed(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _targets(before: Sequence[str], now: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The targets in their old order, each as it is typed now where it is; and those that are not.

    Raises RunError for one that the run has not.
    """
    typed_now = {_bare(text, PathForm.TARGET): text for text in now}
    strange = [text for bare, text in typed_now.items() if bare not in _all_bare(before)]
    if strange:
        raise RunError(
            f"this run has no target {strange[0]}; it has: {', '.join(before) or 'its defaults'}"
        )
    chosen = tuple(typed_now.get(_bare(text, PathForm.TARGET), text) for text in before)
    unsaid = tuple(text for text in before if _bare(text, PathForm.TARGET) not in typed_now)
    return chosen, unsaid


def _all_bare(texts: Sequence[str]) -> set[str]:
    return {_bare(text, PathForm.TARGET) for text in texts}


def _demand_same(parameter: click.Parameter, form: PathForm, before: Any, now: Any) -> None:
    was_typed, is_typed = (each if isinstance(each, tuple) else (each,) for each in (before, now))
    if before and _all(was_typed, form) == _all(is_typed, form):
        return
    option = max(parameter.opts, key=len)
    was = f"was {before}" if before else "was not given"
    raise RunError(
        f"this run cannot go on: its {option} {was}, now it is {now}",
        "toolkit bench    starts a new one",
    )


def _all(values: Sequence[object], form: PathForm) -> list[str]:
    return [_bare(str(value), form) for value in values]


def _bare(value: str, form: PathForm) -> str:
    """A value without any folder: a record holds no more, and digests of the plan tell the rest."""
    return typed.with_paths(value, form, lambda path: os.path.basename(os.path.abspath(path)))


def _code(command: click.Command, unsaid: Values) -> Iterator[Code]:
    """The values that nobody typed and that would run code."""
    for parameter in command.params:
        decision = decisions.of(str(command.name), parameter)
        value = unsaid.get(str(parameter.name))
        each = value if isinstance(value, tuple) else (value,)
        for one in each:
            if one in (None, False, ""):
                continue
            text = "" if one is True else str(one)
            if decision.runs_code(text):
                yield Code(parameter, text)


def _demand_confirmed(folder: Path, code: Sequence[Code], values: Values) -> None:
    """Asks at a terminal whether code that a record names may be run.

    Raises RunError where there is no terminal, with the command that names it, and where the user
    does not say yes.
    """
    line = ["toolkit", "bench", "--resume", str(folder), *(w for each in code for w in each.words)]
    cure = f"{shlex.join(line)}    goes on, if you trust what it names"
    what = f"{folder} names code that is run only if you type it again"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        named = ", ".join(shlex.join(each.words) for each in code)
        raise RunError(f"{what}: {named}", cure)
    screen.say(plaintext.line(f"{folder} would run with your rights:"), err=True)
    for each in code:
        screen.say(plaintext.line(f"  {shlex.join(each.words)}"), err=True)
        for text in _evidence(each, values):
            screen.say(plaintext.line(f"    {text}"), err=True)
    if not screen.confirmed("Run it?"):
        raise RunError(f"{folder} was left as it is", cure)


def _evidence(code: Code, values: Values) -> Iterator[str]:
    """The files that would be run, each with its digest, a line each."""
    match code.parameter.name:
        case "source" | "examples" | "preprocess" | "metrics":
            yield _source_file(code.value)
        case "weights":
            yield _digest(Path(code.value))
        case "targets":
            yield from map(_digest, _programs(code.value))
        case "install":
            yield from _packages(values)


def _source_file(text: str) -> str:
    from toolkit.sources import importing, source

    try:
        named = source.parse(text)
    except InputError as error:
        return error.what
    file = named.file or importing.file_of(named)
    return "no file has this module" if file is None else _digest(file)


def _programs(target: str) -> Iterator[Path]:
    """The Python of a target's environment, or the list of its packages."""
    from toolkit.runtimes import target as targets

    environment = targets.parse(target).environment
    if environment is None:
        return
    folder = Path(environment).expanduser().absolute()
    names = ("bin/python", "package-lock.json", "package.json")
    yield next((folder / name for name in names if (folder / name).is_file()), folder)


def _packages(values: Values) -> Iterator[str]:
    from toolkit.cli import options
    from toolkit.engine import selection

    targets = options.targets_of(values["provider"], values["targets"])
    for recipe in selection.missing(targets):
        yield f"{recipe.name} {recipe.version}, from the package index"
    if values["everything"]:
        yield "every runtime that is not installed, from the package index"


def _digest(file: Path) -> str:
    from toolkit.sources import factory

    if not os.path.isfile(file):
        return f"{file} is no file"
    return f"{file.absolute()} sha256 {factory.file_digest(file)}"


def _demand_model(folder: Path, values: Values) -> None:
    """Raises RunError where the model is not here: its record tells no folder."""
    model = values["model"]
    if model is not None and not os.path.exists(model):  # A name may be too long to be one.
        raise RunError(
            f"{model.name}, the model of {folder}, is not in this folder, and no cache of yours"
            " says where it lies",
            f"toolkit bench M.onnx --resume {shlex.quote(str(folder))}    names it",
        )
