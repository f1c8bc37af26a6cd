"""Dynamic dimensions have names, and sizes of them give shapes and come from shapes."""

from __future__ import annotations

import pytest

from toolkit.errors import InputError
from toolkit.feeds import dimensions
from toolkit.tensors import TensorSpec

IDS = TensorSpec("ids", "int64", ("batch", "seq"))
IMAGE = TensorSpec("image", "float32", ("batch", 3, None, None))
LATE = TensorSpec("late", "float32", ("batch", "2*seq + 1"))
ANY = TensorSpec("any", "float32", None)


def test_free_dimensions_have_names_and_come_once() -> None:
    assert dimensions.free([IDS, LATE, IMAGE]) == ("batch", "seq", "image.2", "image.3")


def test_a_shape_is_computed_from_sizes() -> None:
    dims = {"batch": 2, "seq": 5, "image.2": 7, "image.3": 9}
    assert dimensions.shape(IDS, dims) == (2, 5)
    assert dimensions.shape(LATE, dims) == (2, 11)
    assert dimensions.shape(IMAGE, dims) == (2, 3, 7, 9)


@pytest.mark.parametrize(
    ("dim", "size"),
    [("seq//2", 3), ("seq % 4", 3), ("(seq + 1)*seq", 56), ("seq - 1", 6), ("7", 7), ("seq/2", 3)],
)
def test_the_arithmetic_that_torch_writes(dim: str, size: int) -> None:
    assert dimensions.value(dim, {"seq": 7}) == size


@pytest.mark.parametrize("dim", ["__import__('os').abort()", "f(seq)", "seq**9", "a.b", "seq if x"])
def test_what_is_no_arithmetic_is_a_name_and_never_run(dim: str) -> None:
    assert dimensions.free([TensorSpec("x", "float32", (dim,))]) == (dim,)
    assert dimensions.value(dim, {dim: 3}) == 3
    with pytest.raises(InputError, match=r"has no size$"):
        dimensions.value(dim, {"seq": 3})


def test_a_division_by_nothing_is_told() -> None:
    with pytest.raises(InputError, match=r"divides by 0"):
        dimensions.value("8 // seq", {"seq": 0})


def test_an_unknown_rank_says_how_to_state_it() -> None:
    with pytest.raises(InputError) as raised:
        dimensions.shape(ANY, {})
    assert raised.value.what == "the rank of the input 'any' is unknown"
    assert raised.value.cures[0].startswith("--shape any=1x3x224x224")


def test_whole_shapes_state_sizes() -> None:
    sizes = dimensions.dims_of([IDS, LATE, IMAGE], {"ids": (2, 5), "image": (2, 3, 8, 9)})
    assert sizes == {"batch": 2, "seq": 5, "image.2": 8, "image.3": 9}


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
        dimensions.dims_of([IDS, IMAGE], shapes)
    assert raised.value.what == what


def test_a_dimension_that_is_not_there_has_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"'sek'; there are: batch, seq\. Did you mean seq\?"):
        dimensions.check_names([IDS], ["batch", "sek"])
    with pytest.raises(InputError, match=r"^this model has no dynamic dimensions$"):
        dimensions.check_names([TensorSpec("x", "float32", (3,))], ["batch"])
