"""The lengths of the tables that inputs index are read from the graph."""

from __future__ import annotations

import onnx
from onnx import ModelProto

from toolkit.feeds import tables


def parse(body: str) -> ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {body}')


def test_the_shortest_table_that_an_input_reaches_is_its_vocabulary() -> None:
    model = parse(
        """g (int32[b, s] ids, int64[b] late, int64[b] free, float[b, 4] x) => (float[y] y)
        <float[50, 4] long, float[4, 30] short, int64[1] shape = {-1}>
        {
            wide = Cast <to = 7> (ids)
            flat = Reshape (wide, shape)
            turned = Transpose <perm = [1, 0]> (short)
            a = Gather (turned, flat)
            b = Gather (long, wide)
            c = Gather <axis = 1> (x, late)
            d = Add (free, late)
            y = Identity (d)
        }"""
    )
    assert tables.lengths(model) == {"ids": 30, "late": 4}


def test_an_index_into_something_of_unknown_size_has_no_vocabulary() -> None:
    model = parse("g (float[n] x, int64[k] at) => (float[k] y) { y = Gather (x, at) }")
    assert tables.lengths(model) == {}
