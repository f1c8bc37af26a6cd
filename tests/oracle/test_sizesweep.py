"""Models are looked at where they can be; the sizes that they refuse are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.feeds.drawing import Drawer
from toolkit.feeds.sizes import Dims
from toolkit.oracle.oracles import OneByOne, RefusedFeed
from toolkit.oracle.sizesweep import LeftOut, Sizes, SizeSweep, sweep
from toolkit.sources.inputs import Dimension
from toolkit.tensors import Array, TensorSpec

TRACED = {"batch": 2, "seq": 16}
DRAWER = Drawer((TensorSpec("x", "float32", ("batch", "seq")),))


@dataclass(frozen=True)
class Model(OneByOne):
    """Takes the shapes that `takes` says."""

    takes: Callable[[int, int], bool]
    name: str = "model"
    exact: bool = True

    def answer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        batch, seq = feed["x"].shape
        if not self.takes(batch, seq):
            raise RefusedFeed(f"no {batch}x{seq}")
        return {"y": np.zeros((batch, seq))}

    def in_float32(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        return self.answer(feed)


@dataclass
class Slow(OneByOne):
    """A model and a clock: a call takes a second at the traced sizes, and in proportion at others;
    the call of a given number takes ten more."""

    held_up: int = 0
    seconds: float = 0.0
    calls: int = 0
    name: str = "slow"
    exact: bool = True

    def answer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        self.calls += 1
        batch, seq = feed["x"].shape
        self.seconds += batch * seq / 32 + (10 if self.calls == self.held_up else 0)
        return {"y": np.zeros((batch, seq))}

    def in_float32(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        return self.answer(feed)


def timed(oracle: Slow, allowance: float, suspected: Sequence[Dims] = ()) -> SizeSweep:
    at = Sizes(TRACED, suspected=suspected, allowance=allowance)
    return sweep(oracle, DRAWER, at, clock=lambda: oracle.seconds)


def looked(takes: Callable[[int, int], bool], at: Sizes | None = None) -> SizeSweep:
    return sweep(Model(takes), DRAWER, at or Sizes(TRACED))


def sizes_of(swept: SizeSweep) -> list[tuple[int, ...]]:
    return [tuple(each.feed.dims.values()) for each in swept.expected]


def test_the_traced_sizes_come_first_then_each_dimension_then_all() -> None:
    swept = looked(lambda batch, seq: True)
    assert sizes_of(swept) == [
        (2, 16), (1, 16), (2, 1), (5, 16), (2, 37), (7, 16), (2, 7), (5, 37),
    ]  # fmt: skip
    assert not swept.left_out


def test_what_the_model_refuses_is_left_out_and_named_and_multiples_are_looked_at() -> None:
    swept = looked(lambda batch, seq: seq % 8 == 0)
    assert swept.others("seq") == [32, 48]
    assert LeftOut({"batch": 2, "seq": 37}, "no 2x37") in swept.left_out
    assert swept.too_few() == []


def test_all_at_once_is_of_sizes_that_each_dimension_takes_alone() -> None:
    swept = looked(lambda batch, seq: seq >= 16 and seq % 16 == 0)
    assert sizes_of(swept)[-1] == (5, 48)


def test_a_dimension_of_which_too_few_sizes_are_left_is_known() -> None:
    assert looked(lambda batch, seq: seq == 16).too_few() == ["seq"]


def test_a_fixed_range_is_not_too_few() -> None:
    ranges: Mapping[str, Dimension] = {"seq": Dimension("seq", None, 16, 16)}
    swept = looked(lambda batch, seq: seq == 16, Sizes(TRACED, ranges))
    assert swept.too_few() == []
    assert not swept.left_out


def test_suspected_sizes_are_looked_at_once() -> None:
    suspected: list[Dims] = [{"batch": 2, "seq": 9}, {"batch": 2, "seq": 7}]
    swept = looked(lambda batch, seq: True, Sizes(TRACED, suspected=suspected))
    assert sizes_of(swept).count((2, 9)) == 1
    assert sizes_of(swept).count((2, 7)) == 1


def test_sizes_stay_within_the_stated_range() -> None:
    ranges = {"seq": Dimension("seq", 16, 13, 40)}
    swept = looked(lambda batch, seq: True, Sizes(TRACED, ranges))
    assert swept.others("seq") == [13, 37, 17]


def test_what_goes_beyond_the_allowance_is_left_out_by_what_it_shows_and_named() -> None:
    swept = timed(Slow(), 5.0)
    # 1, 0.5 and 0.0625 s whatever is allowed, then 2.5; of the others one of 2.3 s is too much.
    # Then both just beyond the traced sizes.
    assert sizes_of(swept) == [(2, 16), (1, 16), (2, 1), (5, 16), (3, 17)]
    assert [tuple(d.values()) for d in swept.unaffordable] == [(2, 37), (7, 16), (2, 7)]
    assert swept.too_few() == []


def test_one_other_size_of_each_dimension_and_all_just_beyond_are_looked_at_always() -> None:
    assert sizes_of(timed(Slow(), 0.0)) == [(2, 16), (1, 16), (2, 1), (3, 17)]


def test_a_suspected_size_comes_before_what_is_only_usual() -> None:
    swept = timed(Slow(), 4.0, [{"batch": 2, "seq": 32}])
    # 1, 0.5 and 0.0625 s whatever is allowed, then 2: nothing usual fits any more.
    assert sizes_of(swept) == [(2, 16), (1, 16), (2, 1), (2, 32), (3, 17)]


def test_a_suspected_size_is_never_left_out_for_time() -> None:
    swept = timed(Slow(), 0.0, [{"batch": 2, "seq": 640}])
    assert (2, 640) in sizes_of(swept)


def test_a_call_that_was_held_up_does_not_count_as_what_it_took() -> None:
    assert sizes_of(timed(Slow(held_up=1), 20.0)) == sizes_of(timed(Slow(), 20.0))


def test_wanted_sizes_are_looked_at_whatever_they_take() -> None:
    oracle = Slow()
    at = Sizes({"batch": 2, "seq": 16}, wanted={"batch": (1, 257)}, allowance=0.0)
    swept = sweep(oracle, DRAWER, at, clock=lambda: oracle.seconds)
    assert swept.others("batch") == [1, 257]


def test_a_first_call_that_was_computed_before_is_not_taken_for_a_quick_one() -> None:
    oracle = Slow()
    at = Sizes(TRACED, allowance=5.0, call=1.0)
    # The clock stands while the first call is made, as where its answer is known already.
    swept = sweep(oracle, DRAWER, at, clock=lambda: max(1.0, oracle.seconds))
    assert sizes_of(swept) == [(2, 16), (1, 16), (2, 1), (5, 16), (3, 17)]


DEAR = Sizes(TRACED, allowance=0.5, call=1.0, called_at={"batch": 1, "seq": 16}, dear=True)
"""Every call is beyond what is allowed."""


def test_where_time_is_short_the_traced_sizes_are_left_out() -> None:
    oracle = Slow()
    swept = sweep(oracle, DRAWER, DEAR, clock=lambda: oracle.seconds)
    assert sizes_of(swept) == [(1, 16), (3, 17)]
    assert {"batch": 2, "seq": 1} in swept.unaffordable
    assert swept.too_few() == []


def test_a_dear_model_that_refuses_one_of_its_two_sizes_is_looked_at_where_it_was_traced() -> None:
    swept = sweep(Model(lambda batch, seq: batch > 1), DRAWER, DEAR)
    assert sizes_of(swept)[:2] == [(3, 17), (2, 16)]
    assert swept.left_out[0].dims == {"batch": 1, "seq": 16}


def test_a_dear_model_of_one_size_is_looked_at_there() -> None:
    drawer = Drawer((TensorSpec("x", "float32", (2, 16)),))
    swept = sweep(Model(lambda batch, seq: True), drawer, Sizes({}, allowance=0.0, dear=True))
    assert [each.feed.dims for each in swept.expected] == [{}]
