"""Further sizes: each dimension alone, then all at once, within their ranges."""

from __future__ import annotations

from toolkit.feeds import variations
from toolkit.sources.inputs import Dimension


def test_each_dimension_is_tried_alone_and_then_all_at_once() -> None:
    tried = variations.tried({"batch": 2, "seq": 16})
    assert tried == [
        {"batch": 2, "seq": 16},
        {"batch": 1, "seq": 16},
        {"batch": 7, "seq": 16},
        {"batch": 5, "seq": 16},
        {"batch": 2, "seq": 1},
        {"batch": 2, "seq": 7},
        {"batch": 2, "seq": 37},
        {"batch": 5, "seq": 37},
    ]


def test_two_dimensions_are_changed_to_different_sizes() -> None:
    together = variations.together({"h": 8, "w": 8}, {"h": (1, 7, 17), "w": (1, 7, 17)})
    assert together == {"h": 17, "w": 7}


def test_sizes_stay_in_their_range() -> None:
    assert variations.alternatives(64, Dimension("h", None, 64, 512)) == (67, 127)
    assert variations.alternatives(2, Dimension("h", None, 1, 2)) == (1,)
    assert variations.alternatives(16, Dimension("h", None, 16, 16)) == ()
    assert variations.further(16, Dimension("h", None, 16, 40)) == (32,)


def test_sizes_of_a_multiple_are_as_many_times_the_number() -> None:
    assert variations.alternatives(24, Dimension("h", multiple=4)) == (4, 28, 52)
    assert variations.alternatives(224, Dimension("h", multiple=32)) == (32, 416)
    assert variations.alternatives(64, Dimension("h", None, 64, 128, 32)) == (96,)
    assert variations.just_beyond({"h": 64, "w": 64}, {"h": Dimension("h", multiple=32)}) == {
        "h": 96,
        "w": 67,
    }


def test_just_beyond_the_traced_sizes_all_differ_and_stay_in_their_range() -> None:
    traced, ranges = {"h": 8, "w": 8, "n": 8}, {"n": Dimension("n", None, 1, 8)}
    assert variations.just_beyond(traced, ranges) == {"h": 11, "w": 13, "n": 8}


def test_wanted_sizes_stand_in_place_of_the_chosen() -> None:
    tried = variations.tried({"batch": 2}, wanted={"batch": (1, 7, 32, 257)})
    assert [dims["batch"] for dims in tried] == [2, 1, 7, 32, 257]


def test_a_model_without_dynamic_dimensions_is_tried_once() -> None:
    assert variations.tried({}) == [{}]
