"""A mixture of quantised experts against ONNX Runtime's kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.quantized import Case, Inputs, assert_agrees, kernel
from toolkit.errors import ToolkitError
from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAW = np.random.default_rng(6)
E, H = 4, 32
"""Experts, and features that come and go."""


def f(*shape: int) -> Array:
    return DRAW.standard_normal(shape).astype(np.float32)


def u8(*shape: int) -> Array:
    return DRAW.integers(0, 256, shape).astype(np.uint8)


def layer(outputs: int, inputs: int, bits: int, block: int) -> tuple[Array, Array, Array]:
    """Weights, scales and zero points of all experts."""
    each = inputs // block if block else None
    scaled = (E, outputs) if each is None else (E, outputs, each)
    packed = (*scaled[:-1], -(-scaled[-1] * bits // 8))
    return u8(E, outputs, inputs * bits // 8), 0.05 * f(*scaled), u8(*packed)


def experts(
    name: str = "",
    *,
    bits: int = 4,
    block: int = 0,
    tokens: tuple[int, ...] = (6,),
    zeros: bool = False,
    bias: bool = True,
    inner: int = 64,
    weighed: bool = False,
    third: bool = False,
    **how: Any,
) -> Case:
    """QMoE whose token rows and router are fed."""
    wide = 2 * inner if how.get("swiglu_fusion") else inner
    w1, s1, z1 = layer(wide, H, bits, block)
    w2, s2, z2 = layer(H, inner, bits, block)
    w3, s3, _ = layer(inner, H, bits, block)
    rows = int(np.prod(tokens))
    inputs: Inputs = (f(*tokens, H), f(rows, E))
    inputs += (w1, s1, f(E, wide) if bias else None, w2, s2, f(E, H) if bias else None)
    inputs += (w3, s3, None) if third else (None, None, None)
    inputs += (z1, z2, None) if zeros else (None, None, None)
    inputs += (np.abs(f(rows, E)),) if weighed else ()
    how = {"expert_weight_bits": bits, "weights_prepacked": 0, **how}
    return Case("QMoE", inputs, how | ({"block_size": block} if block else {}), fed=2, name=name)


def all_bits() -> list[Case]:
    return [
        case
        for bits in (2, 4, 8)
        for case in (
            experts(bits=bits),
            experts("zeros", bits=bits, zeros=True),
            experts("no bias", bits=bits, bias=False, k=2),
        )
    ]


SWIGLU: dict[str, Any] = {"activation_type": "swiglu", "swiglu_fusion": 1}
CASES = [
    *all_bits(),
    *(experts("blocks", bits=bits, block=16, k=2) for bits in (2, 4)),
    *(experts("blocks, zeros", bits=bits, block=16, zeros=True) for bits in (2, 4)),
    experts("larger blocks", block=32, k=4),
    *(experts(activation_type=name, k=2) for name in ("relu", "gelu", "silu", "identity")),
    experts(**SWIGLU),
    experts(**SWIGLU, activation_alpha=1.702, activation_beta=1.0, swiglu_limit=0.7),
    experts("a batch", tokens=(2, 3), k=3),
    experts("one token", tokens=(1,)),
    experts("weighed", weighed=True, k=2),
    experts("weighed", weighed=True, k=2, normalize_routing_weights=1),
    experts(k=2, normalize_routing_weights=1),
    experts(fc1_expert_weight_bits=4),
    experts(weights_prepacked=-1),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_the_kernel(case: Case) -> None:
    assert_agrees(case)


@pytest.mark.parametrize(
    "case",
    [
        experts("8 bits", bits=8, block=32, activation_type="identity"),
        experts("accuracy_level", block=32, accuracy_level=4, activation_type="identity"),
    ],
    ids=str,
)
def test_int8_activations_of_the_kernel_explain_its_error(case: Case) -> None:
    (theirs,) = kernel(case.model(), case.feed)
    ours = Evaluator(case.model()).run(case.feed)["o0"]

    # Each of two layers rounds its inputs to a 127th of the largest; as RMS that is about 1 %.
    error = np.sqrt(np.mean((theirs - ours) ** 2) / np.mean(ours**2))
    assert error < 0.02


def test_float16_is_exact_in_float64() -> None:
    case = experts(**SWIGLU, k=2)
    low = tuple(
        a.astype(np.float16) if a is not None and a.dtype == np.float32 else a for a in case.inputs
    )

    assert_agrees(Case("QMoE", low, case.how, fed=2), tolerance=2e-3)


@pytest.mark.parametrize(
    ("case", "named"),
    [
        (experts(quant_type="fp8"), "quant_type = fp8"),
        (experts(weights_prepacked=1), "weights_prepacked = 1"),
        (experts(use_sparse_mixer=1), "use_sparse_mixer = 1"),
        (experts(activation_type="geglu"), "activation_type = geglu"),
        (experts(activation_type="swiglu", swiglu_fusion=2), "swiglu_fusion = 2"),
        (experts(activation_type="swiglu", third=True), "swiglu_fusion = 0"),
        (experts(third=True), "fc3"),
        (experts(bits=3), "bits = 3"),
        (experts(fc2_expert_weight_bits=8), "fc2_expert_weight_bits = 8"),
    ],
    ids=str,
)
def test_what_the_kernel_of_the_processor_has_not_is_refused(case: Case, named: str) -> None:
    with pytest.raises(ToolkitError, match=f"QMoE: {named}"):
        Evaluator(case.model()).run(case.feed)
