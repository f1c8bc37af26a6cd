"""Labelled data that a function of the user's makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.data.examples import Inputs, Preprocess, Seen, function, named, seen_as
from toolkit.errors import InputError
from toolkit.sources import source
from toolkit.sources.running import result
from toolkit.tensors import Array, TensorSpec

KEPT = 1024
"""The last examples that can still be looked at: those of a function come once."""


@dataclass
class Generated:
    """What a function yields: (example, label), one after the other, in its own order."""

    name: str
    make: Any
    inputs: Sequence[TensorSpec]
    prepared: Preprocess | None
    classes: Sequence[str] = ()
    padding: dict[str, float] = field(default_factory=dict)
    count: int | None = None
    _last: dict[int, object] = field(default_factory=dict)

    def read(self, order: Sequence[int] | None) -> Iterator[tuple[int, Inputs, Array]]:
        assert order is None, "its examples come in one order"
        pairs = result(self.name, lambda: iter(self.make()))
        index = 0
        while (pair := result(self.name, lambda: next(pairs, None))) is not None:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise InputError(f"{self.name} yields no pair (example, label) at {index}")
            example, label = pair
            inputs = (
                self.prepared(example) if self.prepared else named(example, self.inputs, self.name)
            )
            self._last[index] = example if isinstance(example, str) else next(iter(inputs.values()))
            self._last.pop(index - KEPT, None)
            right = np.asarray(label)
            if right.dtype.kind not in "biuf":
                raise InputError(f"{self.name} yields a label that is no number at {index}")
            yield index, inputs, right
            index += 1

    def seen(self, index: int) -> Seen:
        example = self._last.get(index)
        if isinstance(example, str):
            return example
        return seen_as(example) if isinstance(example, np.ndarray) else ""


def read(text: str, inputs: Sequence[TensorSpec], prepared: Preprocess | None) -> Generated:
    """The examples of FILE.py:NAME, whose code is run. Raises InputError where that is none."""
    return Generated(source.parse(text).name, function(text), inputs, prepared)
