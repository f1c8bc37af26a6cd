"""What a record tells of the folders of a machine and of its user: nothing.

P1  A path is written relative to the current folder, or as its bare name where it lies elsewhere.
    So a command that a report prints runs in the right folder, and names no other.
P2  Words of others (libraries, logs, systems) are searched for paths, for the user's name and for
    the host's.
P3  Texts lose their paths when they are written. The command that is running shows them whole: a
    cure has to work when it is pasted.
"""

from __future__ import annotations

import itertools
import os
import pwd
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from toolkit.errors import temporary_folder
from toolkit.machine import facts
from toolkit.records.metrics import LabelledData
from toolkit.records.parts import GenerationPart
from toolkit.records.schema import Failure, Plan, PlannedTarget, Run, Warning
from toolkit.runtimes import target as runtime_targets
from toolkit.sources import source as sources

NUMBER = re.compile(r" \(\d+\)$")
"""Follows the name of a target where another has the same."""
HOME = re.compile(r"/(?:home|Users|root|export/home|var/home)(?=/|$)(?:(?<!/root)/[^/]+)?")
"""A home, whoever's: a path that enters one is told from within it alone."""
PATH = re.compile(r"(?:~|\.\.(?:/\.\.)*)?/(?=[^\s/])")
"""The beginning of a path in a text that may lead out of the current folder."""
END = re.compile(r"[\s'\"`,;:()\[\]<>|*]|$")
"""The ends of a path in a text, unless a file has such a letter in its name."""
ENDS = 24
"""Ends that are tried, the farthest first: a name with spaces has several."""
FIRST_PERSONAL_ID = 1000
"""User ids below it are the system's own: 'root' and 'daemon' name nobody (login.defs)."""
SHORTEST_NAME = 3
"""Letters of a user's or a host's name below which it is more often another word."""


def path(text: str | Path) -> str:
    """A path as a record has it (P1); one that begins with ~ is taken for the user's own."""
    whole = os.path.abspath(os.path.expanduser(text))
    here = os.getcwd()
    # A link may lead into the current folder, and out of it.
    for each, folder in ((whole, here), (os.path.realpath(whole), os.path.realpath(here))):
        below = _below(each, folder)
        if below is not None:
            return below
    return os.path.basename(whole) or os.sep


def _below(whole: str, folder: str) -> str | None:
    """A path relative to a folder; None where it is not below it, or enters a home from outside."""
    if whole == folder:
        return os.curdir
    if not whole.startswith(folder.rstrip(os.sep) + os.sep):
        return None
    home = HOME.match(whole)
    homes = [*([home[0]] if home else []), os.path.expanduser("~")]
    if any(_is_in(whole, each) and not _is_in(folder, each) for each in homes):
        return None
    return os.path.relpath(whole, folder)


def _is_in(whole: str, folder: str) -> bool:
    return folder != os.sep and (whole + os.sep).startswith(folder.rstrip(os.sep) + os.sep)


def source(text: str) -> str:
    """A source as it is typed, 'FILE.py:NAME(key=value)' or 'MODULE:NAME', without its folder."""
    return sources.with_file(text, path, without_paths)


def target(text: str) -> str:
    """A target as it is typed, its env= and model= without their folders."""
    return runtime_targets.with_paths(text, path)


def without_paths(text: str) -> str:
    """A text of others without what it tells of this machine's folders, its user and its name."""
    text, parts, left = text.replace("file://", ""), [], 0
    known = _known()
    for start in PATH.finditer(text):
        begin = start.start()
        if begin < left:
            continue
        end = _end(text, begin, known)
        if end is not None:
            parts += [text[left:begin], path(text[begin:end])]
            left = end
    return _without_names("".join([*parts, text[left:]]))


def _end(text: str, begin: int, known: Sequence[str]) -> int | None:
    """The end of the path that begins here; None where no path does: '/layer/Conv' names a tensor,
    and 'https://…' a page."""
    follows = begin > 0 and bool(re.match(r"[\w./:~-]", text[begin - 1]))
    inside = max((len(each) for each in known if text.startswith(each, begin)), default=0)
    if follows and not inside:
        return None
    tried = itertools.islice(END.finditer(text, begin + inside), ENDS)
    ends = [each.start() for each in tried]
    for end in reversed(ends):
        if os.path.lexists(os.path.expanduser(text[begin:end])):
            return end
    if inside or _leads_somewhere(text[begin : ends[0]]):
        return ends[0]
    return None


def _leads_somewhere(text: str) -> bool:
    """A file that is gone lay in a folder that is still there; a tensor's name has none."""
    parts = text.split(os.sep)[:3]
    return text.startswith(("~", "..")) or (len(parts) == 3 and os.path.isdir(os.sep.join(parts)))


def _known() -> list[str]:
    """Folders that a text is searched for wherever they stand in it, as in '-I/home/…'."""
    folders = [os.path.expanduser("~"), os.getcwd(), temporary_folder(), sys.prefix]
    return [folder + os.sep for folder in folders if folder.count(os.sep) > 1 or len(folder) > 4]


def _without_names(text: str) -> str:
    for name, instead in ((user_name(), "USER"), (host_name(), "HOST")):
        if len(name) >= SHORTEST_NAME and name != "localhost":
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", instead, text)
    return text


def user_name() -> str:
    """The name of the user, where it is a person's; else empty."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name if number >= FIRST_PERSONAL_ID else ""
    except KeyError:  # A container may run under a number that has no name.
        return ""


def host_name() -> str:
    """The name of the machine, without its domain."""
    return socket.gethostname().partition(".")[0]


def run(whole: Run) -> Run:
    """A record as it is written and shown to others (P1, P2)."""
    return msgspec.structs.replace(
        whole,
        plan=plan(whole.plan),
        records=[
            msgspec.structs.replace(
                record,
                failure=None if record.failure is None else failure(record.failure),
                warnings=warnings(record.warnings),
            )
            for record in whole.records
        ],
        warnings=warnings(whole.warnings),
        data=None if whole.data is None else data(whole.data),
    )


def data(whole: LabelledData) -> LabelledData:
    """Labelled data in whose names no folder stands; texts of examples are what they are."""
    return msgspec.structs.replace(
        whole,
        name=without_paths(whole.name),
        preprocess=source(whole.preprocess),
        drops=[
            msgspec.structs.replace(drop, metric=without_paths(drop.metric)) for drop in whole.drops
        ],
    )


def part(whole: GenerationPart) -> GenerationPart:
    """The part of one generation, as `run`."""
    targets = [
        msgspec.structs.replace(
            each,
            failure=None if each.failure is None else failure(each.failure),
            warnings=warnings(each.warnings),
        )
        for each in whole.targets
    ]
    return msgspec.structs.replace(whole, targets=targets)


def anonymous(whole: GenerationPart) -> GenerationPart:
    """The part of one generation without the names of processes and GPUs: a machine is known by
    them."""
    generation = whole.generation
    busy = [msgspec.structs.replace(each, name=facts.UNNAMED, pid=None) for each in generation.busy]
    gpus = [msgspec.structs.replace(each, name=facts.UNNAMED_GPU) for each in generation.devices]
    shown = msgspec.structs.replace(generation, busy=busy, devices=gpus)
    return msgspec.structs.replace(whole, generation=shown)


def plan(whole: Plan) -> Plan:
    """A plan in whose texts no folder stands."""
    told = whole.model.metadata
    return msgspec.structs.replace(
        whole,
        model=msgspec.structs.replace(
            whole.model, metadata={key: without_paths(value) for key, value in told.items()}
        ),
        targets=targets(whole.targets),
        cases=[
            msgspec.structs.replace(case, origin=without_paths(case.origin)) for case in whole.cases
        ],
        source=None if whole.source is None else source(whole.source),
    )


def targets(planned: Sequence[PlannedTarget]) -> list[PlannedTarget]:
    """Targets without the folders of their environments and files. Two that differed in these
    alone are told apart by a number: names are unique in a run."""
    names = target_names([each.name for each in planned])
    return [
        msgspec.structs.replace(
            each,
            name=name,
            options={
                key: path(value) if runtime_targets.names_path(key, value) else value
                for key, value in each.options.items()
            },
        )
        for each, name in zip(planned, names, strict=True)
    ]


def target_names(typed: Sequence[str]) -> list[str]:
    """Targets as they are typed, without folders; those that differed in these alone get a
    number."""
    names: list[str] = []
    for text in typed:
        bare = target(text)
        twins = sum(NUMBER.sub("", other) == NUMBER.sub("", bare) for other in names)
        names.append(f"{NUMBER.sub('', bare)} ({twins + 1})" if twins else bare)
    return names


def failure(whole: Failure) -> Failure:
    """A failure in whose words no folder stands."""
    return msgspec.structs.replace(
        whole,
        what=without_paths(whole.what),
        cures=[*map(without_paths, whole.cures)],
        last_words=[*map(without_paths, whole.last_words)],
    )


def warnings(whole: Sequence[Warning]) -> list[Warning]:
    """Warnings in whose words no folder stands."""
    return [msgspec.structs.replace(each, detail=without_paths(each.detail)) for each in whole]
