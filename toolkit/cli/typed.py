"""Reads a command line word by word, so that the paths in it can be written otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import click

from toolkit.cli import decisions
from toolkit.cli.decisions import Decision, PathForm
from toolkit.data import request


@dataclass(frozen=True)
class Word:
    """One word of a command line, or the part of it that is a value."""

    before: str
    """What stands before the value in the same word: '--source=', '-o'; mostly nothing."""
    value: str
    decision: Decision | None
    """That on the parameter whose value it is; None: it is the name of an option."""


def words(command: click.Command, line: Sequence[str]) -> Iterator[Word]:
    """The words that follow the name of a command, each with what it is."""
    options = {
        name: parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    waiting: click.Option | None = None
    only_arguments = False
    for word in line:
        if waiting is not None and not (_may_lack_value(waiting) and word.startswith("-")):
            yield Word("", word, decisions.of(str(command.name), waiting))
            waiting = None
            continue
        waiting = None
        if only_arguments or not word.startswith("-") or word == "-":
            argument = arguments.pop(0) if len(arguments) > 1 else next(iter(arguments), None)
            yield Word(
                "",
                word,
                decisions.UNDECIDED
                if argument is None
                else decisions.of(str(command.name), argument),
            )
            continue
        only_arguments = word == "--"
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            name, equals, value = word[:2], "", word[2:]
        option = options.get(name)
        if option is not None and not option.is_flag and (equals or value):
            yield Word(name + equals, value, decisions.of(str(command.name), option))
            continue
        yield Word("", word, None)
        waiting = option if option is not None and not option.is_flag else None


def _may_lack_value(option: click.Option) -> bool:
    """Says whether an option may stand alone, as --resume may."""
    return option.flag_value is not None and not option.is_flag


def rewritten(
    command: click.Command, line: Sequence[str], write: Callable[[str, PathForm], str]
) -> list[str]:
    """A command line, 'toolkit NAME …', whose values are written by `write`, which is told in which
    form the path stands in each."""
    values = (
        (word, word.value if word.decision is None else write(word.value, word.decision.form))
        for word in words(command, line[2:])
    )
    return [*line[:2], *(f"{word.before}{value}" for word, value in values)]


def recorded(command: click.Command, line: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line as a record has it; and with whole paths, where the record's does not name
    every file from the current folder, else empty."""
    written, meant = rewritten(command, line, shown), rewritten(command, line, whole)
    says_all = rewritten(command, written, whole) == meant
    return written, [] if says_all else meant


def shown(value: str, form: PathForm) -> str:
    """A value as a record has it: without the folders that lie elsewhere."""
    from toolkit.records import privacy

    match form:
        case PathForm.PATH:
            return privacy.path(value) if value else value
        case PathForm.SOURCE:
            return privacy.source(value)
        case PathForm.TARGET:
            return privacy.target(value)
        case PathForm.LABELLED:
            return request.with_path(value, privacy.path)
        case PathForm.PLAIN:
            return privacy.without_paths(value)


def whole(value: str, form: PathForm) -> str:
    """A value that means the same in whichever folder it is typed."""
    return with_paths(value, form, _absolute)


def with_paths(value: str, form: PathForm, write: Callable[[str], str]) -> str:
    """A value whose paths are written by `write`."""
    from toolkit.runtimes import target
    from toolkit.sources import source

    match form:
        case PathForm.PATH:
            return write(value) if value else value
        case PathForm.SOURCE:
            return source.with_file(value, write)
        case PathForm.TARGET:
            return target.with_paths(value, write)
        case PathForm.LABELLED:
            return request.with_path(value, write)
        case PathForm.PLAIN:
            return value


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
