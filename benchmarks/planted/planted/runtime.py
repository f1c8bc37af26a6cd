"""Runs ONNX Runtime with calls that take a known share longer, for a measurement to find."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from typing import Any, ClassVar

from toolkit.errors import TargetError
from toolkit.runtimes.base import Call, Option, Placement, Program, Session
from toolkit.runtimes.onnxruntime import OnnxRuntime
from toolkit.tensors import Feed

FLOOR = 600
"""Nanoseconds that every call waits, slowed down or not, so that both leave the loop alike. It is
longer than the way to the loop's first look at the clock: with 200 every wait was too long, so that
a planted 3 % showed as 2 %."""
MOST_CARRIED = 300
"""Nanoseconds: a longer overshoot was another process, which the next call does not pay back."""


class Planted(OnnxRuntime):
    """The runtime: ONNX Runtime with one more option."""

    name: ClassVar[str] = "planted"
    options: ClassVar[Mapping[str, Option]] = {
        **OnnxRuntime.options,
        "slower": Option("0%", "the share of its own time that each call waits besides"),
    }

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        return PlantedSession(super().load(program, provider, options), share(options["slower"]))


class PlantedSession:
    """A session whose calls wait."""

    def __init__(self, session: Session, slower: float) -> None:
        self._session = session
        self._slower = slower

    def bind(self, feed: Feed) -> Call:
        call = self._session.bind(feed)
        return replace(call, run=slowed(call.run, self._slower, around()), moves=None)

    def placement(self) -> Placement:
        return self._session.placement()

    def output_types(self) -> Mapping[str, str]:
        return self._session.output_types()

    def copies(self) -> str:
        return self._session.copies()

    def close(self) -> None:
        self._session.close()


def share(text: str) -> float:
    """'2%' → 0.02. Raises TargetError for another form."""
    try:
        return float(text.removesuffix("%")) / 100
    except ValueError:
        raise TargetError(f"slower={text}: give a share such as 2%") from None


def slowed(
    run: Callable[[], Any],
    slower: float,
    around: float = 0.0,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> Callable[[], Any]:
    """`run` with a wait after it: (1 + slower) times as long as with slower = 0.

    `around`: nanoseconds of this function that lie outside its two readings of the clock. One turn
    of the loop takes as long as 1 % of a short call, so what a wait lasted too long is taken from
    the next one: the mean is right to a part of that. `clock` gives nanoseconds.
    """
    carried = 0.0

    def call() -> Any:
        nonlocal carried
        started = clock()
        result = run()
        ended = clock()
        until = ended + FLOOR + slower * (ended - started + FLOOR + around) - carried
        now = clock()
        while now < until:
            now = clock()
        carried = min(now - until, MOST_CARRIED)
        return result

    return call


def around() -> float:
    """Measures the nanoseconds of `slowed` that lie outside its two readings of the clock."""
    clock, empty = time.perf_counter_ns, slowed(lambda: None, 0.0)
    whole = []
    for _ in range(1001):
        before = clock()
        empty()
        whole.append(clock() - before)
    return max(0.0, median(whole) - FLOOR)
