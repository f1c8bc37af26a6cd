"""Sizes of dynamic dimensions: given, chosen, tried."""

from __future__ import annotations

import pytest

from toolkit.errors import InputError
from toolkit.feeds import sizes
from toolkit.sources.inputs import Dimension
from toolkit.tensors import TensorSpec

IDS = TensorSpec("ids", "int64", ("batch", "seq"))
IMAGE = TensorSpec("image", "float32", ("batch", 3, None, None))
LATE = TensorSpec("late", "float32", ("batch", "2*seq + 1"))
ANY = TensorSpec("any", "float32", None)


def test_a_value_without_a_name_belongs_to_the_name_before_it() -> None:
    given = sizes.parse_dims(["batch=1,8,seq=128", "seq=256,128"])
    assert given == {"batch": (1, 8), "seq": (128, 256)}


def test_a_name_may_hold_a_point_and_an_equals_sign() -> None:
    assert sizes.parse_dims(["input.2=224", "a=b=3"]) == {"input.2": (224,), "a=b": (3,)}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("8", "--dim 8: '8' has no name"),
        ("batch=", "--dim batch=: '' is no size; a size is a whole number from 1 on"),
        ("batch=0", "--dim batch=0: '0' is no size; a size is a whole number from 1 on"),
        ("batch=-1", "--dim batch=-1: '-1' is no size; a size is a whole number from 1 on"),
        ("batch=1.5", "--dim batch=1.5: '1.5' is no size; a size is a whole number from 1 on"),
        ("batch=٣", "--dim batch=٣: '٣' is no size; a size is a whole number from 1 on"),
    ],
)
def test_a_dim_that_is_none_is_told(text: str, what: str) -> None:
    with pytest.raises(InputError) as raised:
        sizes.parse_dims([text])
    assert raised.value.what == what


def test_batches_and_shapes() -> None:
    assert sizes.parse_batch("1,8,8") == (1, 8)
    assert sizes.parse_shapes(["a=1x3x224x224", "s="]) == {"a": (1, 3, 224, 224), "s": ()}


@pytest.mark.parametrize("text", ["1x3", "=1x3", "a=1x", "a=1×3", "a=?x3"])
def test_a_shape_that_is_none_is_told(text: str) -> None:
    with pytest.raises(InputError, match=f"^--shape {text.replace('?', '.')}"):
        sizes.parse_shapes([text])


def test_free_dimensions_have_names_and_come_once() -> None:
    assert sizes.free([IDS, LATE, IMAGE]) == ("batch", "seq", "image.2", "image.3")


def test_a_shape_is_computed_from_sizes() -> None:
    dims = {"batch": 2, "seq": 5, "image.2": 7, "image.3": 9}
    assert sizes.shape(IDS, dims) == (2, 5)
    assert sizes.shape(LATE, dims) == (2, 11)
    assert sizes.shape(IMAGE, dims) == (2, 3, 7, 9)


@pytest.mark.parametrize(
    ("dim", "size"),
    [("seq//2", 3), ("seq % 4", 3), ("(seq + 1)*seq", 56), ("seq - 1", 6), ("7", 7), ("seq/2", 3)],
)
def test_the_arithmetic_that_torch_writes(dim: str, size: int) -> None:
    assert sizes.value(dim, {"seq": 7}) == size


@pytest.mark.parametrize("dim", ["__import__('os').abort()", "f(seq)", "seq**9", "a.b", "seq if x"])
def test_what_is_no_arithmetic_is_a_name_and_never_run(dim: str) -> None:
    assert sizes.free([TensorSpec("x", "float32", (dim,))]) == (dim,)
    assert sizes.value(dim, {dim: 3}) == 3
    with pytest.raises(InputError, match=r"has no size$"):
        sizes.value(dim, {"seq": 3})


def test_a_division_by_nothing_is_told() -> None:
    with pytest.raises(InputError, match=r"divides by 0"):
        sizes.value("8 // seq", {"seq": 0})


def test_an_unknown_rank_says_how_to_state_it() -> None:
    with pytest.raises(InputError) as raised:
        sizes.shape(ANY, {})
    assert raised.value.what == "the rank of the input 'any' is unknown"
    assert raised.value.cures[0].startswith("--shape any=1x3x224x224")


def test_whole_shapes_state_sizes() -> None:
    found = sizes.dims_of([IDS, LATE, IMAGE], {"ids": (2, 5), "image": (2, 3, 8, 9)})
    assert found == {"batch": 2, "seq": 5, "image.2": 8, "image.3": 9}


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        ({"ids": (2,)}, "the input 'ids' has 2 dimensions, 2 has 1"),
        (
            {"image": (1, 4, 8, 8)},
            "the input 'image' of shape 1x4x8x8 has 4 where 3 is wanted",
        ),
        (
            {"ids": (2, 5), "image": (3, 3, 8, 8)},
            "the input 'image' of shape 3x3x8x8 has 3 where batch is 2",
        ),
    ],
    ids=["rank", "fixed", "name"],
)
def test_shapes_that_do_not_fit_are_told(shapes: dict[str, tuple[int, ...]], what: str) -> None:
    with pytest.raises(InputError) as raised:
        sizes.dims_of([IDS, IMAGE], shapes)
    assert raised.value.what == what


def test_a_dimension_that_is_not_there_has_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"'sek'; there are: batch, seq\. Did you mean seq\?"):
        sizes.check_names([IDS], ["batch", "sek"])
    with pytest.raises(InputError, match=r"^this model has no dynamic dimensions$"):
        sizes.check_names([TensorSpec("x", "float32", (3,))], ["batch"])


def test_a_sweep_has_every_combination() -> None:
    assert len(list(sizes.sweep({"a": (1, 2, 3), "b": (4, 5)}))) == 6


def test_what_was_not_given_is_chosen() -> None:
    assert sizes.chosen([IDS, IMAGE]) == {"batch": 1, "seq": 16, "image.2": 16, "image.3": 16}
    assert sizes.chosen([IDS], {"seq": 77}) == {"batch": 1, "seq": 77}
    ranges = {"batch": Dimension("batch", least=2), "seq": Dimension("seq", most=8)}
    assert sizes.chosen([IDS], None, ranges) == {"batch": 2, "seq": 8}


def test_a_first_dimension_of_all_inputs_is_a_batch_whatever_its_name() -> None:
    assert sizes.chosen([TensorSpec("x", "float32", ("s0", "s1"))]) == {"s0": 1, "s1": 16}


def test_each_dimension_is_tried_alone_and_then_all_at_once() -> None:
    tried = sizes.tried({"batch": 2, "seq": 16})
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
    together = sizes.together({"h": 8, "w": 8}, {"h": (1, 7, 17), "w": (1, 7, 17)})
    assert together == {"h": 17, "w": 7}


def test_sizes_stay_in_their_range() -> None:
    assert sizes.alternatives(64, Dimension("h", None, 64, 512)) == (67, 131)
    assert sizes.alternatives(2, Dimension("h", None, 1, 2)) == (1,)
    assert sizes.alternatives(16, Dimension("h", None, 16, 16)) == ()
    assert sizes.further(16, Dimension("h", None, 16, 40)) == (32,)


def test_wanted_sizes_stand_in_place_of_the_chosen() -> None:
    tried = sizes.tried({"batch": 2}, wanted={"batch": (1, 7, 32, 257)})
    assert [dims["batch"] for dims in tried] == [2, 1, 7, 32, 257]


def test_a_model_without_dynamic_dimensions_is_tried_once() -> None:
    assert sizes.tried({}) == [{}]
    assert sizes.said({}) == "fixed shape"
