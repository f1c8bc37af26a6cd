"""Operators that ONNX defines by functions of others, against those functions in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, defs, helper

from tests.oracle.onenode import Drawn
from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array

DRAWN = Drawn(11)
f = DRAWN.floats
OPSETS = [("", 27), ("ai.onnx.preview", 1)]
TINY = 1e-13
"""The noise of float64, as a share of the largest value."""


class Case:
    """One node with its inputs; None stands for one that is left out."""

    def __init__(
        self, operator: str, *inputs: Array | None, outputs: int = 1, domain: str = "", **how: Any
    ) -> None:
        self.operator = operator
        self.feed = {f"i{k}": array for k, array in enumerate(inputs) if array is not None}
        names = ["" if array is None else f"i{k}" for k, array in enumerate(inputs)]
        self.outputs = [f"o{k}" for k in range(outputs)]
        self.node = helper.make_node(operator, names, self.outputs, domain=domain, **how)
        self.words = [f"{k}={v}" for k, v in how.items() if not isinstance(v, onnx.GraphProto)]

    def __str__(self) -> str:
        shapes = ["×".join(map(str, array.shape)) for array in self.feed.values()]
        return " ".join([self.operator, *self.words, *shapes])

    def model(self, nodes: list[NodeProto], functions: list[onnx.FunctionProto]) -> ModelProto:
        kind = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(n, kind, a.shape) for n, a in self.feed.items()],
            [helper.make_tensor_value_info(n, kind, None) for n in self.outputs],
        )
        opsets = [helper.make_opsetid(*each) for each in [*OPSETS, ("expanded", 1)]]
        return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=13)

    def ours(self) -> list[Array]:
        return list(Evaluator(self.model([self.node], [])).run(self.feed).values())

    def expanded(self) -> list[Array]:
        """Computes the function that defines the node."""
        # onnx declares no types for the two methods that give a function.
        schema: Any = defs.get_schema(self.node.op_type, domain=self.node.domain)
        kinds = [
            helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, self.feed[name].shape)
            if name
            else onnx.TypeProto()
            for name in self.node.input
        ]
        version = max(schema.context_dependent_function_opset_versions)
        function = onnx.FunctionProto.FromString(
            schema.get_context_dependent_function_with_opset_version(
                version, self.node.SerializeToString(), [kind.SerializeToString() for kind in kinds]
            )
        )
        function.domain = "expanded"
        call = helper.make_node(function.name, self.node.input, self.node.output, domain="expanded")
        call.attribute.extend(self.node.attribute)
        return list(Evaluator(self.model([call], [function])).run(self.feed).values())


def convolved() -> list[Case]:
    x, weight = f(2, 5, 7), f(5, 1, 4)
    return [
        *(
            Case("CausalConvWithState", x, weight, *more, outputs=2, activation=activation)
            for more in ((), (f(5),), (None, f(2, 5, 3)), (f(5), f(2, 5, 3)))
            for activation in ("none", "silu", "swish")
        ),
        Case("CausalConvWithState", x[:, :, :2], weight, outputs=2),
        Case("CausalConvWithState", x[:, :, :1], weight, f(5), f(2, 5, 3), outputs=2),
        Case("CausalConvWithState", x, f(5, 1, 1), outputs=2),
    ]


def attended() -> list[Case]:
    cases = []
    for heads, groups in ((2, 2), (6, 2), (3, 1)):
        given = f(2, 5, heads * 4), f(2, 5, groups * 4) / 2, f(2, 5, groups * 3)
        past, whole, each = f(2, groups, 4, 3), -abs(f(2, 5, groups)), -abs(f(2, 5, groups * 4))
        rates = 1 / (1 + np.exp(f(2, 5, groups))), 1 / (1 + np.exp(f(2, 5, 1)))
        how: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": groups, "outputs": 2}
        cases += [
            Case("LinearAttention", *given, update_rule="linear", **how),
            Case("LinearAttention", *given, past, update_rule="linear", scale=0.3, **how),
            *(
                Case("LinearAttention", *given, past, decay, update_rule="gated", **how)
                for decay in (whole, each)
            ),
            *(
                Case("LinearAttention", *given, None, None, beta, update_rule="delta", **how)
                for beta in rates
            ),
            *(
                Case("LinearAttention", *given, past, decay, beta, chunk_size=2, **how)
                for decay in (whole, each)
                for beta in rates
            ),
        ]
    return cases


def graph(text: str) -> onnx.GraphProto:
    return onnx.parser.parse_graph(text)


def flexible() -> list[Case]:
    q, k, v = f(2, 4, 3, 8), f(2, 2, 5, 8), f(2, 2, 5, 6)
    capped = graph(
        """b (float[B, H, S, T] s) => (float[B, H, S, T] r)
        <float[1] cap = {2.0}> { d = Div (s, cap) t = Tanh (d) r = Mul (t, cap) }"""
    )
    squared = graph("b (float[B, H, S, T] s) => (float[B, H, S, T] r) { r = Mul (s, s) }")
    how: dict[str, Any] = {"domain": "ai.onnx.preview"}
    return [
        Case("FlexAttention", q, k, v, **how),
        Case("FlexAttention", q[:, :2], k, v, scale=0.3, **how),
        Case("FlexAttention", q, k, v, softmax_precision=1, **how),
        Case("FlexAttention", q, k, v, score_mod=capped, **how),
        Case("FlexAttention", q, k, v, prob_mod=squared, scale=0.7, **how),
        Case("FlexAttention", q, k, v, score_mod=capped, prob_mod=squared, **how),
    ]


CASES = [*convolved(), *attended(), *flexible()]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_is_its_function(case: Case) -> None:
    for mine, right in zip(case.ours(), case.expanded(), strict=True):
        assert mine.dtype == right.dtype == np.float64
        assert mine.shape == right.shape
        np.testing.assert_allclose(
            mine, right, rtol=0, atol=TINY * float(abs(right).max(initial=0))
        )
