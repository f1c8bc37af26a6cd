"""The ReLU card: what a runtime's Relu gives for the values that tell runtimes apart."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.units import Number


@dataclass(frozen=True)
class CardRow:
    """One special value, alone in a vector of ordinary ones."""

    value: str
    """'NaN', '−Inf', '+Inf', '−0.0', 'smallest subnormal', 'largest float32' …"""
    given: Number
    expected: Number
    alone: Number | None
    """What a model of one Relu gave; None: it refused (see `note`)."""
    fused: Number | None
    """What a Relu between two identity layers gave."""
    deviates: bool
    note: str = ""
