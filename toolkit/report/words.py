"""Puts numbers and lists into words, the same in every rendering.

A number has three significant figures, and never more than its interval carries.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toolkit.plaintext import printable as printable  # One of the words of every rendering.
from toolkit.units import THIN, Number, Seconds, significant, time_unit

NOT_FINITE = {"nan": "NaN", "inf": "Inf", "-inf": "−Inf"}
"""Numbers that are not finite: as a record writes them → as a reader sees them."""


INTERVAL = re.compile(r"\([^\s()]+ to [^\s()]+\)")
"""An interval as it stands behind a number: '(1.21 to 1.25)'."""
KEPT = "\u00a0"
"""Stands for a space at which no line is broken."""


@dataclass(frozen=True)
class Spread:
    """A middle value with the range over process starts, or the interval, that lies around it."""

    middle: float
    low: float
    high: float

    def scaled(self, factor: float) -> Spread:
        """Converts all three values into another unit, by `factor`."""
        return Spread(self.middle * factor, self.low * factor, self.high * factor)


def decimals(spread: Spread, digits: int = 3) -> int:
    """Counts the places behind the point that a value deserves.

    They give at most `digits` significant figures, and none that is finer than half the spread.

    >>> decimals(Spread(6.21, 6.10, 6.31)), decimals(Spread(1.2345, 1.2100, 1.2500))
    (1, 2)
    """
    if spread.middle == 0 or not math.isfinite(spread.middle):
        return 0
    # Rounded first: 0.9996 has the places of 1.00.
    rounded = abs(float(f"{spread.middle:.{digits - 1}e}"))
    most = digits - 1 - math.floor(math.log10(rounded))
    half = (spread.high - spread.low) / 2
    # A half-width of 0.004 carries the third place: 10 ** -3 is the largest power below it.
    carried = math.ceil(-math.log10(half)) if half > 0 else most
    return max(0, min(most, carried))


def timed(spread: Spread) -> tuple[str, str]:
    """A time, and the range around it, in one unit: ('3.9 µs', '3.8 to 4.2').

    Seconds in. A range over process starts spans whole states of the machine (a core may be 1.5
    times slower for seconds), so two significant figures stand however wide it is.

    >>> [text.replace(THIN, " ") for text in timed(Spread(3.92e-6, 3.8e-6, 4.2e-6))]
    ['3.9 µs', '3.8 to 4.2']
    """
    # The middle chooses the unit for all three: a range in two units is not read at a glance.
    factor, unit = time_unit(spread.middle)
    scaled = spread.scaled(1 / factor)
    places = max(decimals(scaled), decimals(Spread(scaled.middle, 0, 0), digits=2))
    return (
        f"{scaled.middle:.{places}f}{THIN}{unit}",
        f"{scaled.low:.{places}f} to {scaled.high:.{places}f}",
    )


def seconds(value: Seconds) -> str:
    """A time in tenths of seconds, as it stands at the end of a command's line: '24.0 s'."""
    return f"{value:.1f}{THIN}s"


def factor(value: Number) -> str:
    """An error as a multiple of plain float32's, also where it is not finite."""
    if isinstance(value, str):
        return NOT_FINITE[value]
    return f"{grouped(value)}×"


def figure(value: Number, digits: int = 3) -> str:
    """A number of any size: plain between 0.001 and 100,000, else with a power of ten."""
    if isinstance(value, str):
        return NOT_FINITE[value]
    if value == 0:
        # Runtimes differ in the sign of zero, which == does not see.
        return "−0.0" if math.copysign(1, value) < 0 else "0"
    if 1e-3 <= abs(value) < 1e5:
        return significant(value, digits).replace("-", "−")
    return f"{value:.{digits - 1}e}".replace("-", "−")


def grouped(value: float) -> str:
    """Three significant figures with the thousands apart: '3,100', '0.9'.

    >>> grouped(3104.2), grouped(0.912), grouped(43.21)
    ('3,100', '0.912', '43.2')
    """
    if abs(value) < 1000:
        return significant(value)
    return f"{float(f'{value:.2e}'):,.0f}"


def short(value: float) -> str:
    """Three significant figures of a number of any size, for a narrow column.

    >>> short(999.6).replace(THIN, " "), short(768_000).replace(THIN, " ")
    ('1.00 k', '768 k')
    """
    factor, letter = next(
        (each for each in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if value >= 0.9995 * each[0]),
        (1.0, ""),
    )
    return f"{significant(value / factor)}{THIN if letter else ''}{letter}"


def counted(count: int, singular: str, plural: str = "") -> str:
    """'1 round', '20 rounds'; without `plural` an s is added."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listed(items: Iterable[str]) -> str:
    """'a', 'a and b', 'a, b and c'. Raises ValueError where there are no items."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last


def width(text: str) -> int:
    """The cells that `text` takes in a terminal: wide characters two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def whole(text: str, names: Iterable[str]) -> str:
    """`text` with each of these names in one piece: `wrapped` breaks no line within it."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, name.replace(" ", KEPT))
    return text


def whole_parts(name: str) -> str:
    """A target's name, of which `wrapped` breaks no part but at the commas between them."""
    return name.replace(" ", KEPT).replace(f",{KEPT}", ", ")


def wrapped(text: str, room: int) -> Sequence[str]:
    """Breaks `text` at spaces into lines of at most `room` cells; a longer word stands alone.

    An interval stays in one piece, and so does what `whole` has joined, where the room holds it.
    """
    joined = INTERVAL.sub(lambda match: match[0].replace(" ", KEPT), text)
    lines: list[str] = []
    # Not at any white space: the thin space keeps a number and its unit on one line.
    for piece in joined.split(" "):
        for word in [piece] if width(piece) <= room else piece.split(KEPT):
            if lines and width(lines[-1]) + 1 + width(word) <= room:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
    return [line.replace(KEPT, " ") for line in lines]
