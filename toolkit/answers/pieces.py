"""Compares the answers to one output piece by piece: outputs of real size are never copied whole.

Arrays stay in the type in which they came; only a piece of them is raised to float64 at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from toolkit.answers.direction import Floats
from toolkit.answers.rule import LOCAL, ulp
from toolkit.tensors import Array

PIECE = 1 << 18
"""Elements of a piece: 2 MB in float64, which fits the caches of most processors."""
STANDS_OUT = 25.0
"""How far the largest scaled error may lie above the median one before more formats are asked (step
4), where only float32's own errors tell how sensitive an element is. Of 804 faults that the whole
rule finds in one to three elements on the networks of tests/answers, the least was at 48; right
float32 was at 3 to 20, and above where outputs saturate."""
FAR_OUT = 100.0
"""How far it may lie above that one for its own error in float32, and those of the near formats, to
settle it. Behind saturated outputs right float32 is at 4,800 and more, the whole rule calls some of
that wrong, and medians of what float32 has exactly right tell nothing."""
OWN = LOCAL / 3
"""An element whose error is at most so many times float32's own error there cannot stand out in the
whole rule, whatever its sensitivity: that allows LOCAL times the worst of float32's elements, each
in units of a median. A third, since the medians are estimated."""
SHRINK = 4
"""Elements by which the mean of a small group is drawn to that of all."""
OCTAVES = 1100
"""Half the number of exponents that float64 has."""
KEYS = 4 * OCTAVES
"""Half octaves of float64."""
BINS = 20_000
"""Bins of the logarithms of scaled errors, from e^-100 to e^100: 1 % each."""
SPAN = 100.0

assert STANDS_OUT < LOCAL, "an element must stand out here before it does in the whole rule"


@dataclass(frozen=True)
class Piece:
    """Some rows of an output, in float64."""

    start: int
    """The flat index of its first element, over all feeds."""
    wanted: Floats
    """The oracle's values, (rows, columns)."""
    plain: list[Floats]
    """Those of each float32 evaluation."""
    judged: Array
    """Where oracle and float32 are finite."""
    whole: bool
    """All are judged."""


@dataclass(frozen=True)
class PlainOutput:
    """One float output of the oracle and of float32 evaluations over some feeds, and what these
    say of the noise. Everything is computed once, whoever is judged by it."""

    oracle: tuple[Array, ...]
    """One array for each feed."""
    plain: tuple[tuple[Array, ...], ...]
    """One such tuple for each float32 evaluation, of the oracle's shapes."""

    def pieces(
        self, answers: Sequence[Array] | Mapping[int, Array] | None = None
    ) -> Iterator[tuple[Piece, Floats]]:
        """Yields the pieces in order, each with that of the answers (of the oracle, without).

        A mapping has the answers to some feeds by their numbers: there are no others' pieces.
        """
        start = 0
        for feed, wanted in enumerate(self.oracle):
            if isinstance(answers, Mapping) and feed not in answers:
                start += wanted.size
                continue
            arrays = [wanted, *(form[feed] for form in self.plain)]
            arrays += [] if answers is None else [answers[feed]]
            tables = [np.ravel(array).reshape(-1, self.columns) for array in arrays]
            rows = max(1, PIECE // self.columns)
            for row in range(0, len(tables[0]), rows):
                parts = [np.asarray(table[row : row + rows], np.float64) for table in tables]
                piece = _piece(start, parts[0], parts[1 : 1 + len(self.plain)])
                yield piece, parts[0] if answers is None else parts[-1]
                start += piece.wanted.size

    @cached_property
    def columns(self) -> int:
        """The size of the last axis, if all feeds share it; else 1."""
        sizes = {o.shape[-1] if o.ndim > 1 else 1 for o in self.oracle}
        return max(sizes.pop(), 1) if len(sizes) == 1 else 1

    @cached_property
    def size(self) -> int:
        """Elements over all feeds."""
        return sum(array.size for array in self.oracle)

    @cached_property
    def noise(self) -> Noise:
        """What the float32 evaluations show."""
        return _noise(self)

    def index(self, flat_index: int) -> tuple[int, ...]:
        """Turns a flat index into the feed's number and the index in that feed's output.

        Raises IndexError for one beyond the last element.
        """
        rest = flat_index
        for feed, array in enumerate(self.oracle):
            if rest < array.size:
                return (feed, *(int(i) for i in np.unravel_index(rest, array.shape)))
            rest -= array.size
        raise IndexError(flat_index)


def _piece(start: int, wanted: Floats, plain: list[Floats]) -> Piece:
    judged = np.isfinite(wanted)
    if plain:
        judged = judged & np.isfinite(plain[0])
    return Piece(start, wanted, plain, judged, bool(judged.all()))


@dataclass
class _Groups:
    """Sums of logarithms by a key, to smooth them."""

    total: Floats
    count: Floats

    @classmethod
    def of(cls, size: int) -> _Groups:
        """Makes empty sums for so many keys."""
        return cls(np.zeros(size), np.zeros(size))

    def add(self, keys: Array, logs: Floats) -> None:
        """Adds the logarithms of elements with these keys."""
        size = self.total.size
        self.total += np.bincount(keys, logs, size)
        self.count += np.bincount(keys, minlength=size)

    def means(self) -> Floats:
        """Gives each group's mean; that of a small one is drawn to the mean of all."""
        mean = self.total.sum() / max(self.count.sum(), 1)
        return np.asarray((self.total + SHRINK * mean) / (self.count + SHRINK))


@dataclass(frozen=True)
class Noise:
    """What float32 evaluations show of one output: how large their errors are, and where."""

    judged: int
    """Elements at which the oracle and float32 are finite."""
    rms: float
    """The RMS error of a plain float32 evaluation, as `Scale.noise`."""
    typical: float
    """One ulp of the output's typical size, as `Scale.typical`."""
    by_value: Floats = field(repr=False)
    """The mean logarithm of the errors of values of one half octave."""
    by_row: Floats = field(repr=False)
    """What each row adds to that."""
    by_column: Floats = field(repr=False)

    def sensitivity(self, piece: Piece) -> Floats:
        """Estimates the logarithm of how strongly each element of a piece reacts to rounding.

        It is what values of its size suggest, or less where its row and column together say less:
        what is more sensitive than it seems may stand out, what is less sensitive must.
        """
        rows, columns = piece.wanted.shape
        row = piece.start // columns
        place = self.by_row[row : row + rows, None] + self.by_column[None, :]
        return self.by_value[_keys(piece.wanted)] + np.minimum(place, 0.0)


@dataclass(frozen=True)
class Measures:
    """The errors of a target's answers to one output."""

    size: float
    """The RMS error, with the float32 rounding of the output itself as a floor (`Scale.rms`)."""
    rms: float
    largest: float
    """The largest absolute error among the elements that are judged."""
    worst: int
    """The flat index of the largest absolute error."""
    stands_out: float
    """The largest scaled error that counts, over the median one; infinite where one counts at a
    zero that float32 has exactly right, as behind a Relu: no error of float32's tells how sensitive
    that is."""
    median: float
    """The logarithm of the median scaled error."""
    off: Array
    """Flat indices of NaN and Inf where a right answer has none, and the reverse."""


def measure(output: PlainOutput, answers: Sequence[Array]) -> Measures:
    """Compares answers of the oracle's shapes with the oracle."""
    noise = output.noise
    squares = floors = counted = 0.0
    largest, overall, worst, from_nothing = 0.0, -1.0, 0, False
    histogram, judged = np.zeros(BINS, np.int64), 0
    off: list[Array] = []
    for piece, values in output.pieces(answers):
        with np.errstate(invalid="ignore"):
            error = np.abs(values - piece.wanted)
        off.append(piece.start + np.flatnonzero(_off(piece, values)))
        anywhere = np.where(np.isfinite(error), error, -1.0)
        if (most := float(anywhere.max(initial=-1.0))) > overall:
            overall, worst = most, piece.start + int(np.argmax(anywhere))
        if not noise.judged:
            continue
        usable = piece.judged & np.isfinite(values)
        ulps = ulp(piece.wanted)
        scaled = np.log(error + ulps / 2 + 1e-300) - noise.sensitivity(piece)
        # With half of all elements exactly right zeros, any error would stand out from the median.
        zeros = piece.wanted == 0
        telling = (error != 0) | ~zeros
        if zeros.any():
            counts = usable & (error > noise.typical / 2)
            from_nothing |= bool((counts & ~_telling(piece)).any())
        if not (piece.whole and usable.all()):
            error, ulps, scaled = error[usable], ulps[usable], scaled[usable]
            telling = telling[usable]
        largest = max(largest, float(error.max(initial=0.0)))
        squares += float(np.sum(error**2))
        floors += float(np.sum(ulps**2)) / 12
        judged += error.size
        shown = scaled if telling.all() else scaled[telling]
        histogram += np.bincount(_bins(shown).ravel(), minlength=BINS)
        counted = max(counted, _exp(scaled.max(where=error > noise.typical / 2, initial=-SPAN)))
    judged = max(judged, 1)
    median = _median(histogram)
    stands_out = float("inf") if from_nothing else counted / _exp(median)
    return Measures(
        size=float(np.sqrt((squares + floors) / judged)),
        rms=float(np.sqrt(squares / judged)),
        largest=largest,
        worst=worst,
        stands_out=stands_out if noise.judged else 0.0,
        median=median,
        off=np.concatenate(off) if off else np.empty(0, np.intp),
    )


def standing_out(output: PlainOutput, answers: Sequence[Array], median: float) -> StandingOut:
    """Finds the elements whose scaled errors are too far above the median one, by its logarithm,
    and above float32's own errors there."""
    noise = output.noise
    own = min(measure(output, form).median for form in output.plain)
    most = OWN * min(1.0, _exp(median - own))
    indices: list[Array] = [np.empty(0, np.intp)]
    logs: list[Array] = [np.empty(0)]
    for piece, values in output.pieces(answers):
        ulps = ulp(piece.wanted)
        with np.errstate(invalid="ignore"):
            error = np.abs(values - piece.wanted)
            theirs = np.max([np.abs(each - piece.wanted) for each in piece.plain], axis=0)
        scaled = np.log(error + ulps / 2 + 1e-300) - noise.sensitivity(piece) - median
        usable = piece.judged & (error > noise.typical / 2)  # NaN is not larger
        usable &= error + ulps / 2 > most * (theirs + ulps / 2)
        far = np.flatnonzero(usable & (scaled > np.log(STANDS_OUT)))
        indices.append(piece.start + far)
        logs.append(scaled.ravel()[far])
    return StandingOut(np.concatenate(indices), np.concatenate(logs))


@dataclass(frozen=True)
class StandingOut:
    """The elements that stand out where float32's errors alone tell how sensitive they are."""

    indices: Array
    """Flat indices, over all feeds."""
    logs: Floats
    """The logarithms of their scaled errors over the median one."""

    def by(self, output: PlainOutput, forms: Sequence[Mapping[int, Array]]) -> float:
        """Gives the furthest of them once lower formats tell how sensitive they are.

        `forms` have the values of the feeds that hold these elements, and of any others. A form
        tells it by how much larger its error is there than that of other elements is, each in units
        of what value, row and column suggest. Infinite where no form can tell it.
        """
        told = [log for form in forms if (log := self._told_by(output, form)) is not None]
        if not told:
            return float("inf")
        return _exp(float(np.max(self.logs - np.mean(told, axis=0), initial=-SPAN)))

    def _told_by(self, output: PlainOutput, form: Mapping[int, Array]) -> Floats | None:
        """The logarithms of how much more sensitive a form shows these elements to be; None for one
        that is not finite or has another shape."""
        if any(form[feed].shape != output.oracle[feed].shape for feed in form):
            return None
        histogram = np.zeros(BINS, np.int64)
        told = np.full(self.indices.size, -np.inf)
        for piece, values in output.pieces(form):
            if not np.isfinite(values[piece.judged]).all():
                return None
            with np.errstate(invalid="ignore"):
                error = np.abs(values - piece.wanted)
            logs = np.log(error + ulp(piece.wanted) / 4 + 1e-30) - output.noise.sensitivity(piece)
            telling = piece.judged & ((error != 0) | (piece.wanted != 0))
            histogram += np.bincount(_bins(logs[telling]), minlength=BINS)
            here = (self.indices >= piece.start) & (self.indices < piece.start + logs.size)
            places = self.indices[here] - piece.start
            # Where a form hardly errs, as at a saturated 1, it tells nothing.
            shown = error.ravel()[places] > output.noise.typical / 2
            told[here] = np.where(shown, logs.ravel()[places], -np.inf)
        return told - _median(histogram)


def rms_of(output: PlainOutput, arrays: Sequence[Array]) -> float:
    """Gives the RMS error of another evaluation, as `Scale.rms`; infinite where it is not finite
    or has another shape."""
    if [a.shape for a in arrays] != [o.shape for o in output.oracle]:
        return float("inf")
    total, count = 0.0, 0
    for piece, values in output.pieces(arrays):
        with np.errstate(invalid="ignore"):
            error = (values - piece.wanted)[piece.judged]
        total += float(np.sum(error**2 + ulp(piece.wanted[piece.judged]) ** 2 / 12))
        count += error.size
    size = float(np.sqrt(total / max(count, 1)))
    return size if np.isfinite(size) else float("inf")


def _noise(output: PlainOutput) -> Noise:
    if not output.plain:
        return Noise(0, 0.0, 0.0, np.zeros(0), np.zeros(0), np.zeros(0))
    sums, by_value = _Sums(np.zeros(len(output.plain))), _Groups.of(KEYS)
    for piece, _ in output.pieces():
        sums.add(piece)
        telling = _telling(piece)
        by_value.add(_keys(piece.wanted)[telling], _logs(piece)[telling])
    values = by_value.means()
    rows, columns = _Groups.of(output.size // output.columns), _Groups.of(output.columns)
    # A row of one column would be its own estimate.
    if output.columns > 1:
        for piece, _ in output.pieces():
            telling = _telling(piece)
            rest = (_logs(piece) - values[_keys(piece.wanted)])[telling]
            row = piece.start // output.columns + np.arange(len(piece.wanted))[:, None]
            for groups, keys in ((rows, row), (columns, np.arange(output.columns))):
                groups.add(np.broadcast_to(keys, piece.wanted.shape)[telling], rest)
    judged = max(sums.judged, 1)
    return Noise(
        judged=sums.judged,
        rms=float(np.sqrt(sums.squares.max() / judged)),
        typical=float(ulp(np.sqrt(sums.sizes / judged))),
        by_value=values,
        by_row=rows.means(),
        by_column=columns.means(),
    )


@dataclass
class _Sums:
    """What is added up over the pieces of the float32 evaluations."""

    squares: Floats
    """One sum of squared errors for each float32 evaluation."""
    sizes: float = 0.0
    judged: int = 0

    def add(self, piece: Piece) -> None:
        judged = piece.judged
        floor = float(np.sum(ulp(piece.wanted[judged]) ** 2)) / 12
        errors = (each[judged] - piece.wanted[judged] for each in piece.plain)
        self.squares += [float(np.sum(error**2)) + floor for error in errors]
        self.sizes += float(np.sum(piece.wanted[judged] ** 2))
        self.judged += int(np.count_nonzero(judged))


def _telling(piece: Piece) -> Array:
    """Marks the elements that tell how large errors are: all that are judged but zeros that float32
    has exactly right, as behind a Relu."""
    moved = [each != piece.wanted for each in piece.plain]
    return np.asarray(piece.judged & np.logical_or.reduce([piece.wanted != 0, *moved]))


def _logs(piece: Piece) -> Floats:
    """Gives the logarithms of the float32 evaluations' errors, their mean where there are several;
    0 for what is not judged."""
    ulps = ulp(piece.wanted)
    with np.errstate(invalid="ignore"):
        errors = [np.abs(each - piece.wanted) + ulps / 2 for each in piece.plain]
    safe = (np.where(np.isfinite(error) & piece.judged, error, 1.0) for error in errors)
    return np.asarray(np.mean([np.log(error + 1e-30) for error in safe], axis=0))


def _off(piece: Piece, values: Floats) -> Array:
    """Where NaN or Inf stands unlike in the oracle; where float32 overflows, either is right."""
    finite = np.isfinite(values)
    if piece.whole:
        return ~finite
    agrees = _same(values, piece.wanted)
    if piece.plain:
        agrees |= _same(values, piece.plain[0])
    return np.where(piece.judged, ~finite, ~agrees)


def _same(a: Floats, b: Floats) -> Array:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def _keys(values: Floats) -> Array:
    """Numbers the half octaves in which values lie; zero and what is not finite have their own."""
    significand, exponent = np.frexp(np.where(np.isfinite(values), values, 0.0))
    keys = 2 * (exponent + OCTAVES) + (np.abs(significand) >= np.sqrt(0.5))
    return np.where(significand == 0, 0, keys)


def _bins(logs: Floats) -> Array:
    within = np.clip((logs + SPAN) / (2 * SPAN) * BINS, 0, BINS - 1)
    return within.astype(np.intp)


def _median(histogram: Array) -> float:
    """The logarithm of the median, from its bin's middle."""
    middle = int(np.searchsorted(np.cumsum(histogram), (histogram.sum() + 1) // 2))
    return (middle + 0.5) / BINS * 2 * SPAN - SPAN


def _exp(log: float) -> float:
    return float(np.exp(min(log, SPAN)))
