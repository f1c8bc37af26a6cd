"""The units of the program, and how quantities are shown.

Inside the program a time is in seconds (a sample: integer nanoseconds) and a size in bytes, always.
The functions below turn them into words; they are called where a text for people is made: in
`report/` and `cli/`, in findings, warnings and errors.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Seconds: TypeAlias = float
Bytes: TypeAlias = int
Number: TypeAlias = float | Literal["nan", "inf", "-inf"]
"""A float as it stands in a record: strict JSON has no word for what is not finite."""

THIN = "\u2009"


def number(value: float) -> Number:
    """`value` as a record holds it. The only place where such a field is built."""
    value = float(value)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def significant(value: float, digits: int = 3) -> str:
    """`value` with so many significant figures and without an exponent.

    >>> significant(0.0123456), significant(1234.5), significant(9.999)
    ('0.0123', '1234', '10.0')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{value:.{decimals}f}"


def time_unit(seconds: Seconds) -> tuple[float, str]:
    """The unit in which a time is shown, and how many seconds it has: (1e-6, 'µs')."""
    for factor, unit in ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms")):
        if abs(seconds) < factor * 999.5:
            return factor, unit
    return 1.0, "s"


def duration(seconds: Seconds, digits: int = 3) -> str:
    """A time with its unit.

    >>> duration(3.9e-6, 2).replace(THIN, " "), duration(75).replace(THIN, " ")
    ('3.9 µs', '75.0 s')
    """
    factor, unit = time_unit(seconds)
    return f"{significant(seconds / factor, digits)}{THIN}{unit}"


def size(count: Bytes) -> str:
    """A number of bytes with its unit (1 KB = 1,000 bytes).

    >>> size(39313).replace(THIN, " "), size(264).replace(THIN, " ")
    ('39.3 KB', '264 bytes')
    """
    if count < 1000:
        return f"{count}{THIN}bytes"
    value = float(count)
    for unit in ("KB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{significant(value)}{THIN}{unit}"


def percent(share: float, digits: int = 2) -> str:
    """A share of one as a percentage.

    >>> percent(0.0081).replace(THIN, " ")
    '0.81 %'
    """
    return f"{significant(share * 100, digits)}{THIN}%"
