"""Operators of com.microsoft that carry a state from token to token, against ONNX Runtime's
kernels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.oracle.onenode import Case, Drawn, agree, case, change, oracle, whole
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAWN = Drawn(13)
f = DRAWN.floats
ENDS = whole(0, 3, 4, 9)


def rates(*shape: int) -> Array:
    return np.asarray(1 / (1 + np.exp(f(*shape))))


def decays(*shape: int) -> Array:
    return -np.abs(f(*shape))


def attended() -> list[Case]:
    cases = []
    for heads, groups in ((2, 2), (4, 2), (2, 4), (1, 3)):
        given = f(2, 5, heads * 4), f(2, 5, groups * 4) / 2, f(2, 5, groups * 3)
        past, whole, each = f(2, groups, 4, 3), decays(2, 5, groups), decays(2, 5, groups * 4)
        how: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": groups, "outputs": 2}
        cases += [
            case("LinearAttention", *given, update_rule="linear", **how),
            case("LinearAttention", *given, None, whole, update_rule="gated", **how),
            case("LinearAttention", *given, past, each, update_rule="gated", **how),
            case("LinearAttention", *given, None, None, rates(2, 5, 1), update_rule="delta", **how),
            case("LinearAttention", *given, past, whole, rates(2, 5, groups), **how),
            case("LinearAttention", *given, past, each, rates(2, 5, 1), scale=0.3, **how),
        ]
    return cases


def convolved() -> list[Case]:
    x, weight = f(2, 6, 7), f(6, 1, 4)
    how: dict[str, Any] = {"outputs": 2}
    cases = []
    variants: list[dict[str, Any]] = [
        {}, {"activation": "silu"}, {"activation": "swish"}, {"dilation": 2}
    ]  # fmt: skip
    for more in variants:
        before = 3 * more.get("dilation", 1)
        state, packed, last = f(2, 6, before), f(3, 6, before), f(2, before, 2, 3)
        cases += [
            case("CausalConvWithState", x, weight, bias, past, **more, **how)
            for bias, past in itertools.product((None, f(6)), (None, state))
        ]
        cases += [
            case("CausalConvWithState", f(2, 7, 6), weight, channels_last=1, **more, **how),
            case(
                "CausalConvWithState", f(2, 7, 2, 3), weight, f(6), last, channels_last=1, **more,
                **how,
            ),
            *(
                case("VarlenCausalConvWithState", row, weight, ENDS, bias, packed, **more, **how)
                for row, bias in ((f(9, 6), None), (f(9, 6), f(6)))
            ),
        ]  # fmt: skip
    return cases


def netted() -> list[Case]:
    cases = []
    for heads, groups in ((2, 2), (2, 4)):
        q, k, v, state = f(9, heads, 4), f(9, heads, 4) / 2, f(9, groups, 3), f(3, groups, 3, 4)
        whole, each, beta = decays(9, groups), decays(9, groups, 4), rates(9, groups)
        packed = np.concatenate([part.reshape(9, -1) for part in (q, k, v)], axis=1)
        plain = q, k, v, ENDS
        gated = f(9, groups, 4), beta, state, f(groups)
        bent: dict[str, Any] = {"gate_activation": "softplus", "beta_activation": "sigmoid"}
        cases += [
            case("GatedDeltaNet", *more, outputs=2, **how)
            for more, how in (
                ((*plain, None, None, state), {"update_rule": "linear"}),
                ((*plain, each, None, state), {"update_rule": "gated"}),
                ((*plain, None, beta, state), {"update_rule": "delta"}),
                ((*plain, whole, beta, state), {}),
                ((*plain, whole, beta), {"name": "no state"}),
                ((*plain, each, beta, state), {"qk_l2_norm": 1, "scale": 0.3}),
                ((q, k, v, None, whole, beta, state), {"name": "of one length"}),
                ((packed, None, None, ENDS, whole, beta, state), {"name": "packed"}),
                ((*plain, *gated, f(groups, 4)), {"gate_activation": "kda"}),
                ((*plain, *gated, f(groups * 4)), {"gate_activation": "sigmoid",
                                                   "gate_lower_bound": -3.0}),
                ((f(3, 3, heads, 4), f(3, 3, heads, 4) / 2, f(3, 3, groups, 3), None,
                  f(3, 3, groups), f(3, 3, groups), state, f(groups), f(groups)), bent),
            )
        ]  # fmt: skip
    return cases


CASES = [
    *attended(),
    *convolved(),
    *netted(),
    case("LinearAttentionGate", f(2, 5, 3), f(3), decays(3), f(2, 5, 3), outputs=2),
    case("LinearAttentionGate", 30 * f(2, 5, 3), f(3), decays(3)),
]


@pytest.mark.parametrize("node", CASES, ids=str)
def test_an_operator_agrees_with_onnxruntime(node: Case) -> None:
    agree(node)


@pytest.mark.parametrize("node", CASES, ids=str)
def test_it_is_not_rounded_to_float32_on_its_way(node: Case) -> None:
    assert 0 < change(node) < 1e-8


REFUSED = [
    (case("CausalConvWithState", f(1, 2, 3, 5), f(2, 1, 3, 2), ndim=2), "ndim 2"),
    (case("CausalConvWithState", f(1, 2, 5), f(2, 1, 3), state_window=2), "state_window"),
    (case("CausalConvWithState", f(1, 2, 5), f(2, 1, 3), activation="gelu"), "activation gelu"),
    (
        case("LinearAttention", *[f(1, 2, 4)] * 3, update_rule="linear", state_window=2,
             q_num_heads=1, kv_num_heads=1),
        "state_window",
    ),
    (
        case("LinearAttention", *[f(1, 2, 4)] * 3, q_num_heads=1, kv_num_heads=1),
        "update_rule gated_delta with these inputs",
    ),
    (
        case("GatedDeltaNet", *[f(2, 1, 4)] * 3, None, None, None, f(1, 1, 4, 4), None, None,
             whole(1), update_rule="linear", state_update_capacity=1),
        "state_update_capacity",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("node", "what"), REFUSED, ids=[what for _, what in REFUSED])
def test_what_no_kernel_of_the_cpu_knows_is_refused_by_name(node: Case, what: str) -> None:
    with pytest.raises(Unsupported, match=f"^{node.operator}: {what}$"):
        oracle(node.model(), node.feed)
