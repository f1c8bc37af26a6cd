"""How values are typed: '20s', '0.5%', 'bfloat16'."""

from __future__ import annotations

import math
import re

import click

from toolkit.units import Seconds

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class Duration(click.ParamType[Seconds]):
    """'20s', '1.5m' or a bare number of seconds → seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Seconds:
        form = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value))
        if form is None or (form[2] or "s") not in UNITS or float(form[1]) == 0:
            self.fail(f"{value!r} is no time: give one such as 20s or 2m", param, ctx)
        return float(form[1]) * UNITS[form[2] or "s"]


class Percent(click.ParamType[float]):
    """'0.5%' → 0.005. A bare number is refused: 1 could be meant either way."""

    name = "percent"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        form = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", str(value))
        if form is None or not 0 < float(form[1]) <= 100:
            self.fail(f"{value!r} is no percentage: give one such as 0.5%", param, ctx)
        return float(form[1]) / 100


class ErrorLimit(click.ParamType[float]):
    """'1e-5' → 1e-5: a largest error, which is no less than zero and finite."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            bound = float(str(value))
        except ValueError:
            bound = math.nan
        if not 0 <= bound < math.inf:
            self.fail(f"{value!r} is no bound of an error: give one such as 1e-5", param, ctx)
        return bound


BOUND = ErrorLimit()
DURATION = Duration()
PERCENT = Percent()
PRECISION = click.Choice(["float32", "tf32", "float16", "bfloat16", "int8"])
