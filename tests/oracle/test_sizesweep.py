"""Models are looked at where they can be; the sizes that they refuse are left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.feeds.drawing import Drawer
from toolkit.feeds.sizes import Dims
from toolkit.oracle.oracles import OneByOne, RefusedFeed
from toolkit.oracle.sizesweep import LeftOut, Sizes, SizeSweep, sweep
from toolkit.sources.inputs import Dimension
from toolkit.tensors import Array, TensorSpec

TRACED = {"batch": 2, "seq": 16}
DRAWER = Drawer((TensorSpec("x", "float32", ("batch", "seq")),), {})


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


def looked(takes: Callable[[int, int], bool], at: Sizes | None = None) -> SizeSweep:
    return sweep(Model(takes), DRAWER, at or Sizes(TRACED))


def sizes_of(swept: SizeSweep) -> list[tuple[int, ...]]:
    return [tuple(each.feed.dims.values()) for each in swept.expected]


def test_the_traced_sizes_come_first_then_each_dimension_then_all() -> None:
    swept = looked(lambda batch, seq: True)
    assert sizes_of(swept) == [
        (2, 16), (1, 16), (7, 16), (5, 16), (2, 1), (2, 7), (2, 37), (5, 37),
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
    assert swept.others("seq") == [13, 17, 37]
