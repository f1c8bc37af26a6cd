"""Draws the error of each target on the scale of the formats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolkit.answers.formats import ORDER
from toolkit.answers.rule import FLOAT32_BORDER
from toolkit.answers.verdict import OutputVerdict
from toolkit.report import palette
from toolkit.report.grids import answers
from toolkit.report.plots.base import (
    Channel,
    Chart,
    Datum,
    Plot,
    Spec,
    beside,
    in_order,
    lies_right,
    lines,
    names,
    shades,
    shapes,
    spec,
    ticks,
)
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import factor, printable

Bands = dict[str, tuple[float, float]]
"""Format → the range of its errors, as multiples of plain float32's."""

FLOAT32 = (
    f"Left of the line, at {FLOAT32_BORDER:g} times the error of a plain float32 evaluation, "
    "is float32."
)
BARS = "The upper bars show where errors of each format lie for this model."
NOT_DRAWN = (
    "Without a bar: {formats}. A format is simulated where answers may come near it, "
    "and has no band where it overflows."
)
CROSS = "A cross is wrong; at the right edge it has no finite error."


def draw(view: View) -> Plot | None:
    """One line a target with a mark for each of its outputs; None where nothing was judged.

    Above them stand lines of the formats, where their errors are known for this model.
    """
    judged = [target for target in in_order(view) if target.verdict and target.verdict.outputs]
    bands = joined(judged)
    points = [
        mark(target, output, line)
        for line, target in enumerate(judged, start=len(bands))
        for output in (target.verdict.outputs if target.verdict else ())
        if "wrong" in output.names or finite(output)
    ]
    if not points:
        return None
    return Plot(
        name="answers",
        title="How far the answers are from float64",
        reading=" ".join([FLOAT32, *bars(bands), CROSS]),
        spec=picture(view, judged, points, bands),
        grid=answers.answers(judged),
    )


def bars(bands: Bands) -> list[str]:
    """Sentences on the bars, and on the formats that have none."""
    if not bands:
        return []
    missing = [name for name in ORDER if name not in bands]
    return [BARS, *([NOT_DRAWN.format(formats=", ".join(missing))] if missing else [])]


def picture(
    view: View, judged: Sequence[ShownTarget], points: Sequence[Datum], bands: Bands
) -> Spec:
    """The dots and crosses of the outputs, below the bars of the formats."""
    import altair as alt

    left, right = edges(points, bands)
    # What has no finite error, or none at all, stands at an edge.
    within = [point | {"factor": min(max(float(point["factor"]), left), right)} for point in points]
    marks = alt.Chart(alt.InlineData(within)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    dots = marks.transform_filter("!datum.wrong").mark_point(
        size=70, filled=True, opacity=1, aria=False
    )
    crosses = marks.transform_filter("datum.wrong").mark_point(
        size=90, shape="cross", filled=True, opacity=1, color=palette.WRONG, aria=False
    )
    heads = [
        head(target, [point for point in within if point["line"] == line], line, (left, right))
        for line, target in enumerate(judged, start=len(bands))
    ]
    base = alt.Chart(alt.InlineData(heads)).encode(y=lines())
    x = error_axis(left, right)
    return spec(
        alt.layer(
            *ruler(bands, left),
            dots.encode(x=x, color=shades(view.targets), shape=shapes(view.targets)),
            crosses.encode(x=x),
            # One name and one label a line, however many outputs have a mark on it.
            *names(base),
            *beside(base, "least", "most"),
        )
    )


def error_axis(left: float, right: float) -> Channel:
    """A logarithmic axis of errors; the right edge, where errors are not finite, has no value."""
    import altair as alt

    return alt.X(
        "factor:Q",
        scale=alt.Scale(type="log", domain=[left, right], nice=False),
        axis=alt.Axis(
            values=[value for value in ticks(left, right) if value < right],
            labelExpr="format(datum.value, ',~r') + '×'",
            labelOverlap="greedy",
            title="multiples of plain float32's error, logarithmic",
        ),
    )


def finite(output: OutputVerdict) -> bool:
    return not isinstance(output.factor, str) and math.isfinite(output.factor)


def joined(judged: Sequence[ShownTarget]) -> Bands:
    """The band of each format, from its least to its largest error at any output of the model."""
    bands: Bands = {}
    for target in judged:
        for output in target.verdict.outputs if target.verdict else ():
            for name, (low, high) in output.bands.items():
                least, most = bands.get(name, (low, high))
                bands[name] = (min(least, low), max(most, high))
    return bands


def edges(points: Sequence[Datum], bands: Bands) -> tuple[float, float]:
    """The ends of the axis: finite errors lie within, what is not finite stands at the right end.

    float32 without any fault lies around 1, so the axis reaches to 0.3 at least.
    """
    factors = [float(point["factor"]) for point in points]
    errors = [error for error in factors if math.isfinite(error)]
    # 1.5 and 3: no mark lies on an edge, and at the right a cross without a finite error stands
    # clear of all others. 1e-3: an exact answer has no place on a logarithmic axis.
    least = min([0.3, *(error / 1.5 for error in errors if error > 0)])
    ends = [high for _, high in bands.values()]
    return max(least, 1e-3), 3 * max([FLOAT32_BORDER, *errors, *ends])


def mark(target: ShownTarget, output: OutputVerdict, line: int) -> Datum:
    """The mark of one output of one target."""
    verdict = printable(" or ".join(output.names))
    tip = (
        target.name,
        f"{printable(output.output)}: {verdict}, {factor(output.factor)}",
        printable(output.evidence),
    )
    return {
        "line": line,
        "name": target.name,
        "factor": float(output.factor) if finite(output) else math.inf,
        "wrong": "wrong" in output.names,
        "tip": "\n".join(tip),
    }


def head(
    target: ShownTarget, points: Sequence[Datum], line: int, axis: tuple[float, float]
) -> Datum:
    """The name of a line, and its label beside the outermost of its marks."""
    left, right = axis
    errors = [float(mark["factor"]) for mark in points] or [left]
    return {
        "line": line,
        "name": target.name,
        "label": verdict_text(target),
        "least": min(errors),
        "most": max(errors),
        "left": lies_right(max(errors), left, right),
    }


def verdict_text(target: ShownTarget) -> str:
    return printable(target.verdict.text) if target.verdict else ""


def ruler(bands: Bands, left: float) -> list[Chart]:
    """The border of float32, and a bar for each format; plot.css knows both by their names."""
    import altair as alt

    border = alt.Chart(alt.InlineData([{"border": FLOAT32_BORDER}]))
    layers = [border.mark_rule(aria=False).encode(x=alt.X("border:Q")).properties(name="one")]
    if not bands:
        return layers
    bars = [
        {
            "line": line,
            "name": name,
            "low": max(low, left),
            "high": max(high, left),
            "tip": f"{name}: {factor(low)} to {factor(high)}",
        }
        for line, (name, (low, high)) in enumerate(bands.items())
    ]
    base = alt.Chart(alt.InlineData(bars)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    bar = base.mark_bar(height=8, aria=False).encode(x=alt.X("low:Q"), x2="high:Q")
    return [*layers, bar.properties(name="band"), *names(base)]
