"""What inputs are used for is read from the graph, at the sizes that are drawn."""

from __future__ import annotations

import math

import onnx
import pytest
from onnx import ModelProto

from toolkit.feeds import uses
from toolkit.feeds.forms import Segment
from toolkit.feeds.spans import InputUse, Span

SIZES = {"n": 6, "seq": 9, "k": 3}
SHAPES = {"x": (6, 9), "at": (3,), "lengths": (6,)}


def parse(body: str) -> ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {body}')


def read(inputs: str, body: str) -> dict[str, InputUse]:
    """The uses in a graph whose last tensor is y."""
    return uses.of(parse(f"g ({inputs}) => (float[m] y) {body}")).at(SIZES, SHAPES)


def test_the_shortest_table_that_an_input_reaches_is_its_vocabulary() -> None:
    found = read(
        "int32[b, s] ids, int64[b] late, int64[b] free, float[b, 4] x",
        """<float[50, 4] long, float[4, 30] short, int64[1] shape = {-1}>
        {
            wide = Cast <to = 7> (ids)
            flat = Reshape (wide, shape)
            turned = Transpose <perm = [1, 0]> (short)
            a = Gather (turned, flat)
            b = Gather (long, wide)
            c = Gather <axis = 1> (x, late)
            d = Add (free, late)
            y = Identity (d)
        }""",
    )
    assert {name: use.span() for name, use in found.items()} == {
        "ids": Span(0, 29),
        "late": Span(0, 3),
    }


INDEX = "float[n, seq] x, int64[k] at"
WITH_ONE = "<int64 one = {1}, int64[1] first = {0}>"


@pytest.mark.parametrize(
    ("inputs", "body", "span"),
    [
        (INDEX, "{ y = Gather <axis = 1> (x, at) }", Span(0, 8)),
        (INDEX, "{ y = GatherElements (x, at) }", Span(0, 5)),
        (INDEX, WITH_ONE + "{ b = Sub (at, one) y = Gather <axis = 1> (x, b) }", Span(1, 9)),
        (INDEX, "<int64 two = {2}> { b = Mul (at, two) y = Gather (x, b) }", Span(0, 2.5)),
        (INDEX, "<int64[2] o = {0, 3}> { b = Add (at, o) y = Gather (x, b) }", Span(0, 2)),
        (INDEX, "<int64 d = {4}, float[2] v = {0, 1}> { y = OneHot (at, d, v) }", Span(0, 3)),
        (INDEX, "<int64[4] c = {0, 1, 2, 3}> { b = Equal (at, c) y = Not (b) }", Span(0, 3)),
        (INDEX, WITH_ONE + "{ y = Slice (x, first, at, first) }", Span(1, 6)),
        (
            INDEX,
            WITH_ONE + "{ b = Neg (at) c = Reshape (b, first) y = Gather (x, at) }",
            Span(0, 5),
        ),
        (INDEX, "<int64 m = {50}> { b = Mod (at, m) y = Gather (x, b) }", Span(0, 99)),
        (INDEX, "<float t> { b = Cast <to = 1> (at) y = Div (t, b) }", Span(1, math.inf)),
        (INDEX, "{ y = Expand (x, at) }", Span(1, 4)),
        (INDEX, "{ b = Log (at) y = Neg (b) }", Span(0, math.inf, open=True)),
        (INDEX, "<float t = {1}> { b = Sub (t, at) y = Log (b) }", Span(-math.inf, 1, open=True)),
        (INDEX, "{ y = Atanh (at) }", Span(-1, 1, open=True)),
    ],
    ids=[
        *("axis", "elements", "shifted", "scaled", "offsets of tables", "one-hot", "classes"),
        *("end of a slice", "the first", "remainder", "divisor", "sizes", "logarithm"),
        *("of the rest to 1", "atanh"),
    ],
)
def test_values_lie_where_the_operator_takes_them(inputs: str, body: str, span: Span) -> None:
    assert read(inputs, body)["at"].span() == span


def test_what_is_compared_with_the_counts_of_an_axis_is_a_length() -> None:
    found = read(
        "float[n, seq] x, int64[n] lengths",
        """<int64 zero = {0}, int64 one = {1}, int64[1] last = {1}> {
            s = Shape <start = 1, end = 2> (x)
            e = Squeeze (s)
            c = Range (zero, e, one)
            u = Unsqueeze (lengths, last)
            y = Less (c, u)
        }""",
    )
    # Inference does not know how long the Range is: the file says so, as torch's do.
    assert found.get("lengths", InputUse()).span() in (Span(), Span(1, 9))


def test_two_columns_of_an_input_index_two_tables() -> None:
    found = read(
        "int64[n, 2] pairs",
        """<float[50] users, float[5] things, int64 zero = {0}, int64 one = {1}> {
            u = Gather <axis = 1> (pairs, zero)
            t = Gather <axis = 1> (pairs, one)
            a = Gather (users, u)
            b = Gather (things, t)
            y = Add (a, b)
        }""",
    )["pairs"]
    assert {p: found.span(p) for p in found.parts} == {
        Segment(1, 0, 1): Span(0, 49),
        Segment(1, 1, 2): Span(0, 4),
    }


@pytest.mark.parametrize(
    ("body", "keeps"),
    [
        ("{ a = Where (m, low, x) y = Softmax (a) }", False),
        ("{ a = Where (m, x, low) y = Softmax (a) }", True),
        ("{ b = Not (m) a = Where (b, low, x) y = Softmax (a) }", True),
        ("{ b = Where (m, zero, low) a = Add (x, b) y = Softmax (a) }", True),
        ("{ c = Cast <to = 1> (m) d = Sub (one, c) e = Mul (d, low) y = Add (x, e) }", True),
        ("{ c = Cast <to = 1> (m) e = Mul (c, low) y = Add (x, e) }", False),
    ],
    ids=["forbids", "keeps", "turned", "added", "1 - mask", "mask times -1e4"],
)
def test_a_mask_is_known_by_the_scores_that_it_forbids(body: str, keeps: bool) -> None:
    constants = "<float low = {-10000}, float zero = {0}, float one = {1}>"
    assert read("float[n, seq] x, bool[n, seq] m", constants + body)["m"].keeps is keeps


def test_what_both_begins_and_ends_a_slice_are_offsets() -> None:
    found = read(
        "float[n, seq] x, int64[k] at",
        """<int64[1] first = {0}, int64[1] second = {1}> {
            s = Slice (at, first, second)
            e = Slice (at, second, second)
            y = Slice (x, s, e)
        }""",
    )["at"]
    assert found.offsets
    assert found.span() == Span(0, 5)


def test_differences_that_a_logarithm_takes_are_of_ascending_values() -> None:
    found = read(
        "float[n, 4] x",
        """<int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}, int64[1] one = {1}> {
            a = Slice (x, zero, two, one)
            b = Slice (x, two, four, one)
            c = Sub (b, a)
            y = Log (c)
        }""",
    )["x"]
    assert found.ascending == 1


def test_an_index_into_something_of_unknown_size_has_no_span() -> None:
    model = parse("g (float[other] x, int64[k] at) => (float[k] y) { y = Gather (x, at) }")
    assert uses.of(model).at({"k": 3}, {}) == {}


def test_a_graph_of_thousands_of_nodes_is_read_once_over() -> None:
    adds = "\n".join(f"t{i + 1} = Add (t{i}, t{i})" for i in range(5000))
    read_once = uses.of(parse(f"g (int64[k] t0) => (int64[k] t5000) {{ {adds} }}"))
    assert len(read_once.nodes) == 5000
    assert read_once.at({"k": 3}, {"t0": (3,)}) == {}
