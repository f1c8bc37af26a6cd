"""Kinds of values to call a module with before there is a graph, the likeliest first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from toolkit.feeds import kinds
from toolkit.feeds.kinds import Kind
from toolkit.sources.inputs import Stated

Kinds: TypeAlias = Mapping[str, Kind]
"""Input → the kind of its values, where it is another than the plain one."""

MOST = 32
"""Kinds that a module is called with at one set of sizes: what it refuses, it mostly refuses at
once, but it may compute for seconds before that."""


def candidates(inputs: Sequence[Stated]) -> Iterator[dict[str, Kind]]:
    """Kinds for all inputs, each once, without the plain ones.

    First all inputs of a type are of one kind, then each alone is of another; then integers are
    larger: only ids behind the special ones, or sizes, are so.
    """
    seen: list[dict[str, Kind]] = [{}]
    for chosen in itertools.islice(_candidates(inputs), MOST):
        if chosen not in seen:
            seen.append(chosen)
            yield chosen


def _candidates(inputs: Sequence[Stated]) -> Iterator[dict[str, Kind]]:
    floats = [each.name for each in inputs if "float" in each.type]
    flags = [each.name for each in inputs if each.type == "bool"]
    integers = [each.name for each in inputs if each.name not in {*floats, *flags}]
    for of_integers in (kinds.PLAIN, *kinds.OF_INTEGERS) if integers else (kinds.PLAIN,):
        for of_floats in (kinds.PLAIN, *kinds.OF_FLOATS) if floats else (kinds.PLAIN,):
            chosen = {**dict.fromkeys(integers, of_integers), **dict.fromkeys(floats, of_floats)}
            yield {name: kind for name, kind in chosen.items() if kind != kinds.PLAIN}
    for name in integers if len(integers) > 1 else ():
        yield from ({name: kind} for kind in kinds.OF_INTEGERS)
    yield from (dict.fromkeys(flags, kind) for kind in kinds.OF_BOOLEANS)
    for level in kinds.LEVELS if integers else ():
        yield dict.fromkeys(integers, Kind(level))
    for name in floats if len(floats) > 1 else ():
        yield from ({name: kind} for kind in kinds.OF_FLOATS)
    if floats:
        yield dict.fromkeys(floats, Kind(1))
