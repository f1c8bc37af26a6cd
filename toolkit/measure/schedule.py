"""Decides what is timed next, how often, and when a run has measured enough.

The rules, cited in the code; docs/design/measurement.md has the experiments behind them:

S1  A block lasts about 4 ms, but has 20 calls, or as many as fit into 20 ms; its first twentieth,
    and the first call at least, does not count. Shorter ones show how cold the caches are after
    another worker, longer ones more of the machine's states. The number of calls must not jump with
    their length: a block of 4 calls beside one of 20, or of 1 beside 2, makes its target a few
    percent slower than it is (benchmarks/blocks.py).
S2  A generation has 20 rounds where all its workers share a core, else 50: pinned, more rounds buy
    nothing, only more process starts do. Where one compiles while it runs (WebAssembly) it has 50
    too: its starts scatter less the longer they are looked at, and each takes seconds.
S3  Single-threaded workers of a generation share one core and the parent sits on another: cores of
    one machine differ in speed for seconds at a time.
S4  Core, orders and environment size are drawn anew: what cannot be held still must be random
    (A. Abedi, T. Brecht, ICPE 2017; T. Mytkowicz et al., ASPLOS 2009).
S5  A run that may stop early looks at fixed generations only, with alpha 0.04, so that all looks
    together stay under 5 % (simulated: 3.1 to 5.1 %). With one look, at the end, alpha is 0.05.
S6  All targets of a generation are alive together. Where they are too many or too large for that,
    each generation has a part of them and the baseline, so that every ratio is still paired.
S7  A worker that was held still, because others computed on its cores, makes a quarter of a block
    before the one that counts: all its threads wake at once, and those of CUDA waited for each
    other for up to a millisecond of each block (tried on an H200).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from toolkit.errors import InputError
from toolkit.measure.stats import Interval, hodges_lehmann, starts_needed
from toolkit.units import Bytes, Seconds, duration, percent

BLOCK: Seconds = 4e-3
"""The length of a block. Tried from 0.14 to 44 ms: at 4 ms 90 % of the time is useful and the
estimate scatters by 0.23 %; shorter ones are colder, longer ones see more states of the machine."""
ENOUGH = 20
"""Calls after which a block is warm: 20 calls of 250 µs read 246 µs, 80 calls 245 µs."""
WARM: Seconds = 20e-3
"""The time that those calls may take, lest a block of slow calls outlasts a state of the
machine."""
LONG: Seconds = 0.1
"""From here on the first call counts: what is cold in it, 4 % of 4 ms (benchmarks/blocks.py), does
not show."""
CALIBRATION: Seconds = 20e-3
"""The length of the block that finds how long a call takes."""
MOST_CALLS = 5000
"""The most calls of a block, since every latency is kept."""
LOOKS = (10, 14, 20, 28, 40, 56, 80)
"""Generations after which a run may stop: each is √2 times the one before, since the interval
narrows with the square root. At alpha 0.04 all seven together say a false difference in 3.1 to 5.1
% of simulated runs; a look after every generation from 3 on does so in 10.5 to 11 %."""
FEWEST = LOOKS[0]
"""The least generations of a run with intervals: stopping earlier doubles the false differences.
Runs of many pairs have more (`fewest`)."""
MOST = 1000
"""Generations at which any run ends: ±0.1 % by then, below what an estimate here can carry."""
PRECISION = 0.01
"""The half-width at which a run stops by default: two builds of a program agree no better."""
TIME: Seconds = 60.0
"""The ceiling by default: ten starts of PyTorch and ONNX Runtime take 20 s on two cores."""
MOST_ALIVE = 32
"""The most workers of one generation: each round takes 4 ms a target, and a machine keeps a state
for seconds only."""
ROOM = 0.6
"""The share of the free memory that the workers of one generation may hold; the rest is for what
they grow by while they run."""
CLEARLY = 1.5
"""By what factor a generation that is only foretold must exceed the time: calls of the judging
were made one by one on a machine that did other things too."""
PADDING = 4096
"""The most bytes of the variable: a page, so that the stack starts at any offset within one."""


def stream(seed: int, generation: int) -> random.Random:
    """Makes the random source of one generation: the same in a run that was resumed."""
    return random.Random(f"{seed}/{generation}")


# Blocks and rounds


@dataclass(frozen=True)
class Length:
    """How many calls a block of one target at one case has; fixed for the run."""

    calls: int
    """Calls that count."""
    discard: int
    """Calls before them that do not count."""


def length(call: Seconds) -> Length:
    """Chooses the block for a call of this length (S1).

    >>> [length(call).calls for call in (4e-6, 250e-6, 1e-3, 2e-3, 4e-3, 0.1)]
    [1000, 20, 20, 10, 5, 1]
    """
    calls = max(_calls(call, BLOCK, 1), min(ENOUGH, _calls(call, WARM, 1)))
    return Length(calls, max(1, calls // 20) if call < LONG else 0)


def waking(length: Length) -> int:
    """Counts the calls made before a block whose worker was held still (S7)."""
    return max(1, length.calls // 4) if length.discard else 0


def calibration_calls(call: Seconds) -> int:
    """Counts the calls of the block that finds how long one takes; `call` is a first guess."""
    return _calls(call, CALIBRATION, 5)


def _calls(call: Seconds, block: Seconds, fewest: int) -> int:
    if call <= 0:
        return MOST_CALLS
    # Rounded first: 4 ms / 4 µs is a little more than 1000 in binary.
    return min(MOST_CALLS, max(fewest, math.ceil(round(block / call, 6))))


def rounds(*, pinned: bool, compiling: bool = False) -> int:
    """Counts the rounds of a generation (S2)."""
    return 20 if pinned and not compiling else 50


def order(count: int, source: random.Random) -> list[int]:
    """Draws the order of the targets in one round (S4)."""
    return source.sample(range(count), count)


def padding(source: random.Random) -> str:
    """Draws the text of one more environment variable of a worker, which moves its stack (S4)."""
    return "x" * source.randint(0, PADDING)


def groups(sizes: Sequence[Bytes], base: int, room: Bytes) -> list[list[int]]:
    """Divides the targets, by their indices, into groups that are alive together (S6).

    The baseline `base` is in every group. `sizes` are the bytes that the workers hold, `room` those
    that all of a group may hold. A pair that does not fit is a group all the same: it is the least
    that can be compared.

    >>> groups([1, 1, 1], 0, 10), groups([4, 4, 4, 4], 1, 13)
    ([[0, 1, 2]], [[1, 0, 2], [1, 3]])
    """
    others = [place for place in range(len(sizes)) if place != base]
    fitting = max(1, _fitting([sizes[place] for place in others], room - sizes[base]))
    count = math.ceil(len(others) / min(fitting, MOST_ALIVE - 1)) or 1
    if count == 1:
        return [[*range(len(sizes))]]
    share = math.ceil(len(others) / count)
    return [[base, *others[first : first + share]] for first in range(0, len(others), share)]


def _fitting(sizes: Sequence[Bytes], room: Bytes) -> int:
    """Counts how many fit into the room, whichever they are: the largest come first."""
    held = 0
    for count, size in enumerate(sorted(sizes, reverse=True)):
        held += size
        if held > room:
            return count
    return len(sizes)


# How long


@dataclass(frozen=True)
class Pace:
    """When a run may stop: `precision` is when it has shown enough, `time` is the ceiling."""

    precision: float | None
    time: Seconds | None
    quick: bool = False
    """The run goes on without intervals where the time is too short for them."""
    asked: bool = True
    """The user gave the time: one that is too short is an error, where the default is stretched."""

    @property
    def looks(self) -> tuple[int, ...]:
        """Generations after which it is asked whether to stop; empty: at the end only (S5)."""
        return LOOKS if self.precision is not None else ()

    @property
    def alpha(self) -> float:
        return 0.04 if self.looks else 0.05


def pace(precision: float | None = None, time: Seconds | None = None, quick: bool = False) -> Pace:
    """Makes a pace from the two switches; without them ±1 %, and at most 60 s.

    Raises InputError for a precision outside 0 to 1 or a time that is not positive and finite.
    """
    if precision is not None and not 0 < precision < 1:
        raise InputError(f"--precision {percent(precision)}: give a share such as 0.5%")
    if time is not None and not 0 < time < math.inf:
        raise InputError(f"--time {time:g}s: give a time such as 20s")
    if precision is None and time is None:
        return Pace(PRECISION, TIME, quick, asked=False)
    return Pace(precision, time, quick)


@dataclass(frozen=True)
class StartCost:
    """The time of one process start of a target, as it was seen while the target was judged."""

    imported: Seconds
    loaded: Seconds
    calls: Sequence[Seconds]
    """The shortest call at each case."""

    def blocks(self, rounds: int) -> Seconds:
        """The time of its blocks in a generation."""
        lengths = [(call, length(call)) for call in self.calls]
        return rounds * sum((each.calls + each.discard) * call for call, each in lengths)

    def ready(self) -> Seconds:
        """Its own time until it is loaded and has answered at each case."""
        return self.imported + self.loaded + sum(self.calls)


def foretold(costs: Sequence[StartCost], rounds: int, cores: int) -> Seconds:
    """Foretells the time of a later generation, before there was a first.

    Imports run side by side on `cores`; all else is made in turns. Warm-ups take as long as they
    must, and judging is left out: a generation takes somewhat longer.
    """
    imports = [cost.imported for cost in costs]
    together = max(max(imports, default=0.0), sum(imports) / cores)
    alone = [cost.ready() - cost.imported + cost.blocks(rounds) for cost in costs]
    return together + sum(alone)


@dataclass(frozen=True)
class First:
    """The time that the first generation took, from start to stop."""

    generation: Seconds
    """The time of a later one: without calibration and judging, which only the first has."""
    so_far: Seconds
    """Wall time since the run began."""
    starts: Mapping[str, Seconds]
    """Target → seconds from its start until it was ready to be measured."""
    pairs: int = 1
    """How many pairs are told apart together."""
    seen: bool = True
    """There was such a generation; False: it is foretold."""
    faster: str = ""
    """The options that name all targets but the slowest to start; empty where that leaves nothing
    to compare."""


def fewest(pairs: int, alpha: float) -> int:
    """Counts the least generations of a run with intervals: fewer could not tell the pairs
    apart."""
    return max(FEWEST, starts_needed(pairs, alpha))


def foresee(paced: Pace, first: First) -> Pace:
    """Adapts the pace, once it is known how long the least generations take.

    They are ten, and more where the exact test of ten could show none of so many pairs.

    Raises InputError where the user's --time is too short for them, unless with --quick. The time
    that nobody asked for is stretched to them. A generation that is only foretold changes nothing
    but that: where the time is clearly too short, this is said before any of it was used.
    """
    count = fewest(first.pairs, paced.alpha)
    needed = first.so_far + (count - first.seen) * first.generation
    if paced.time is None or paced.quick or needed <= paced.time:
        return paced
    if not paced.asked:
        return replace(paced, time=needed * 1.1) if first.seen else paced
    if not first.seen and needed < CLEARLY * paced.time:
        return paced
    slowest = max(first.starts, key=first.starts.__getitem__)
    longer = math.ceil(needed * (1.1 if first.seen else 1.5))
    why = f", which {first.pairs} pairs need" if count > FEWEST else ""
    raise InputError(
        f"--time {paced.time:g}s is too short for {count} process starts of each target{why}: "
        f"they take about {duration(needed, 2)}. "
        f"Slowest to start: {slowest} ({duration(first.starts[slowest], 2)}).",
        f"--time {longer}s    measures {count} of them",
        *([f"{first.faster}    leaves out {slowest}"] if first.faster else []),
        "--quick       goes on, without intervals",
    )


class Why(StrEnum):
    """The reasons for which a run stops."""

    PRECISE = "precise enough"
    TIME = "time used"
    LAST_LOOK = "last look"
    ALONE = "nothing to compare"


@dataclass(frozen=True)
class Stop:
    """The end of a run."""

    why: Why
    text: str
    """The reason with its figures, for one line."""


@dataclass(frozen=True)
class Progress:
    """The state of a run after a generation."""

    generations: int
    effects: Sequence[Sequence[float]]
    """The log ratios of each pair of targets at each case, one a generation."""
    elapsed: Seconds
    next_one: Seconds
    """Seconds that one more generation is expected to take."""
    pairs: int = 1
    """How many pairs are told apart together."""


def decide(paced: Pace, progress: Progress) -> Stop | None:
    """Decides whether the run ends here; None: one more generation.

    The default time is no ceiling before there are the least generations, since the first one's
    time foretells that of the others only roughly."""
    count, enough = progress.generations, fewest(progress.pairs, paced.alpha)
    if not progress.effects and count >= FEWEST and paced.precision is not None:
        return Stop(Why.ALONE, f"{count} process starts of a single target: nothing to compare")
    if progress.effects and count in paced.looks and count >= enough:
        widest = widest_interval(progress.effects, paced.alpha)
        if paced.precision is not None and widest is not None and widest <= paced.precision:
            limit = percent(paced.precision)
            return Stop(Why.PRECISE, f"every ratio is known to ±{limit} or better")
    if count >= MOST or (paced.time is None and count >= LOOKS[-1]):
        return Stop(Why.LAST_LOOK, f"{count} process starts: more would show nothing new")
    late = _is_ceiling(paced, progress)
    if paced.time is not None and late and progress.elapsed + progress.next_one > paced.time:
        return Stop(Why.TIME, f"the {duration(paced.time, 2)} are used")
    return None


def _is_ceiling(paced: Pace, progress: Progress) -> bool:
    """True where the time may end the run by now."""
    enough = fewest(progress.pairs, paced.alpha)
    return paced.asked or paced.quick or progress.generations >= enough


def widest_interval(effects: Sequence[Sequence[float]], alpha: float) -> float | None:
    """Returns the half-width of the ratio that is known worst; None where one has no interval."""
    intervals: list[Interval | None] = [hodges_lehmann(pair, alpha) for pair in effects]
    widths = [interval.half_width for interval in intervals if interval is not None]
    return max(widths) if widths and len(widths) == len(intervals) else None


def time_left(paced: Pace, progress: Progress) -> Seconds | None:
    """Estimates the seconds that the run still takes; None where that cannot be told yet.

    The half-width falls with the square root of the generations, so the next look at which it is
    narrow enough is foreseen from what it is now.
    """
    enough = fewest(progress.pairs, paced.alpha)
    ceiling = None if paced.time is None else max(0.0, paced.time - progress.elapsed)
    if ceiling is not None and not _is_ceiling(paced, progress):
        ceiling = max(ceiling, (enough - progress.generations) * progress.next_one)
    widest = widest_interval(progress.effects, paced.alpha)
    if paced.precision is None or widest is None:
        return ceiling
    wanted = progress.generations * (widest / paced.precision) ** 2
    soonest = max(wanted, progress.generations + 1, enough)
    look = next((n for n in LOOKS if n >= soonest), LOOKS[-1])
    foreseen = max(0, look - progress.generations) * progress.next_one
    return foreseen if ceiling is None else min(ceiling, foreseen)
