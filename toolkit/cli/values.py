"""Reads values as they are typed: '20s', '0.5%', '8GB', 'bfloat16'."""

from __future__ import annotations

import math
import re

import click

from toolkit.units import Bytes, Seconds

LARGEST_PRICE = 1e12
"""No machine costs as much, in any currency; a record holds no number beyond all sizes."""
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Duration(click.ParamType[Seconds]):
    """Reads '20s', '1.5m' or a bare number of seconds as seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Seconds:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value))
        if match is None or (match[2] or "s") not in UNITS or float(match[1]) == 0:
            self.fail(f"{value!r} is no time: give one such as 20s or 2m", param, ctx)
        return float(match[1]) * UNITS[match[2] or "s"]


class Percent(click.ParamType[float]):
    """Reads '0.5%' as 0.005. A bare number is refused: 1 could mean 1 % or all."""

    name = "percent"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(value))
        if match is None or not 0 < float(match[1]) <= 100:
            self.fail(f"{value!r} is no percentage: give one such as 0.5%", param, ctx)
        return float(match[1]) / 100


class Price(click.ParamType[float]):
    """Reads '0.34' as a price: finite, and above zero."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", str(value))
        if match is None or not 0 < float(match[0]) < LARGEST_PRICE:
            self.fail(f"{value!r} is no price of an hour: give one such as 0.34", param, ctx)
        return float(match[0])


class ErrorLimit(click.ParamType[float]):
    """Reads '1e-5' as the largest error that is allowed: finite, and zero or more."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            limit = float(str(value))
        except ValueError:
            limit = math.nan
        if not 0 <= limit < math.inf:
            self.fail(f"{value!r} is no limit of an error: give one such as 1e-5", param, ctx)
        return limit


class MemorySize(click.ParamType[Bytes]):
    """Reads '8GB', '512MB' or '1.5GiB' as bytes."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Bytes:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(i?)B\s*", str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is no size of memory: give one such as 8GB", param, ctx)
        step = 1024 if match[3] else 1000
        return int(float(match[1]) * step ** ("KMGT".index(match[2]) + 1))


MEMORY = MemorySize()
LIMIT = ErrorLimit()
DURATION = Duration()
PERCENT = Percent()
PRICE = Price()
UNDECIDED = "undecided"
"""The word for answers of which these feeds cannot tell what they are worth."""
ACCEPTED = click.Choice(["float32", "tf32", "float16", "bfloat16", "int8", UNDECIDED])
