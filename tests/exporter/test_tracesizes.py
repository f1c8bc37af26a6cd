"""Sizes to trace with: unlike each other first, never 0 or 1, always within their ranges."""

from __future__ import annotations

import itertools

from toolkit.exporter import tracesizes
from toolkit.exporter.tracing import MOST_TRIED
from toolkit.sources.inputs import Dimension


def test_the_first_candidates_are_small_and_unlike_each_other() -> None:
    free = [Dimension("batch"), Dimension("height"), Dimension("width")]
    first, second = itertools.islice(tracesizes.candidates(free), 2)

    assert first == (2, 3, 5)
    assert second == (2, 16, 19)


def test_no_size_is_0_or_1_and_each_lies_in_its_range() -> None:
    free = [Dimension("batch"), Dimension("seq", least=13), Dimension("width", least=60, most=70)]

    for sizes in itertools.islice(tracesizes.candidates(free), 300):
        assert min(sizes) > 1
        assert all(size in dim for size, dim in zip(sizes, free, strict=True))


def test_sizes_that_must_be_multiples_are_small_and_unlike_each_other() -> None:
    free = [Dimension("batch"), Dimension("h", multiple=32), Dimension("w", multiple=32)]

    assert next(tracesizes.candidates(free)) == (2, 96, 160)
    assert all(h % 32 == w % 32 == 0 for _, h, w in tracesizes.candidates(free))


def test_all_candidates_of_two_dimensions_are_tried() -> None:
    assert len(list(tracesizes.candidates([Dimension("a"), Dimension("b")]))) < MOST_TRIED


def test_more_dimensions_than_small_sizes_have_candidates_too() -> None:
    free = [Dimension(f"d{n}") for n in range(10)]

    assert next(tracesizes.candidates(free)) == (2, 3, 5, 7, 11, 13, 17, 19, 2, 3)
