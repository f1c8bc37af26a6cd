"""Sizes are chosen, combined and written."""

from __future__ import annotations

from toolkit.feeds import sizes
from toolkit.sources.inputs import Dimension
from toolkit.tensors import TensorSpec

IDS = TensorSpec("ids", "int64", ("batch", "seq"))
IMAGE = TensorSpec("image", "float32", ("batch", 3, None, None))


def test_every_combination_comes_once_the_last_name_fastest() -> None:
    pairs = [(dims["a"], dims["b"]) for dims in sizes.combinations({"a": (1, 2, 3), "b": (4, 5)})]
    assert pairs == [(1, 4), (1, 5), (2, 4), (2, 5), (3, 4), (3, 5)]


def test_of_no_stated_sizes_there_is_one_combination() -> None:
    assert list(sizes.combinations({})) == [{}]


def test_sizes_are_written_with_their_names() -> None:
    assert sizes.text({"batch": 1, "seq": 128}) == "batch 1, seq 128"
    assert sizes.text({}) == "fixed shape"


def test_what_was_not_given_is_chosen() -> None:
    assert sizes.chosen([IDS, IMAGE]) == {"batch": 1, "seq": 16, "image.2": 16, "image.3": 16}
    assert sizes.chosen([IDS], {"seq": 77}) == {"batch": 1, "seq": 77}
    ranges = {"batch": Dimension("batch", least=2), "seq": Dimension("seq", most=8)}
    assert sizes.chosen([IDS], None, ranges) == {"batch": 2, "seq": 8}


def test_a_first_dimension_of_all_inputs_is_a_batch_whatever_its_name() -> None:
    assert sizes.chosen([TensorSpec("x", "float32", ("s0", "s1"))]) == {"s0": 1, "s1": 16}
