"""A check in one paragraph, for the chain."""

from __future__ import annotations

from toolkit.records.schema import Run
from toolkit.report.summary import summarize
from toolkit.report.words import listed, printable


def check(run: Run) -> list[str]:
    """'float32 on onnxruntime cpu and torch cpu; Relu as defined on all of them'."""
    view = summarize(run)
    verdicts: dict[str, list[str]] = {}
    for one in view.subjects:
        failure = one.record.failure if one.record else None
        text = one.verdict.text if one.verdict else f"not judged ({failure and failure.what})"
        verdicts.setdefault(text, []).append(one.name)
    lines = [f"{printable(text)} on {listed(names)}" for text, names in verdicts.items()]
    deviating = [
        f"{one.name} for {listed([row.value for row in one.record.card if row.deviates])}"
        for one in view.subjects
        if one.record and any(row.deviates for row in one.record.card)
    ]
    asked = sum(1 for one in view.subjects if one.record and one.record.card)
    if deviating:
        lines.append(f"Relu is not max(0, x) on {listed(deviating)}: toolkit check shows the card")
    elif asked:
        lines.append("Relu is max(0, x) for NaN, ±Inf, ±0 and subnormals on all of them")
    return lines
