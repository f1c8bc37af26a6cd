"""What a record keeps of labelled data: the metrics of each target, and old against new."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from toolkit.data.intervals import Estimate
from toolkit.strict import Strict
from toolkit.units import Number

MOST_FLIPS = 1000
"""The places of flipped examples that a record keeps, in each direction."""
MOST_SHOWN = 12
"""Flipped examples that a record keeps as they look."""
LARGEST_PICTURE = 16_384
"""Bytes of such a picture, at most."""
LONGEST_TEXT = 400
"""Characters of such a text, at most."""

Stopped = Literal["all", "decided", "time"]
"""Why a pass ended: no example was left, a gate was decided, the time was used."""


class MetricValue(Strict, frozen=True, kw_only=True):
    """One metric of one target."""

    name: str
    """'accuracy', 'RMSE', 'perplexity' …"""
    value: Number
    low: Number
    """The ends of its interval, at 95 %; infinite where there is none."""
    high: Number
    is_share: bool
    """It is shown in percent."""
    examples: int
    right: int | None = None
    """The examples that are right, where each is right or wrong."""


class Flip(Strict, frozen=True, kw_only=True):
    """An example that one of two targets alone has right, as a reader sees it."""

    example: int
    """Its place in the data, from 0."""
    label: str
    old: str
    """What the old one answers."""
    new: str
    text: str = ""
    picture: bytes = b""
    """A small PNG; empty: it is no picture, or the run is anonymous."""


class MetricDrop(Strict, frozen=True, kw_only=True):
    """How much worse one target is than another in one metric, on the same examples."""

    metric: str
    is_share: bool
    """True: before, after and drop are shares, and the drop is their difference. False: the drop is
    a share of the old value."""
    old: int
    """Index into the plan's targets."""
    new: int
    before: Number
    after: Number
    drop: Number
    """Above 0 the new one is worse."""
    low: Number
    """The ends of the drop's interval; infinite where there is none."""
    high: Number
    alpha: float
    """The interval's share of misses: 0.05, divided among the pairs and the looks."""
    shown: bool
    """The interval excludes 0."""
    p: float | None = None
    """McNemar's exact test, where each example is right or wrong."""
    examples: int
    lost: int | None = None
    """Examples that the old one alone has right; None where none is simply right or wrong."""
    won: int | None = None
    """Examples that the new one alone has right."""
    lost_examples: list[int] = field(default_factory=list)
    """The places of the first of them in the data, from 0."""
    won_examples: list[int] = field(default_factory=list)
    flips: list[Flip] = field(default_factory=list)


class LabelledData(Strict, frozen=True, kw_only=True):
    """The labelled data that a run's targets answered, and what came of each pair."""

    name: str
    labelling: str
    """'classes', 'tokens' …; empty where only functions of the user's judge."""
    available: int | None
    """The examples that there are; None where a function makes them."""
    used: int
    classes: list[str] = field(default_factory=list)
    preprocess: str = ""
    seed: int | None = None
    """Of the order in which they were taken; None: as they came."""
    stopped: Stopped = "all"
    limit: float | None = None
    """The drop at which a gate stands."""
    looks: int = 1
    """How often it was looked whether the gate is decided, the end included."""
    drops: list[MetricDrop] = field(default_factory=list)


def span_of(drop: MetricDrop) -> Estimate:
    """The drop with its interval, as numbers."""
    return Estimate(float(drop.drop), float(drop.low), float(drop.high))
