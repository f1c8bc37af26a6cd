"""Names the precision of one float output, all feeds pooled, by the rule below.

1  Count, type and shape are the file's; NaN and Inf only where the oracle has them. Else: wrong.
2  The oracle is float64; every class is simulated in several forms (simulate.py).
3  A class may be named if its band holds the RMS error: from 0.4 times its least simulation to 2.5
   times its largest; float32: up to 10 times. Beyond every band: wrong. In none: between.
4  If the largest scaled error over the median one is above 30 times that of the simulations: wrong
   in a few elements.
5  If float32 may be named together with others: all of them, since these feeds cannot tell.
6  A value grid decides (valuegrids.py).
7  Under 50 elements in which bfloat16 would show: less than float32, without a name.
8  The direction of the error decides (direction.py); else all that may be named are.

The constants are from 322 trials on twelve networks (perceptrons, residual and depthwise
convolutions, encoders, LSTM, regression, cancellation, softmax), some 20 seeds each, run by six
runtimes. Right float32 stayed within 4.3 times a plain float32 evaluation; the nearest lower format
began at 404 times. The statistic is RMS: a median hides local faults (36 % of the faulty outputs
passed as float32, by RMS 9 %), and relative errors of single elements refuse a right sigmoid at
-14. tf32 and float16 share significand and rounded weights: errors cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from toolkit.answers import direction, valuegrids
from toolkit.answers.direction import Floats
from toolkit.answers.formats import ORDER, Precision
from toolkit.tensors import Array

FLOAT32_BORDER = 10.0
"""The largest RMS error of float32, in units of a plain float32 evaluation (step 3).

Anything from 5 to 400 separates float32 from lower formats; what moves with it is how many faults
pass as float32. At 3, 5, 10, 20 and 100: 2.6, 3.2, 4.9, 6.7 and 11.7 % of the planted ones, while
1.0, 0.3, 0.3, 0 and 0 % of right float32 are refused. Ten leaves a factor of two above the worst
right runtime.
"""
BAND = (0.4, 2.5)
"""The ends of a lower class's band, in units of its least and its largest simulation (step 3). One
simulation is too few: OpenVINO's bfloat16 has 0.28 to 2.2 times the error of a full rounding."""
FEW_VALUES_BAND = 5.0
"""The upper end of int8's band where few values show int8 (step 6): static scales clip, which gives
up to 7.4 times the error of dynamic ones."""
LOCAL = 30.0
"""How much further than in any simulation an element may stand out (step 4). With this step 47 % of
the planted faults are wrong, without it 37 %; right float32 is refused no more often."""
VISIBLE = 50
"""Elements in which a lower format must show before it is named (step 7); chosen on saturated
outputs (clip, softmax and sigmoid behind ever larger logits)."""

HARDLY = ", hardly rounded"
"""The end of the name of a form that leaves nearly all weights as they are (simulate.py)."""
MANY = 1_000_000
"""Elements beyond which direction and value grid are looked at in a subset: a cosine of that many
is known to a thousandth, and 256 different values show among far fewer."""

Finding: TypeAlias = "Named | Fault"


@dataclass(frozen=True)
class Named:
    """The finding that an output may have been computed in some classes."""

    names: tuple[Precision, ...]
    """The classes, finest first."""
    evidence: str
    """The reason, in words."""
    proven: bool = True
    """False: the error is as large as this class's, and nothing else speaks for the class."""
    silent: bool = False
    """No format shows in these feeds, however coarse: what agrees here may be broken all the
    same."""
    exact: bool = False
    """It is equal, and has no precision: it holds integers, or what is only moved."""


@dataclass(frozen=True)
class Fault:
    """The finding that no class can be named."""

    name: str
    """'between', 'less than float32' or 'wrong'."""
    evidence: str
    """The reason, in words."""
    few: Array = field(default_factory=lambda: np.empty(0, np.intp))
    """Flat indices of the elements at fault, where they are few; worst first."""


@dataclass(frozen=True)
class SimulatedErrors:
    """The errors of one simulation of one output."""

    precision: Precision
    form: str
    """The form's name (simulate.py)."""
    error: Array
    """Signed errors, (rows, columns), in float32: a dozen forms of a large output take memory."""
    rms: float
    """The RMS error, as `Scale.rms` measures it."""

    @property
    def directed(self) -> bool:
        """Its direction counts. Truncated tf32's does not: it shrinks every value, and so do many
        faults."""
        return self.form != "truncated"


class Scale:
    """The oracle of one output with the errors of its simulations, to judge answers by."""

    def __init__(self, oracle: Floats, simulated: Iterable[tuple[Precision, str, Array]]) -> None:
        """Takes finite oracle values, (rows, columns), and simulations of the same shape.

        `simulated` yields the class, the form's name, and the values; one of them is float32. A
        simulation that is not finite is dropped: that format overflows on this model.
        """
        self.oracle = oracle
        self.ulps = ulp(oracle)
        self.typical = float(ulp(np.sqrt(np.mean(oracle**2))))
        """One ulp of the output's typical size: errors below half of it never refuse, since
        ONNX Runtime's right sigmoid is off by as much where its values are nearly 0."""
        self.forms = [
            SimulatedErrors(precision, form, error.astype(np.float32), self.rms(error))
            for precision, form, values in simulated
            if np.isfinite(values).all()
            for error in [values.astype(np.float64) - oracle]
        ]

    def rms(self, error: Floats) -> float:
        """Gives the RMS of errors, with the float32 rounding of the output itself as a floor.

        The error of rounding to a grid of distance u has the variance u²/12.
        """
        return float(np.sqrt(_mean_square(error) + self._floor))

    @cached_property
    def _floor(self) -> float:
        return _mean_square(self.ulps) / 12

    @cached_property
    def classes(self) -> Mapping[Precision, list[SimulatedErrors]]:
        """The classes that could be simulated, finest first, with their simulations."""
        by_class = {c: [f for f in self.forms if f.precision == c] for c in ORDER}
        return {c: forms for c, forms in by_class.items() if forms}

    @cached_property
    def _telling(self) -> Mapping[Precision, list[SimulatedErrors]]:
        """The simulations that say how much a class errs: those that are float32 on this model are
        left out, where others of the class are not."""
        noise = max(form.rms for form in self.classes["float32"])
        return {
            c: [f for f in forms if not is_plain(f.form, size=f.rms, noise=noise)] or forms
            for c, forms in self.classes.items()
        }

    @cached_property
    def noise(self) -> float:
        """The RMS error of a plain float32 evaluation; the largest, where there are several."""
        return max(form.rms for form in self.classes["float32"])

    @cached_property
    def sensitive(self) -> Floats:
        """How strongly each element reacts to rounding, (rows, columns)."""
        lower = [f.error for f in self.forms if f.precision != "float32"]
        return direction.sensitivity(lower, self.ulps)

    @cached_property
    def _spreads(self) -> Mapping[Precision, float]:
        # A maximum over the median is at least 1; the floor on errors may say 0.
        return {
            c: max(1.0, *(self.spread(f.error) for f in forms)) for c, forms in self.classes.items()
        }

    @cached_property
    def _units(self) -> Sequence[tuple[SimulatedErrors, Array]]:
        return [(form, self._unit(form.error)) for form in self.forms]

    @cached_property
    def _subset(self) -> Array | slice:
        """The rows by which directions and value grids are looked at: all, or of a large output so
        many that they hold MANY elements, drawn by a fixed seed."""
        rows, columns = self.oracle.shape
        most = max(1, MANY // columns)
        if rows <= most:
            return slice(None)
        return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))

    def _unit(self, error: Array) -> Array:
        rows = self._subset
        return direction.unit(error[rows], self.sensitive[rows]).astype(np.float32)

    def spread(self, error: Array) -> float:
        """Divides the largest scaled error by the median one (step 4).

        Errors under half an ulp of the output's typical size do not count.
        """
        scaled = self._scaled(error)
        most = float(np.max(scaled, where=self._counts(error), initial=0.0))
        return most / float(np.median(scaled, overwrite_input=True))

    def _scaled(self, error: Array) -> Floats:
        scaled = np.abs(error, dtype=np.float64)
        scaled += self.ulps / 2
        scaled /= self.sensitive
        return scaled

    def _counts(self, error: Array) -> Array:
        return np.asarray(np.abs(error) > self.typical / 2)

    def band(self, precision: Precision, *, few_values: bool = False) -> tuple[float, float]:
        """Gives the least and the largest RMS error of a class (step 3).

        `few_values`: the answers have as few different values as int8 has.
        """
        sizes = [form.rms for form in self._telling[precision]]
        if precision == "float32":
            return 0.0, FLOAT32_BORDER * max(sizes)
        widest = FEW_VALUES_BAND if few_values and precision == "int8" else BAND[1]
        return BAND[0] * min(sizes), widest * max(sizes)

    def relative_bands(self) -> dict[Precision, tuple[float, float]]:
        """Gives the bands as multiples of a plain float32 evaluation, finest class first."""
        bands = {c: self.band(c) for c in self.classes}
        return {c: (low / self.noise, high / self.noise) for c, (low, high) in bands.items()}

    def judge(self, answers: Floats) -> Finding:
        """Follows steps 3 to 8 for finite answers of the oracle's shape."""
        error = answers - self.oracle
        size = self.rms(error)
        grid = valuegrids.grid_of(answers[self._subset], self.oracle[self._subset])
        bands = {c: self.band(c, few_values=grid == "int8") for c in self.classes}
        names = [c for c, (low, high) in bands.items() if low <= size <= high]
        local = self.few_at_fault(error, names or [self._nearest(size)])
        if local.size and grid != "int8":
            return self._wrong_in_few(local)  # 4
        if size > max(high for _, high in bands.values()):
            return Fault("wrong", f"{self._times(size)}, beyond every format")  # 3
        if not names:
            return Fault("between", self._neighbours(size, bands))  # 3
        if "float32" in names:
            return self._float32(size, names)  # 5
        if grid in names:
            return Named((grid,), _grid_words(grid))  # 6
        if self._visible() < VISIBLE:
            words = f"{self._times(size)}, but few elements would show a lower format"
            return Fault("less than float32", words)  # 7
        return self._directed(error, names)  # 8

    def _nearest(self, size: float) -> Precision:
        return min(
            self.classes,
            key=lambda c: min(abs(np.log(size / form.rms)) for form in self.classes[c]),
        )

    def few_at_fault(self, error: Floats, near: Sequence[Precision]) -> Array:
        """Finds the elements that stand out further than in the simulations of `near` (step 4).

        Returns their flat indices, worst first.
        """
        scaled = self._scaled(error).ravel()
        limit = LOCAL * max(self._spreads[c] for c in near) * np.median(scaled)
        indices = np.flatnonzero((scaled > limit) & self._counts(error).ravel())
        return indices[np.argsort(-scaled[indices])]

    def _wrong_in_few(self, indices: Array) -> Fault:
        words = f"{elements(indices.size)} of {self.oracle.size:,} far worse than the others"
        return Fault("wrong", words, indices)

    def _times(self, size: float) -> str:
        return f"RMS error {times(size / self.noise)} times that of plain float32"

    def _neighbours(self, size: float, bands: Mapping[Precision, tuple[float, float]]) -> str:
        below = [c for c, (_, high) in bands.items() if high < size]
        above = [c for c, (low, _) in bands.items() if low > size]
        parts = [self._times(size)]
        if below:
            finer = max(below, key=lambda c: bands[c][1])
            parts.append(f"{finer} ends at {times(bands[finer][1] / self.noise)}")
        if above:
            coarser = min(above, key=lambda c: bands[c][0])
            parts.append(f"{coarser} begins at {times(bands[coarser][0] / self.noise)}")
        return ", ".join(parts) + ": a fast kernel and a small fault look alike"

    def _float32(self, size: float, names: Sequence[Precision]) -> Named:
        if len(names) == 1 and len(self.classes) > 1:
            words = f"{self._times(size)}; up to {FLOAT32_BORDER:g} is float32"
            return Named(("float32",), words)
        words = f"{joined(names)}: each would err as much on these feeds"
        return Named(tuple(names), words, silent=self._is_silent())

    def _is_silent(self) -> bool:
        """Says whether hardly an element shows even the coarsest usual format."""
        return self._visible() < min(VISIBLE, self.oracle.size / 2)

    def _visible(self) -> float:
        """Counts the elements in which the coarsest usual format would show (step 7)."""
        # bfloat16 first: the rule was tried with it. The others stand in where it overflows.
        preferred: tuple[Precision, ...] = ("bfloat16", "int8", "float16", "tf32")
        shown = next((self.classes[c] for c in preferred if c in self.classes), [])
        counts = [np.count_nonzero(np.abs(f.error) > self.typical) for f in shown]
        return float(np.mean(counts)) if counts else 0.0

    def _directed(self, error: Floats, names: Sequence[Precision]) -> Named:
        mine = self._unit(error)
        cosines = {c: self._cosine(mine, [c], directed=True) for c in names}
        best = max(cosines.values())
        # What truncated tf32 explains better is either that or a fault: it proves no other class.
        if best < max(direction.PROOF, self._cosine(mine, names, directed=False)):
            chosen = self._same_bits(names)
            words = joined(chosen)
            doubt = f"as large as {words}'s error, nothing else shows {words}"
            return Named(chosen, f"{doubt}: a small fault looks the same", proven=False)
        near = [c for c in names if cosines[c] > best - direction.TIE]
        return Named(self._same_bits(near), f"by the direction of the error, {best:.2f}")

    def _cosine(self, mine: Array, names: Sequence[Precision], *, directed: bool) -> float:
        """Gives the largest cosine with a simulation of these classes; 0 where there is none."""
        units = (
            unit
            for form, unit in self._units
            if form.precision in names and form.directed == directed
        )
        return max((direction.cosine(mine, unit) for unit in units), default=0.0)

    def _same_bits(self, names: Sequence[Precision]) -> tuple[Precision, ...]:
        """Adds tf32 to float16 and the reverse: errors cannot tell them apart."""
        pair = {"tf32", "float16"}
        more = pair if pair & set(names) else set()
        return tuple(c for c in self.classes if c in more or c in names)


def is_plain(form: str, *, size: float, noise: float) -> bool:
    """Says whether a form of a lower format, by its name, is float32 on this model: hardly a weight
    is no number of that format, and the outputs do not show it. Many networks were trained in
    bfloat16 and are kept in float32; of their weights float16 rounds the few that it has no normal
    number for.

    `size` is its RMS error, `noise` that of a plain float32 evaluation.
    """
    return form.endswith(HARDLY) and size <= FLOAT32_BORDER * noise


def _mean_square(values: Array) -> float:
    """Gives the mean of squares without an array of them."""
    flat = values.ravel()
    return float(np.dot(flat, flat)) / flat.size


def ulp(values: Array | float) -> Floats:
    """Gives the distance from each value to the next float32, in float64, of the same shape."""
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, its ulp NaN
        near = np.abs(np.asarray(values)).astype(np.float32)
    return np.asarray(np.spacing(near), np.float64)


def times(factor: float) -> str:
    """Writes a factor as a sentence shows it.

    >>> times(1.234), times(43.21), times(12345.6)
    ('1.2', '43', '12,346')
    """
    return f"{factor:.1f}" if factor < 10 else f"{factor:,.0f}"


def elements(count: int) -> str:
    """Writes a number of elements.

    >>> elements(1), elements(1200)
    ('1 element', '1,200 elements')
    """
    return "1 element" if count == 1 else f"{count:,} elements"


def joined(names: Sequence[str]) -> str:
    """Writes names as alternatives.

    >>> joined(["tf32", "float16", "bfloat16"]), joined(["int8"])
    ('tf32, float16 or bfloat16', 'int8')
    """
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _grid_words(grid: Precision) -> str:
    return "at most 256 different values" if grid == "int8" else f"all values lie on {grid}'s grid"
