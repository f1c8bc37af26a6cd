"""Leaves out of a verdict what stands at positions that nobody reads (`toolkit.oracle.unread`).

Zeros stand there in what is right, in every simulation and in the answers alike. Each error is
smaller by the same share then, so that a quotient of two is as it would be without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.oracle.unread import zeroed
from toolkit.tensors import Array

Outputs = Sequence[Mapping[str, Array]]
"""Named outputs, a mapping for each feed."""


def without(answers: Outputs, unread: Outputs) -> Outputs:
    """Gives the outputs for each feed with zeros at the positions that nobody reads."""
    if not any(unread):
        return answers
    return [zeroed(each, off) for each, off in zip(answers, unread, strict=True)]
