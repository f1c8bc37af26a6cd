"""Says why an int8 file is no faster than the floats that it came from, or why its answers are not
right, where that is known, and what to try.

Q1  Products of bytes are fast where the processor adds four of them at once (VNNI).
Q2  A product that was not fused with the QuantizeLinear and DequantizeLinear around it is one of
    floats, with conversions besides. The graph after the runtime's optimizer tells.
Q3  What is quantized dynamically finds the range of its input in every call, and ConvInteger
    converts its sums besides.
Q4  Where a product of floats takes less than 15 µs, its conversions cost more than it saves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from toolkit.machine.features import saturates
from toolkit.measure.stats import Interval
from toolkit.records.schema import Kernels, Run, WarningKind
from toolkit.report.changes import Measured
from toolkit.report.decision import Change
from toolkit.report.view import Row
from toolkit.report.warnings import ADVICE
from toolkit.report.words import counted, listed, printable
from toolkit.units import Seconds, duration

SMALL: Seconds = 15e-6
"""Chains of four products on one thread of a processor with VNNI, dynamic int8 beside floats: at
2.7, 7.4 and 12.5 µs a product 1.4× and 1.2× slower and 1.5× faster (docs/design/measurement.md)."""
INTEGER_PRODUCTS = (
    "QLinearConv", "QLinearMatMul", "QGemm", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
    "MatMulInteger", "ConvInteger", "QAttention", "DynamicQuantizeLSTM", "QLinearGlobalAveragePool",
)  # fmt: skip
DYNAMIC = ("DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "ConvInteger", "MatMulInteger")
CONVERTING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")

Counts = Mapping[str, int]


def reason(run: Run, old: Row, new: Row, latency: Measured | None) -> str:
    """One line on why the new file is slower or its answers are not right, with what to try; empty
    where it is neither, or the reason is not known."""
    record = new.target.record
    if record is None:
        return ""
    if saturated := [w for w in record.warnings if w.kind is WarningKind.SATURATES]:
        advice = ADVICE[WarningKind.SATURATES]
        return f"{printable(saturated[0].detail)}: {advice.means} {advice.do}"
    if record.kernels is None or latency is None or not _is_slower(latency):
        return ""
    causes = [*_causes(run, record.kernels, old)]
    if not causes:
        return ""
    why, what = zip(*causes, strict=True)
    return (
        f"Why int8 is no faster here: {'; '.join(why)}. Try: {'; or '.join(dict.fromkeys(what))}."
    )


def _is_slower(latency: Measured) -> bool:
    """Slower, or not faster as far as is known."""
    interval: Interval | None = latency.interval
    known = latency.ratio if interval is None else interval.high
    return latency.change is not Change.BETTER and known > 1


def _causes(run: Run, kernels: Kernels, old: Row) -> Iterator[tuple[str, str]]:
    """Each cause that applies, with what to try."""
    products = _sum(kernels.operators, INTEGER_PRODUCTS)
    unfused = sum(kernels.unfused.values())
    if saturates(run.machine.features or ()):
        yield (
            "this processor has no VNNI, so that products of bytes are hardly faster than floats",
            "measure it where it will run",
        )
    if unfused:
        left = kernels.operators.get("DequantizeLinear", 0)
        yield (
            f"{unfused:,} of {products + unfused:,} products ({_named(kernels.unfused)}) multiply "
            f"floats, since the QuantizeLinear and DequantizeLinear around them were not fused; "
            f"{left:,} DequantizeLinear are left",
            "quantize the outputs of these products too, or leave them in floats "
            "(nodes_to_exclude)",
        )
    if convolutions := kernels.operators.get("ConvInteger", 0):
        yield (
            f"{counted(convolutions, 'convolution')} quantized dynamically (ConvInteger)",
            "quantize convolutions statically (quantize_static)",
        )
    took = old.speed.p50.middle if old.speed else None
    if took is not None and products and took / (products + unfused) < SMALL:
        yield (
            _of_small(kernels.operators, products, took),
            "leave small products in floats (nodes_to_exclude)",
        )


def _of_small(operators: Counts, products: int, took: Seconds) -> str:
    dynamic = _sum(operators, DYNAMIC)
    costs = (
        f"{dynamic:,} of them find the range of their input in every call"
        if dynamic
        else f"{_sum(operators, CONVERTING):,} nodes convert to integers and back"
    )
    return (
        f"products as small as these ({products:,} in a call of {duration(took)}) gain less than "
        f"their conversions cost ({costs})"
    )


def _sum(operators: Counts, names: tuple[str, ...]) -> int:
    return sum(operators.get(name, 0) for name in names)


def _named(operators: Counts) -> str:
    return listed(f"{count:,} {printable(name)}" for name, count in sorted(operators.items()))
