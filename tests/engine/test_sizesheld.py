"""Where a file holds at fewer sizes than it declares, a range is told from a fault."""

from __future__ import annotations

import pytest

from toolkit.engine.sizesheld import SizesHeld

ONE = {"n": 1}


def held(judged: list[int], refused: list[int], *stated: str) -> SizesHeld:
    sizes, others = (tuple({"n": size} for size in each) for each in (judged, refused))
    return SizesHeld(sizes, others, stated)


def test_a_file_that_holds_everywhere_has_nothing_to_tell() -> None:
    everywhere = held([1, 7, 3], [])

    assert (everywhere.told, everywhere.fault, everywhere.limit) == ("", "", None)


def test_one_size_of_many_is_a_fault_with_the_option_to_paste() -> None:
    once = held([1], [7, 3])

    assert once.told == "not judged at 2 of 3 sizes, which the model refuses: n 7; n 3"
    assert once.fault == f"the file declares sizes at which it does not run: {once.told}"
    assert once.cures == ("--dim n=1    judges at that size",)


@pytest.mark.parametrize(
    ("judged", "refused", "last"),
    [([16, 7, 1], [37, 40], 16), ([16, 37, 40], [7, 1], 16), ([16, 37, 1], [7], None)],
    ids=["above", "below", "between"],
)
def test_three_sizes_that_hold_on_one_side_of_a_limit_are_a_range(
    judged: list[int], refused: list[int], last: int | None
) -> None:
    sizes = held(judged, refused)

    assert sizes.limit == (None if last is None else ("n", last))
    assert bool(sizes.fault) == (last is None)


def test_nobody_asked_at_other_sizes_of_a_dimension_that_was_stated() -> None:
    assert held([1], [7, 3], "n").fault == ""
    assert held([1], [7, 3], "m").fault
