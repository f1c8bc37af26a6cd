"""A feed says its sizes, its shapes and its bytes."""

from __future__ import annotations

import numpy as np

from toolkit.feeds.feed import Feed


def test_a_feed_is_named_by_its_sizes_and_knows_its_shapes_and_bytes() -> None:
    feed = Feed({"batch": 2}, "drawn with seed 3", {"x": np.zeros((2, 8), np.float32)})
    assert feed.name == "batch 2"
    assert (feed.shapes, feed.size) == ({"x": [2, 8]}, 64)


def test_a_feed_without_dynamic_dimensions_has_a_fixed_shape() -> None:
    assert Feed({}, "drawn with seed 0", {"x": np.zeros(8)}).name == "fixed shape"
