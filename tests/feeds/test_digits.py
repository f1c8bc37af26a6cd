"""The reference model is fed held-out digits."""

from __future__ import annotations

import numpy as np

from toolkit.feeds.digits import Digits
from toolkit.sources.reference import digits, held_out


def test_digits_are_held_out_ones_and_no_image_comes_twice() -> None:
    feed = Digits("input").draw({"batch": 257})
    rows = {row.tobytes() for row in feed.arrays["input"]}
    assert (feed.dims, feed.origin) == ({"batch": 257}, "digits")
    assert feed.arrays["input"].dtype == np.float32
    assert rows <= {row.tobytes() for row in held_out()}
    assert len(rows) > 250  # a few digits of the data are the same
    assert feed.arrays["input"].max() == 1 == digits()[0].max()


def test_more_digits_than_there_are_come_around_again() -> None:
    feed = Digits("input").draw({"batch": 800})
    assert feed.arrays["input"].shape == (800, 64)
    assert sorted(map(bytes, feed.arrays["input"][:360])) == sorted(map(bytes, held_out()))
