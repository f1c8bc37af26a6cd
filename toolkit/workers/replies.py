"""The replies of a worker, by their schema: what does not fit it is no reply.

A worker runs foreign code, and its replies end up in a record and on a terminal. So each has its
fields in their types, each number is one that there can be, and each text is one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from toolkit.errors import LONGEST
from toolkit.workers import protocol

R = TypeVar("R")

MOST = 2**53
"""Nanoseconds, 104 days, or whatever else is counted: beyond it a float, such as a median of
integers, no longer holds each of them."""
LARGEST = 2**63
"""The beginning of a block on its clock, and bytes: int64, in which samples are kept, ends here."""
CURES = 8
"""Lines that say what to do; no error of ours has more."""


class Unfit(Exception):
    """A line that is no reply of the kind that was asked for."""


@dataclass(frozen=True)
class ErrorReply:
    """The reply to any verb that failed; of every reply it is the part that all have."""

    number: int
    """That of the request that is answered."""
    error: str | None = None
    """None: the verb did not fail."""
    cures: list[str] = field(default_factory=list)
    kind: str | None = None
    """One of `protocol.KINDS`; None for any other."""

    @property
    def what(self) -> str:
        """The error as one line."""
        return _one_line(self.error or "") or "it failed and does not say why"

    @property
    def ways_out(self) -> list[str]:
        """The cures as lines."""
        return [line for line in map(_one_line, self.cures[:CURES]) if line]


@dataclass(frozen=True)
class HelloReply:
    """The reply to `hello`; `jobs.Hello` says what the fields are."""

    version: str
    file: str | None
    python: str
    seconds: float
    precision: str
    providers: list[str]
    starts_from: str
    empty: float
    converts: bool

    def __post_init__(self) -> None:
        texts = (self.version, self.python, self.precision, self.starts_from, *self.providers)
        _demand_lines(texts)
        _demand_lines([] if self.file is None else [self.file], longest=4096)  # PATH_MAX
        _demand_numbers(self.seconds, self.empty)


@dataclass(frozen=True)
class SecondsReply:
    """The reply to `convert`."""

    seconds: float

    def __post_init__(self) -> None:
        _demand_numbers(self.seconds)


@dataclass(frozen=True)
class PlacementReply:
    """The nodes of a program and where they run; `runtimes.base.Placement` says what each is."""

    nodes: dict[str, int]
    elsewhere: dict[str, list[str]]
    copies: int | None

    def __post_init__(self) -> None:
        _demand_lines([*self.nodes, *self.elsewhere])
        _demand_lines(name for names in self.elsewhere.values() for name in names)
        _demand_numbers(*self.nodes.values(), self.copies or 0)


@dataclass(frozen=True)
class LoadReply:
    """The reply to `load`."""

    seconds: float
    placement: PlacementReply
    copies: str
    computes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        _demand_lines([self.copies])
        _demand_numbers(self.seconds, *self.computes)


@dataclass(frozen=True)
class EmptyReply:
    """The reply to `bind`, which says no more than that it was done."""


@dataclass(frozen=True)
class TensorRow:
    """One output: its name, its ONNX type and its file."""

    name: str
    type: str
    file: str


@dataclass(frozen=True)
class AnswerReply:
    """The reply to `answer`."""

    tensors: list[TensorRow]
    seconds: float

    def __post_init__(self) -> None:
        _demand_numbers(self.seconds)


@dataclass(frozen=True)
class SampleReply:
    """The reply to `sample`."""

    ns: list[int]
    start: int
    switches: int

    def __post_init__(self) -> None:
        _demand_numbers(*self.ns, self.switches)
        _demand_numbers(self.start, below=LARGEST)


@dataclass(frozen=True)
class CopiesReply:
    """The reply to `copies`; None where they cannot be made alone."""

    into: float | None
    out: float | None

    def __post_init__(self) -> None:
        _demand_numbers(self.into or 0.0, self.out or 0.0)


@dataclass(frozen=True)
class InputsReply:
    """The reply to `inputs`."""

    changed: list[str]

    def __post_init__(self) -> None:
        _demand_lines(self.changed)


@dataclass(frozen=True)
class UsageReply:
    """The reply to `usage`."""

    resident: int
    peak: int

    def __post_init__(self) -> None:
        _demand_numbers(self.resident, self.peak)


def decoded(line: bytes, kind: type[R], number: int) -> R | ErrorReply:
    """The reply in a line to the request with this number: one of this kind, or an error. Raises
    Nonsense for what is no object of JSON, Unfit for one that is neither, and Unasked for the reply
    to another request."""
    import msgspec  # No worker has it, and this room is copied to them.

    try:
        failed = msgspec.json.decode(line, type=ErrorReply)
        if failed.number != number:
            raise protocol.Unasked
        return msgspec.json.decode(line, type=kind) if failed.error is None else failed
    except (msgspec.ValidationError, RecursionError) as error:
        if not line.lstrip().startswith(b"{"):
            raise protocol.Nonsense(protocol.shown(line)) from error
        raise Unfit(_one_line(str(error))) from error
    except ValueError as error:  # msgspec's own for what is no JSON, and for what is no UTF-8.
        raise protocol.Nonsense(protocol.shown(line)) from error


def _demand_numbers(*numbers: float, below: int = MOST) -> None:
    """Raises ValueError for what nothing here can count: below zero, or beyond all measure."""
    if numbers and not (min(numbers) >= 0 and max(numbers) < below):
        raise ValueError("a number is beyond all measure")


def _demand_lines(texts: Iterable[str], longest: int = LONGEST) -> None:
    """Raises ValueError for a text that is no short line: a record has it, and a terminal."""
    if not all(len(text) <= longest and text.isprintable() for text in texts):
        raise ValueError("a text is no line that can be printed")


def _one_line(text: str) -> str:
    """The first line of a text that is not empty, without control characters."""
    first = next((line for line in map(str.strip, text.splitlines()) if line), "")
    return "".join(letter if letter.isprintable() else "�" for letter in first[: 4 * LONGEST])
