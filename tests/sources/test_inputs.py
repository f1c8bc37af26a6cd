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


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("h=32*k", Dimension("h", multiple=32)),
        ("h = 32*_h", Dimension("h", multiple=32)),
        ("h=32*k=224", Dimension("h", 224, multiple=32)),
        ("h=224=32*k", Dimension("h", 224, multiple=32)),
        ("h=32*k=40..512", Dimension("h", least=64, most=512, multiple=32)),
        ("seq=16=1..512", Dimension("seq", 16, 1, 512)),
    ],
)
def test_a_dimension_may_be_a_multiple_as_torch_writes_it(text: str, dimension: Dimension) -> None:
    assert inputs.parse(f"x:float32[{text}]").dims == (dimension,)
    assert inputs.parse(f"x:float32[{dimension.text}]").dims == (dimension,)


def test_both_ends_of_a_range_of_multiples_are_multiples() -> None:
    dim = Dimension("h", least=33, most=130, multiple=32)

    assert (dim.least, dim.most) == (64, 128)
    assert [size for size in range(200) if size in dim] == [64, 96, 128]
    assert dim.range == "32*k=64..128"


def test_what_a_cure_changes_of_one_dimension_keeps_what_was_stated_of_the_others() -> None:
    stated = inputs.parse("x:float32[batch=2,h=32*k,w=32*k=224,seq=..9]")

    assert stated.with_dim("batch", "4") == "x:float32[4,h=32*k,w=224=32*k,seq=1..9]"


def test_ranges_are_read_as_they_are_written() -> None:
    dims = [Dimension("batch"), Dimension("h", 64, multiple=32), Dimension("seq", most=96)]

    assert inputs.in_words(dims) == "h=32*k, seq=1..96"
    assert inputs.ranges(inputs.in_words(dims)) == {
        "h": Dimension("h", multiple=32),
        "seq": Dimension("seq", most=96),
    }


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
        (
            "x:float32[seq=]",
            "'seq=': after = stands a size from 1 on (16), a range (16.. or 16..512)",
        ),
        (
            "x:float32[seq=0]",
            "'seq=0': after = stands a size from 1 on (16), a range (16.. or 16..512)",
        ),
        (
            "x:float32[seq=x]",
            "'seq=x': after = stands a size from 1 on (16), a range (16.. or 16..512)",
        ),
        ("x:float32[h=32*k=]", "'h=32*k=': after = stands a size from 1 on (16), a range (16.. or"),
        ("x:float32[h=0*k]", "or a multiple (32*k, 32*k=224, 32*k=64..512)"),
        ("x:float32[h=8*k=4*k]", "'h=8*k=4*k': after = stands"),
        ("x:float32[h=32*k=40..50]", "'h=32*k=40..50': no multiple of 32 lies in that range"),
        (f"x:float32[h={'9' * 5000}]", "99999999999999999999… is no size of a tensor"),
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
        (["x:int64[a=33]", "y:int64[a=32*k]"], "a=33 is no size of a=32*k"),
        (["x:int64[a=8*k]", "y:int64[a=4*k]"], "the dimension a is stated as 8*k and 4*k"),
        (["x:int64[a=2]", "y:int64[a=3..9]"], "a=2 is no size of a=3..9"),
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
