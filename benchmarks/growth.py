"""Shows how the cost of an export with its proof and of a check grows with a model.

python -m benchmarks.growth            measures what is not in the ledger yet, and draws it
python -m benchmarks.growth --again    measures everything once more

Three kinds of models (benchmarks/scale/grown.py), each in sizes that lie far apart: dense nets by
their weights, chains by their nodes, an encoder by its tokens. The cost of the tokens stands beside
that of one call of the model itself in float32, and the bare export beside that with a proof.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import altair as alt
import click

from benchmarks import ledger
from benchmarks.ledger import Ledger, Line
from benchmarks.scale import grown, measure

WIDTH, HEIGHT = 200, 220
"""Pixels of one panel."""
AXES = {"dense": "million weights", "chain": "nodes", "text": "tokens"}
COLOURS = {
    "bare export": "#999999",
    "export with proof": "#0072b2",
    "check": "#d55e00",
    "one call in float32": "#009e73",
}
"""Okabe and Ito's colours, told apart by the colour-blind."""


def line(name: str) -> Line:
    """Measures one model: the three commands once, and the time of its own call."""
    return {**measure.measure(name, 1), "call": round(_call(name), 4)}


def _call(name: str) -> float:
    """The seconds of a call in float32 with the batch that is traced, the least of five."""
    import torch

    from toolkit.exporter import tracing
    from toolkit.sources import inputs

    module = getattr(grown, name)()
    stated = inputs.parse_all(grown.inputs(name))
    (tensor,) = tracing.draw(stated, {"batch": 2}).values()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        with torch.no_grad():
            module(tensor)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def newest(lines: Sequence[Line]) -> list[Line]:
    """The newest line of each model, by kind and size."""
    last = {line["model"]: line for line in lines}
    return [last[name] for name in names() if name in last]


def names() -> Iterator[str]:
    """All models, a kind after the other, the smallest first."""
    for kind, (_, _, sizes) in grown.KINDS.items():
        yield from (f"{kind}_{size}" for size in sizes)


def draw(lines: Sequence[Line], path: Path) -> None:
    """Draws seconds over size, a panel for each kind, both axes logarithmic."""
    panels = [
        _panel(kind, [line for line in lines if line["model"].startswith(f"{kind}_")])
        for kind in grown.KINDS
    ]
    alt.hconcat(*(panel for panel in panels if panel is not None)).save(path)


def _panel(kind: str, lines: Sequence[Line]) -> alt.Chart | None:
    rows = [
        {"size": _size(line), "seconds": seconds, "of": what}
        for line in lines
        for what, seconds in (
            ("bare export", line["bare"]["seconds"]),
            ("export with proof", line["export"]["seconds"]),
            ("check", line["check"]["seconds"]),
            ("one call in float32", line["call"]),
        )
    ]
    if not rows:
        return None
    chart = alt.Chart(alt.InlineData(values=rows)).mark_line(point=True)
    drawn: alt.Chart = chart.encode(
        x=alt.X("size:Q", title=AXES[kind], scale=alt.Scale(type="log")),
        y=alt.Y("seconds:Q", title="seconds", scale=alt.Scale(type="log")),
        color=alt.Color(
            "of:N",
            scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
            legend=alt.Legend(title=None, orient="top"),
        ),
    ).properties(width=WIDTH, height=HEIGHT)
    return drawn


def markdown(lines: Sequence[Line]) -> str:
    """The newest result of each model as Markdown. A call is that of the module in float32."""
    rows = [
        "| model | bare export | export with proof | check | memory of check | one call |",
        "|---|---|---|---|---|---|",
    ]
    for line in newest(lines):
        kind = line["model"].split("_")[0]
        cells = (
            f"{_size(line):,} {AXES[kind]}",
            f"{line['bare']['seconds']:.1f} s",
            f"{line['export']['seconds']:.1f} s",
            f"{line['check']['seconds']:.1f} s",
            f"{line['check']['memory'] / 1e6:,.0f} MB",
            f"{1e3 * line['call']:.1f} ms",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _size(line: Line) -> int:
    return int(line["model"].split("_")[1])


@click.command()
@click.option("--again", is_flag=True, help="Measure what was measured before, too.")
def main(again: bool) -> None:
    """Measures the models that are lacking, prints the table and draws the picture."""
    results: Ledger = ledger.committed("growth")
    done = {line["model"] for line in results.lines()}
    for name in names():
        if again or name not in done:
            results.append(line(name))
    click.echo(markdown(results.lines()))
    draw(newest(results.lines()), results.path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
