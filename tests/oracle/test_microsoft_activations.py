"""Activations and products of com.microsoft against ONNX Runtime's kernels and by definition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.oracle.onenode import Case, Drawn, agree, agrees, case, change, model, oracle, ort
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.portable import Unsupported

pytestmark = pytest.mark.kernels

DRAWN = Drawn(1)
f = DRAWN.floats
X, LINE, WIDE = f(2, 3, 8), f(8), f(40) * 30


def gemms() -> list[Case]:
    """Makes FusedGemm with every activation that the kernel knows, and with every way of laying out
    its factors."""
    params: dict[str, dict[str, Any]] = {
        "Celu": {"activation_alpha": 0.7},
        "Elu": {"activation_alpha": 0.7},
        "HardSigmoid": {"activation_alpha": 0.3, "activation_beta": 0.4},
        "LeakyRelu": {"activation_alpha": 0.1},
        "ParametricSoftplus": {"activation_alpha": 0.5, "activation_beta": 2.0},
        "Relu": {},
        "ScaledTanh": {"activation_alpha": 0.5, "activation_beta": 2.0},
        "Selu": {"activation_alpha": 1.5, "activation_gamma": 1.1},
        "Sigmoid": {},
        "Softplus": {},
        "Softsign": {},
        "Tanh": {},
        "ThresholdedRelu": {"activation_alpha": 0.5},
    }
    a, b = f(3, 4), f(4, 5)
    return [
        *(case("FusedGemm", a, b, activation=name, **how) for name, how in params.items()),
        *(
            case("FusedGemm", a, b, c, activation="Relu", alpha=0.5, beta=2.0)
            for c in (f(3, 5), f(5), f(3, 1), f(1))
        ),
        case("FusedGemm", f(4, 3), f(5, 4), transA=1, transB=1, activation="Relu"),
        case("FusedGemm", f(1, 1), f(1, 1), activation="Tanh"),
    ]


def products() -> list[Case]:
    return [
        case("FusedMatMul", f(2, 3, 4), f(2, 4, 5), alpha=0.3),
        case("FusedMatMul", f(2, 4, 3), f(2, 4, 5), transA=1),
        case("FusedMatMul", f(2, 3, 4), f(5, 4), transB=1),
        case("FusedMatMul", f(2, 3, 1, 4), f(1, 3, 5, 4), transB=1, alpha=2.0),
        case("FusedMatMul", f(4), f(4, 5), transA=1),
        case("FusedMatMul", f(3, 4), f(4), transB=1),
        case("FusedMatMul", f(4), f(4), name="vectors"),
        case("FusedMatMul", f(1, 1), f(1, 1)),
        case("FusedMatMul", f(2, 70, 90), f(90, 100), name="large"),
        case("FusedMatMul", f(2, 3, 4), f(3, 4, 5), transBatchA=1),
        case("FusedMatMul", f(2, 3, 4), f(3, 2, 5), transBatchA=1, transA=1),
        case("FusedMatMul", f(3, 2, 4), f(4, 3, 5), transBatchB=1),
        case("FusedMatMul", f(3, 2, 4), f(5, 3, 4), transBatchB=1, transB=1),
        case("FusedMatMul", f(2, 3, 6, 4), f(2, 3, 6, 4), transBatchA=1, transBatchB=1, transB=1),
        case("TransposeMatMul", f(2, 4, 3), f(2, 5, 4), transA=1, transB=1, alpha=0.5),
    ]


CASES = [
    case("Gelu", X),
    case("Gelu", WIDE, name="wide"),
    case("Gelu", f(50, 90), name="large"),
    case("FastGelu", X),
    case("FastGelu", X, LINE),
    case("FastGelu", WIDE, name="wide"),
    case("QuickGelu", X),
    case("QuickGelu", X, alpha=0.6),
    case("QuickGelu", WIDE, name="wide"),
    case("BiasGelu", X, LINE),
    case("BiasGelu", f(1, 1, 8), LINE, name="one token"),
    *gemms(),
    *products(),
]

Expanded = tuple[Case, Sequence[onnx.NodeProto]]


def node(operator: str, inputs: str, output: str, **how: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), output.split(), **how)


SUM = node("Add", "i0 i1", "s")
GELU = node("Gelu", "s", "o0")
EXPANDED: list[Expanded] = [
    (case("BiasAdd", X, LINE, f(2, 3, 8)), [SUM, node("Add", "s i2", "o0")]),
    (
        case("BiasSplitGelu", X, LINE),
        [
            SUM,
            node("Split", "s", "l r", axis=-1, num_outputs=2),
            node("Gelu", "r", "g"),
            node("Mul", "l g", "o0"),
        ],
    ),
    (case("BiasDropout", X, LINE), [node("Add", "i0 i1", "o0")]),
    (case("BiasDropout", X, f(2, 3, 8), f(2, 3, 8)), [SUM, node("Add", "s i2", "o0")]),
    *(
        (
            case("BiasSoftmax", f(2, 3, 4, 5), bias, axis=axis, is_inner_broadcast=inner),
            [SUM, node("Softmax", "s", "o0", axis=-1)],
        )
        for bias, axis, inner in ((f(2, 1, 1, 5), 3, 1), (f(4, 5), -1, 0))
    ),
    (
        case("BiasSoftmax", f(2, 4, 5), f(1, 4, 5), axis=1, is_inner_broadcast=0),
        [
            SUM,
            node("Flatten", "s", "r", axis=1),
            node("Softmax", "r", "t", axis=-1),
            node("Shape", "i0", "n"),
            node("Reshape", "t n", "o0"),
        ],
    ),
    (
        case("GemmFastGelu", f(2, 3, 4), f(4, 5), f(5)),
        [
            node("MatMul", "i0 i1", "p"),
            node("FastGelu", "p i2", "o0", domain="com.microsoft"),
        ],
    ),
    (
        case("FusedMatMulActivation", f(2, 3, 4), f(5, 4), activation="LeakyRelu",
             activation_alpha=0.2, transB=1, alpha=0.5),
        [
            node("FusedMatMul", "i0 i1", "p", domain="com.microsoft", transB=1, alpha=0.5),
            node("LeakyRelu", "p", "o0", alpha=0.2),
        ],
    ),
    (
        case("SwiGLU", f(3, 8), f(3, 8), activation_alpha=1.7),
        [
            node("QuickGelu", "i0", "q", domain="com.microsoft", alpha=1.7),
            node("Mul", "q i1", "o0"),
        ],
    ),
    (
        case("SwiGLU", f(3, 16), name="together"),
        [
            node("Split", "i0", "g u", axis=-1, num_outputs=2),
            node("QuickGelu", "g", "q", domain="com.microsoft", alpha=1.0),
            node("Mul", "q u", "o0"),
        ],
    ),
]  # fmt: skip
"""Operators that ONNX Runtime's CPU has no kernel of, with the nodes that they replace."""


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_a_fused_operator_agrees_with_onnxruntime(fused: Case) -> None:
    agree(fused)


@pytest.mark.parametrize(("fused", "nodes"), EXPANDED, ids=[str(fused) for fused, _ in EXPANDED])
def test_a_fused_operator_agrees_with_the_nodes_that_it_replaces(
    fused: Case, nodes: Sequence[onnx.NodeProto]
) -> None:
    agrees(oracle(fused.model(), fused.feed), ort(model(nodes, fused.feed, ["o0"]), fused.feed))


@pytest.mark.parametrize("fused", [*CASES, *(fused for fused, _ in EXPANDED)], ids=str)
def test_it_is_not_rounded_to_float32_on_its_way(fused: Case) -> None:
    assert 0 < change(fused) < 1e-9


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_that_of_onnx(approximate: str) -> None:
    """ONNX writes the tanh with √(2/π), ONNX Runtime with 0.797885 and 0.035677, rounded."""
    x = np.linspace(-6, 6, 400)
    fused = case("Gelu" if approximate == "none" else "FastGelu", x.astype(np.float32))
    standard = case("Gelu", x.astype(np.float32), domain="", approximate=approximate)
    (mine,), (theirs,) = (oracle(each.model(), {"i0": x}) for each in (fused, standard))
    assert np.abs(mine - theirs).max() <= (1e-15 if approximate == "none" else 1e-7)


def test_a_clamped_swiglu_is_its_formula() -> None:
    gate, up = f(4, 6) * 2, f(4, 6) * 2
    fused = case("SwiGLU", gate, up, activation_alpha=1.7, activation_beta=1.0, limit=0.75)
    (got,) = oracle(fused.model(), fused.feed)
    g, u = np.minimum(gate.astype(float), 0.75), np.clip(up.astype(float), -0.75, 0.75)
    alpha = float(np.float32(1.7))
    np.testing.assert_allclose(got, g / (1 + np.exp(-alpha * g)) * (u + 1), rtol=1e-14)


def test_a_mask_of_dropout_is_all_true() -> None:
    fused = case("BiasDropout", X, LINE, outputs=2)
    assert oracle(fused.model(), fused.feed)[1].tolist() == np.ones(X.shape, bool).tolist()


def test_dropout_that_trains_is_refused() -> None:
    fused = case("BiasDropout", X, LINE, None, None, np.array(True))
    with pytest.raises(Unsupported, match=r"^BiasDropout: training_mode: it draws at random$"):
        oracle(fused.model(), fused.feed)


def test_an_activation_that_no_kernel_knows_is_refused() -> None:
    fused = case("FusedGemm", f(2, 2), f(2, 2), activation="Swish")
    with pytest.raises(Unsupported, match=r"^FusedGemm: the activation Swish$"):
        oracle(fused.model(), fused.feed)


def test_float16_is_computed_in_float32() -> None:
    """The square of 300 is more than float16 holds."""
    x = np.array([[300, -300, 300, 300]], np.float16)
    fused = case("SimplifiedLayerNormalization", x, np.ones(4, np.float16), domain="")
    (got,) = Evaluator(fused.model(), exact=False).run(fused.feed).values()
    assert got.dtype == np.float16
    assert got.tolist() == [[1, -1, 1, 1]]


def test_gelu_is_exact_in_float64() -> None:
    (got,) = oracle(case("Gelu", f(3)).model(), {"i0": np.array([0.1, 1.0, -2.5])})
    for x, y in zip((0.1, 1.0, -2.5), got, strict=True):
        assert y == pytest.approx(x * 0.5 * (1 + math.erf(x / math.sqrt(2))), rel=1e-15)
