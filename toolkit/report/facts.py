"""Writes the lines that say what was measured, where and how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from toolkit.machine.facts import Machine
from toolkit.machine.features import summary
from toolkit.records.schema import Model, Run, TargetRecord
from toolkit.report.words import counted, listed, printable, seconds
from toolkit.units import THIN, duration, percent, size

MOST_KINDS = 6
"""Kinds of operators that the model's line names, so that it stays one line."""
MOST_ELSEWHERE = 4
"""Kinds of operators that a target's name holds where nodes ran elsewhere."""
SHORT = 100e3
"""Nanoseconds: below it the clock and the binding are a visible part of a call. A binding takes 1.4
to 4 µs, which is 1.4 to 4 % of this."""


def model_line(model: Model) -> str:
    """'mlp.onnx · 39.3 KB · Gemm 2, Relu, Sigmoid · opset 20 · sha256 1a2b3c4d5e6f'."""
    # The most frequent first; by name where two are as frequent, so that a line never changes.
    often = sorted(model.operators.items(), key=lambda item: (-item[1], item[0]))
    kinds = [name if count == 1 else f"{name} {count}" for name, count in often[:MOST_KINDS]]
    if len(often) > MOST_KINDS:
        kinds.append(f"{len(often) - MOST_KINDS} more kinds")
    parameters = [counted(model.parameters, "weight")] if model.parameters else []
    parts = [
        model.name,
        size(model.size),
        *parameters,
        ", ".join(kinds),
        f"opset {model.opset}",
        f"sha256 {model.sha256[:12]}",
    ]
    return printable(" · ".join(part for part in parts if part))


def machine_line(machine: Machine) -> str:
    """'AMD EPYC · AVX-512 with VNNI · 2 of 2 cores allowed · 8.2 GB · Linux 6.1 · Python 3.11'."""
    parts = [
        machine.cpu,
        summary(machine.features or ()),
        f"{len(machine.allowed)} of {counted(machine.cores, 'core')} allowed",
        size(machine.memory),
        *(f"{gpu.name}, driver {gpu.driver}" for gpu in machine.gpus),
        machine.system,
        f"virtual: {machine.virtual}" if machine.virtual else "",
        f"Python {machine.python}",
    ]
    return printable(" · ".join(part for part in parts if part))


def protocol_line(run: Run) -> str:
    """'1 and 2 threads · 14 process starts × 20 rounds'.

    The process starts are those of the targets with the fewest: where targets are measured in
    groups, the baseline is in every group and has more. The rounds are those of the shortest.
    """
    starts = counted(_fewest_starts(run), "process start")
    counts = sorted({target.threads for target in run.plan.targets})
    threads = f"{listed(map(str, counts))} thread{'' if counts == [1] else 's'}"
    return f"{threads} · {starts} × {counted(_fewest_rounds(run), 'round')}"


def _fewest_rounds(run: Run) -> int:
    """The rounds of the process start that had the fewest: fewer than the plan's where its time was
    over."""
    timings = [timing for record in run.records for timing in record.timings]
    rounds = [len(series.medians) for timing in timings for series in timing.series]
    return min(rounds, default=run.plan.rounds)


def _fewest_starts(run: Run) -> int:
    """The fewest counted process starts of a target that was measured; those of the run if none."""
    # What is not measured has no process starts, and would make every protocol one of 0.
    known = set(run.counted_starts)
    starts = [
        {series.generation for timing in record.timings for series in timing.series} & known
        for record in run.records
        if record.timings and record.failure is None
    ]
    return min(map(len, starts), default=len(known))


def measured_line(run: Run) -> str:
    """'2026-11-23 10:45 UTC · 1 thread · 14 process starts × 20 rounds · 23.8 s'."""
    return " · ".join([when(run), protocol_line(run), seconds(run.seconds)])


def when(run: Run) -> str:
    """'2026-11-23 10:45 UTC'; a text that is no time stays as it is."""
    # A record is untrusted: any text may stand there.
    try:
        started = datetime.fromisoformat(run.started)
    except ValueError:
        return printable(run.started)
    return f"{started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def state_line(run: Run) -> str:
    """A warning that the run did not end as planned; empty for one that did."""
    starts = counted(len(run.counted_starts), "process start")
    return {
        "running": f"This run has not ended: what stands here is from its first {starts}.",
        "interrupted": f"This run was interrupted after {starts}; toolkit bench --resume goes on.",
        "failed": f"This run ended with an error after {starts}.",
        "done": "",
    }[run.state]


def placement_text(record: TargetRecord | None) -> tuple[str, str]:
    """Says where the nodes ran, and what the target's name has to add about it.

    The second is empty where all nodes ran where they were asked to, or where the rest is shape
    arithmetic; else the row is named by what ran.
    """
    placement = record.placement if record else None
    if placement is None or not placement.nodes:
        return "", ""
    here, everything = placement.nodes.get(placement.asked, 0), sum(placement.nodes.values())
    if here == everything:
        return printable(f"{here}/{everything} nodes on {placement.asked}"), ""
    others = [
        f"{provider} {count}{_operators(placement.elsewhere.get(provider, []))}"
        for provider, count in placement.nodes.items()
        if provider != placement.asked
    ]
    ran = printable(f"{placement.asked} {here}/{everything} + {', '.join(others)}")
    copies = "copies unknown"
    if placement.copies is not None:
        copies = counted(placement.copies, "copy", "copies")
    return f"{ran}; {copies}", "" if placement.shape_only else ran


def _operators(names: Sequence[str]) -> str:
    """': Shape, Gather', each kind once; '…' stands for what is too much for a name."""
    kinds = list(dict.fromkeys(names))
    more = ["…"] if len(kinds) > MOST_ELSEWHERE else []
    return f": {', '.join(kinds[:MOST_ELSEWHERE] + more)}" if kinds else ""


def method(run: Run) -> list[str]:
    """Explains how the numbers were made, in five sentences; a sixth where calls are short."""
    sure = percent(1 - run.plan.alpha)
    return [
        "Every process start begins one fresh process for each target, all on the same core or "
        "cores, and times them in short blocks, in an order drawn anew for every round.",
        "A ratio is the median over the rounds of one process start, paired block by block; its "
        f"interval is taken over process starts (Hodges-Lehmann, exact signed-rank, {sure}).",
        "Faster and slower are said only where they hold for all targets of a table together "
        "(Holm); else the size of the difference that could be hidden is given, or that so few "
        "process starts cannot tell so many targets apart.",
        "What is judged is what is timed: the outputs of the timed calls were compared with the "
        "same network in float64, and times count only where those outputs were right.",
        "A p50 is the median over process starts, with their range; it describes this machine "
        "at that time, and a percentile stands only where there are calls enough to carry it.",
        *_short_calls(run),
    ]


def _short_calls(run: Run) -> list[str]:
    """Names what else is in a latency of microseconds: the clock and the Python binding."""
    known = set(run.counted_starts)
    latencies = [
        (float(np.median(series.medians)), timing.empty)
        for record in run.records
        if record.failure is None
        for timing in record.timings
        for series in timing.series
        if series.generation in known and series.medians
    ]
    latency, empty = min(latencies, default=(math.inf, 0.0))
    if latency >= SHORT:
        return []
    # 1.4 µs with bound buffers and 4 µs without: benchmarks.overhead measures the first anew.
    return [
        f"A call here takes as little as {duration(latency / 1e9)}: the clock itself is "
        f"{empty:.0f}{THIN}ns of it, and a Python binding some 1.4 to 4{THIN}µs (ONNX Runtime "
        "against a loop in C), which a program in C does not pay; neither is subtracted."
    ]
