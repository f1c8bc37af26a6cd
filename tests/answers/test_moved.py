"""Outputs that a file only moves, and those that no input decides."""

from __future__ import annotations

import onnx.parser
import pytest
from onnx import ModelProto

from toolkit.answers.moved import only_moved, unfed


def model(body: str) -> ModelProto:
    return onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20, "com.microsoft": 1]> '
        f"g (float[n, 4] x, int64[k] i, bool[n, 4] c) => (float[a, b] y) {{ {body} }}"
    )


MOVED = {
    "transposed": "y = Transpose (x)",
    "gathered at indices that are fed": "y = Gather <axis = 0> (x, i)",
    "reshaped by its own size": """
        s = Shape (x)  one = Constant <value_ints = [1]> ()
        t = Mul (s, one)  y = Reshape (x, t)""",
    "chosen by what is fed": "y = Where (c, x, x)",
    "joined with zeros": """
        s = Shape (x)  z = ConstantOfShape (s)  y = Concat <axis = 1> (x, z)""",
    "of computed floats, their shape alone": "z = Exp (x)  s = Shape (z)  y = Reshape (x, s)",
}
COMPUTED = {
    "added": "y = Add (x, x)",
    "rounded": "h = Cast <to = 10> (x)  y = Cast <to = 1> (h)",
    "chosen by a computed condition": "z = Less (x, x)  y = Where (z, x, x)",
    "gathered at computed indices": "z = ArgMax <axis = 0, keepdims = 0> (x)  y = Gather (x, z)",
    "scattered with a sum": """
        z = Cast <to = 7> (c)  y = ScatterElements <reduction = "add"> (x, z, x)""",
    "of another domain": "y = com.microsoft.Gelu (x)",
    "made by a branch": """
        z = Constant <value_int = 1> ()  b = Cast <to = 9> (z)
        y = If (b) <then_branch = t () => (float[a, b] p) { p = Identity (x) },
                    else_branch = e () => (float[a, b] q) { q = Identity (x) }>""",
}


@pytest.mark.parametrize("body", MOVED.values(), ids=MOVED)
def test_what_is_only_moved(body: str) -> None:
    assert only_moved(model(body).graph) == {"y"}


@pytest.mark.parametrize("body", COMPUTED.values(), ids=COMPUTED)
def test_what_is_computed(body: str) -> None:
    assert only_moved(model(body).graph) == frozenset()


@pytest.mark.parametrize(
    ("body", "is_unfed"),
    [
        ("s = Shape (x)  f = Cast <to = 1> (s)  y = Sin (f)", True),
        ("y = Sin (x)", False),
        (COMPUTED["made by a branch"], False),
    ],
    ids=["of a size", "of an input", "of a branch"],
)
def test_what_no_input_decides(body: str, is_unfed: bool) -> None:
    assert unfed(model(body).graph) == ({"y"} if is_unfed else set())
