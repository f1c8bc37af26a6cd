"""The error of each target on the scale of the formats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolkit.answers.verdict import OutputVerdict
from toolkit.report import palette
from toolkit.report.grids import answers
from toolkit.report.plots.base import (
    Chart,
    Datum,
    Plot,
    in_order,
    lines,
    names,
    shades,
    spec,
    ticks,
)
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import factor, printable

BORDER = 10.0
"""Times the error of a plain float32 evaluation: up to here an answer is float32."""
Bands = dict[str, tuple[float, float]]


def draw(view: View) -> Plot | None:
    """One line a target and a mark for each of its outputs; above them the formats' own lines."""
    import altair as alt

    judged = [one for one in in_order(view) if one.verdict and one.verdict.outputs]
    bands = joined(judged)
    points = [
        mark(one, output, len(bands) + place)
        for place, one in enumerate(judged)
        for output in (one.verdict.outputs if one.verdict else ())
        if "wrong" in output.names or finite(output)
    ]
    if not points:
        return None
    left, right = edges(points, bands)
    for one in points:
        one["factor"] = min(max(float(one["factor"]), left), right)
    x = alt.X(
        "factor:Q",
        scale=alt.Scale(type="log", domain=[left, right], nice=False),
        axis=alt.Axis(
            values=[value for value in ticks(left, right) if value < right],
            labelExpr="format(datum.value, ',~r') + '×'",
            labelOverlap="greedy",
            title="multiples of plain float32's error, logarithmic",
        ),
    )
    dots = alt.Chart(alt.InlineData(points)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    rest = dots.transform_filter("!datum.wrong").mark_point(
        size=70, filled=True, opacity=1, aria=False
    )
    wrong = dots.transform_filter("datum.wrong").mark_point(
        size=90, shape="cross", filled=True, opacity=1, color=palette.WRONG, aria=False
    )
    heads = [
        {"place": len(bands) + place, "name": one.name, "label": said(one)}
        for place, one in enumerate(judged)
    ]
    return Plot(
        name="answers",
        title="How far the answers are from float64",
        reading=(
            "Left of the line, at 10 times the error of a plain float32 evaluation, is float32. "
            + (
                "The upper bars show where errors of each format lie for this model. "
                if bands
                else ""
            )
            + "A cross is wrong; at the right edge it has no finite error."
        ),
        spec=spec(
            alt.layer(
                *ruler(bands, left),
                rest.encode(x=x, color=shades(view.targets)),
                wrong.encode(x=x),
                *names(alt.Chart(alt.InlineData(heads)).encode(y=lines()), "label"),
            )
        ),
        grid=answers.answers(judged),
    )


def finite(output: OutputVerdict) -> bool:
    return not isinstance(output.factor, str) and math.isfinite(output.factor)


def joined(judged: Sequence[ShownTarget]) -> Bands:
    """Each format's band, over all outputs of the model."""
    found: Bands = {}
    for one in judged:
        for output in one.verdict.outputs if one.verdict else ():
            for name, (low, high) in output.bands.items():
                least, most = found.get(name, (low, high))
                found[name] = (min(least, low), max(most, high))
    return found


def edges(points: Sequence[Datum], bands: Bands) -> tuple[float, float]:
    """The ends of the axis: what is finite lies within, what is not at the right end."""
    errors = [float(one["factor"]) for one in points if math.isfinite(float(one["factor"]))]
    least = min([0.3, *(error / 1.5 for error in errors if error > 0)])
    return max(least, 1e-3), 3 * max([BORDER, *errors, *(high for _, high in bands.values())])


def mark(one: ShownTarget, output: OutputVerdict, place: int) -> Datum:
    """One output of one target."""
    named = printable(" or ".join(output.names))
    return {
        "place": place,
        "name": one.name,
        "factor": float(output.factor) if finite(output) else math.inf,
        "wrong": "wrong" in output.names,
        "tip": "\n".join(
            [
                one.name,
                f"{printable(output.output)}: {named}, {factor(output.factor)}",
                printable(output.evidence),
            ]
        ),
    }


def said(one: ShownTarget) -> str:
    return printable(one.verdict.text) if one.verdict else ""


def ruler(bands: Bands, left: float) -> list[Chart]:
    """The border of float32, and a bar for each format."""
    import altair as alt

    border = alt.Chart(alt.InlineData([{"border": BORDER}]))
    drawn = [border.mark_rule(aria=False).encode(x=alt.X("border:Q")).properties(name="one")]
    if not bands:
        return drawn
    bars = [
        {
            "place": place,
            "name": name,
            "low": max(low, left),
            "high": max(high, left),
            "tip": f"{name}: {factor(low)} to {factor(high)}",
        }
        for place, (name, (low, high)) in enumerate(bands.items())
    ]
    base = alt.Chart(alt.InlineData(bars)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    bar = base.mark_bar(height=8, aria=False).encode(x=alt.X("low:Q"), x2="high:Q")
    return [*drawn, bar.properties(name="band"), *names(base)]
