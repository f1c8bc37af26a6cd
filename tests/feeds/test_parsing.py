"""--dim, --batch and --shape are read, and what is no size is told."""

from __future__ import annotations

import pytest

from toolkit.errors import InputError
from toolkit.feeds import parsing


def test_a_value_without_a_name_belongs_to_the_name_before_it() -> None:
    given = parsing.dims(["batch=1,8,seq=128", "seq=256,128"])
    assert given == {"batch": (1, 8), "seq": (128, 256)}


def test_a_name_may_hold_a_point_and_an_equals_sign() -> None:
    assert parsing.dims(["input.2=224", "a=b=3"]) == {"input.2": (224,), "a=b": (3,)}


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
        parsing.dims([text])
    assert raised.value.what == what


def test_batches_and_shapes() -> None:
    assert parsing.batch("1,8,8") == (1, 8)
    assert parsing.shapes(["a=1x3x224x224", "s="]) == {"a": (1, 3, 224, 224), "s": ()}


@pytest.mark.parametrize("text", ["1x3", "=1x3", "a=1x", "a=1×3", "a=?x3"])
def test_a_shape_that_is_none_is_told(text: str) -> None:
    with pytest.raises(InputError, match=f"^--shape {text.replace('?', '.')}"):
        parsing.shapes([text])
