"""The labelled data and the metrics that a user names; which of these texts run code."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from toolkit.errors import InputError
from toolkit.units import Seconds

DIGITS = "digits"
"""The held-out digits of the reference model, as data."""


@dataclass(frozen=True)
class DataRequest:
    """All that a user asks of labelled data."""

    name: str
    """A folder, a file or FILE.py:NAME, as it is typed; `digits`: those that the reference model
    has never seen."""
    labels: str | None = None
    """The array or column of the labels; None: `labels` or `label`."""
    preprocess: str | None = None
    """FILE.py:NAME of a function that makes the inputs of one example; None: the files beside the
    model say how, or nothing has to be done."""
    metrics: tuple[str, ...] = ()
    """Names, or FILE.py:NAME; empty: the usual one for such labels."""
    drop: float | None = None
    """The drop, a share, at which a gate stands: the pass ends as soon as it is decided."""
    time: Seconds | None = None
    """The ceiling on the time of the pass; None: all examples."""
    seed: int = 0
    pairs: tuple[tuple[int, int], ...] | None = None
    """(old, new), indices of targets; None: the baseline and each other target."""


def is_code(text: str) -> bool:
    """Says whether a text names a function, FILE.py:NAME or MODULE:NAME, not a file or a metric."""
    head, colon, attribute = text.partition("(")[0].rpartition(":")
    return bool(colon and head) and attribute.isidentifier() and not os.path.exists(text)


def with_path(text: str, write: Callable[[str], str]) -> str:
    """A text whose path, the whole of it or that of the code, is written by `write`."""
    if not text or text == DIGITS:
        return text
    if not is_code(text):
        return write(text)
    head, _, attribute = text.rpartition(":")
    return f"{write(head)}:{attribute}" if head.endswith(".py") or "/" in head else text


def demand_metrics(request: DataRequest) -> None:
    """Raises InputError where one metric is asked for twice."""
    if len({*request.metrics}) < len(request.metrics):
        raise InputError("--metric: one metric is named twice")
