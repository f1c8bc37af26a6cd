"""Sizes of dynamic dimensions: how they are chosen, combined and written."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from toolkit.feeds import dimensions
from toolkit.sources.inputs import Dimension
from toolkit.tensors import TensorSpec

Dims: TypeAlias = Mapping[str, int]
"""Dynamic dimension → its size."""

BATCH = re.compile(r"^(n|b|bs|.*batch.*)$", re.IGNORECASE)
"""Names that exporters give the batch: 'batch', 'batch_size', 'N', 'bs'."""
USUAL = 16
"""The size of a dimension of which nothing is known. Above it lie few least sizes of networks
(strides, patches), and it is cheap: two such dimensions give 256 places."""


def chosen(
    inputs: Sequence[TensorSpec],
    traced: Dims | None = None,
    ranges: Mapping[str, Dimension] | None = None,
) -> dict[str, int]:
    """A size for each dynamic dimension that the user did not give: the traced one where it is
    known, 1 for a batch, else 16; moved into the dimension's range."""
    traced, ranges = traced or {}, ranges or {}
    return {
        name: ranges.get(name, Dimension(name)).from_on(
            traced.get(name, 1 if BATCH.match(name) or _leads(inputs, name) else USUAL)
        )
        for name in dimensions.free(inputs)
    }


def combinations(stated: Mapping[str, Sequence[int]]) -> Iterator[dict[str, int]]:
    """Every combination of the sizes that were stated, the last name fastest.

    >>> list(combinations({"batch": (1, 8), "seq": (128,)}))
    [{'batch': 1, 'seq': 128}, {'batch': 8, 'seq': 128}]
    """
    for sizes in itertools.product(*stated.values()):
        yield dict(zip(stated, sizes, strict=True))


def text(dims: Dims) -> str:
    """Sizes as they are shown: 'batch 1, seq 128'; 'fixed shape' where nothing is dynamic."""
    return ", ".join(f"{name} {size}" for name, size in dims.items()) or "fixed shape"


def _leads(inputs: Sequence[TensorSpec], name: str) -> bool:
    """Says whether a dimension is the first one of every input: most likely the batch."""
    firsts = [spec.shape[0] for spec in dimensions.named(inputs) if spec.shape]
    return bool(firsts) and all(first == name for first in firsts)
