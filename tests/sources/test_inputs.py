"""The grammar of --input."""

from __future__ import annotations

import pytest
import torch

from toolkit.errors import InputError
from toolkit.sources import inputs
from toolkit.sources.inputs import Dimension, Stated


def test_an_input_has_a_name_a_type_and_dimensions_of_every_kind() -> None:
    stated = inputs.parse("x:float32[batch, seq=16, height=64.., width=64..512, 40]")

    assert stated == Stated(
        "x",
        "float32",
        (
            Dimension("batch"),
            Dimension("seq", traced=16),
            Dimension("height", least=64),
            Dimension("width", least=64, most=512),
            40,
        ),
    )
    assert stated.spec.shape == ("batch", "seq", "height", "width", 40)


def test_empty_brackets_are_a_scalar() -> None:
    assert inputs.parse("t:int64[]").dims == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x", "it has no type; the form is NAME:TYPE[DIMENSION,…]"),
        ("x:float32", "it has no shape; the form is NAME:TYPE[DIMENSION,…]"),
        ("x:float32[2", "its shape has no end; the form is NAME:TYPE[DIMENSION,…]"),
        (":float32[2]", "it cannot be read; the form is NAME:TYPE[DIMENSION,…]"),
        ("x:flaot32[2]", "no type is called 'flaot32'; there are: bfloat16, bool, float16,"),
        ("x:flaot32[2]", "Did you mean float32?"),
        ("x:float32[2,,3]", "a dimension is empty; write a size (40), a name (batch)"),
        ("x:float32[0]", "a dimension has at least the size 1"),
        ("x:float32[-1]", "'-1' is no dimension; write a size (40), a name (batch)"),
        ("x:float32[a b]", "'a b' is no dimension"),
        ("x:float32[seq=]", "'seq=': after = stands a size from 1 on (16) or a range"),
        ("x:float32[seq=0]", "'seq=0': after = stands a size from 1 on (16) or a range"),
        ("x:float32[seq=x]", "'seq=x': after = stands a size from 1 on (16) or a range"),
        ("x:float32[seq=9..3]", "'seq=9..3': a range goes from the smaller size to the larger"),
    ],
)
def test_a_text_of_another_form_is_one_clear_line(text: str, error: str) -> None:
    with pytest.raises(InputError) as caught:
        inputs.parse(text)

    assert caught.value.what.startswith(f"--input {text!r}: ")
    assert error in caught.value.what
    assert caught.value.cures == (inputs.EXAMPLE,)


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (["x:int64[a]", "x:int64[b]"], "the input 'x' is stated twice"),
        (["x:int64[a=2]", "y:int64[a=3]"], "the dimension a is stated as 2 and 3"),
        (["x:int64[a=2..]", "y:int64[a=3..9]"], "the dimension a is stated as 2.. and 3..9"),
        (["x:int64[a=2]", "y:int64[a=3..9]"], "a=2 lies outside its range 3..9"),
    ],
)
def test_statements_that_contradict_each_other_are_refused(texts: list[str], error: str) -> None:
    with pytest.raises(InputError) as caught:
        inputs.parse_all(texts)

    assert error in caught.value.what


def test_one_dimension_in_two_inputs_has_all_that_was_stated_of_it() -> None:
    stated = inputs.parse_all(["x:int64[a=4]", "y:int64[a]", "z:int64[a=2..8]"])

    assert inputs.dimensions(stated) == {"a": Dimension("a", 4, 2, 8)}


def test_example_tensors_are_inputs_of_fixed_shape() -> None:
    x, ids = torch.zeros(2, 3), torch.zeros(1, dtype=torch.int64)

    assert inputs.of_examples({"x": x, "ids": ids}) == (
        Stated("x", "float32", (2, 3)),
        Stated("ids", "int64", (1,)),
    )
