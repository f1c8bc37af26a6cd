"""Quantised attention, embeddings and LSTM layers against ONNX Runtime's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.quantized import Case, assert_agrees, near_the_middle
from toolkit.errors import ToolkitError
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized import recurrent, rounding
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAW = np.random.default_rng(5)


def f(*shape: int) -> Array:
    return DRAW.standard_normal(shape).astype(np.float32)


def u8(*shape: int) -> Array:
    return DRAW.integers(0, 256, shape).astype(np.uint8)


def s7(*shape: int) -> Array:
    return DRAW.integers(-64, 65, shape).astype(np.int8)


def scales(*shape: int) -> Array:
    return DRAW.uniform(0.002, 0.01, shape).astype(np.float32)


def s(value: float) -> Array:
    return np.array(value, np.float32)


def z8(value: int) -> Array:
    return np.array(value, np.uint8)


def mask_of(*rows: int) -> Array:
    return np.array(rows, np.int32)


B, S, N, H, P = 2, 5, 3, 4, 3


def attention(
    mask: Array | None = None, past: Array | None = None, name: str = "", **how: Any
) -> Case:
    """QAttention of (2, 5, 7) with 3 heads of 4; the mask is fed."""
    weights = u8(7, 3 * N * H)
    inputs = (u8(B, S, 7), weights, f(3 * N * H), s(0.01), s(0.01))
    given = (*inputs, mask, z8(128), z8(100), past)
    outputs = 1 if past is None else 2
    return Case("QAttention", given, {"num_heads": N, **how}, outputs=outputs, name=name)


def attentions() -> list[Case]:
    raw = DRAW.integers(0, 2, (B, S)).astype(np.int32)
    raw[:, 0] = 1
    rows = DRAW.integers(0, 2, (B, S, S)).astype(np.int32)
    rows[:, :, 0] = 1
    past = f(2, B, N, P, H)
    masks = [
        ("no mask", None),
        ("ends", mask_of(3, 5)),
        ("raw", raw),
        ("rows", rows),
        ("a dummy", np.ones((B, 1), np.int32)),
    ]
    cases = [
        attention(mask, name=name, unidirectional=causal)
        for name, mask in masks
        for causal in (0, 1)
    ]
    wide = DRAW.integers(0, 2, (B, P + S)).astype(np.int32)
    cases += [
        attention(mask, past, name=f"past, {name}", unidirectional=causal)
        for name, mask in (("no mask", None), ("raw", wide), ("ends", mask_of(5, 8)))
        for causal in (0, 1)
    ]
    cases += [
        attention(raw, name="filter", mask_filter_value=-3.0),
        attention(raw, name="filter", mask_filter_value=-3.0, unidirectional=1),
        attention(mask_of(4, 5, 1, 2), name="ends and starts"),
        attention(name="scale", scale=0.3),
    ]
    width = 3 * N * H
    x, bias = u8(B, S, 7), f(width)
    how = {"num_heads": N}
    columns = (u8(7, width), bias, s(0.01), scales(width), None, z8(7), u8(width))
    signed = (s7(7, width), bias, s(0.01), scales(width), None, z8(0), s7(width) * 0)
    bare = (s7(7, width), bias, s(0.01), s(0.01))
    cases += [
        Case("QAttention", (x, *columns), how, name="columns"),
        Case("QAttention", (x, *signed), how, name="int8"),
        Case("QAttention", (x, *bare), how, name="no zero points"),
        Case("QAttention", (x, *columns), how, fed=9, name="nothing stored"),
    ]
    return cases


def embeddings() -> list[Case]:
    cases = []
    ids = DRAW.integers(0, 11, (B, S)).astype(np.int32)
    segments = DRAW.integers(0, 2, (B, S)).astype(np.int32)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    for kind in (np.uint8, np.int8):
        words, positions = u8(11, 8).view(kind), u8(9, 8).view(kind)
        table, gamma, beta = u8(2, 8).view(kind), u8(8).view(kind), u8(8).view(kind)
        zeros = [z8(z).view(kind) for z in (0, 255, 128, 3, 77)]
        each = [s(v) for v in (0.01, 0.02, 0.03, 0.01, 0.015)]
        name = kind.__name__
        full = (ids, segments, words, positions, table, gamma, beta)
        cases += [
            Case("QEmbedLayerNormalization", (*full, m, *each, *zeros), how, outputs=2, name=label)
            for label, m, how in (
                (f"{name} mask", mask, {}),
                (f"{name} no mask", None, {}),
                (f"{name} epsilon", mask, {"epsilon": 0.1}),
            )
        ]
        scale = (each[0], each[1], None, each[3], each[4])
        zero = (zeros[0], zeros[1], None, zeros[3], zeros[4])
        short = (ids, None, words, positions, None, gamma, beta, mask, *scale, *zero)
        cases.append(Case("QEmbedLayerNormalization", short, outputs=2, name=f"{name} no segments"))
    return cases


@pytest.mark.parametrize("case", [*attentions(), *embeddings()], ids=str)
def test_agrees_with_the_kernel(case: Case) -> None:
    assert_agrees(case)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(
    "mask", [np.zeros((B, S), np.int32), mask_of(4, 5, 1, 2)], ids=["all", "until a start"]
)
def test_a_row_that_is_masked_whole(mask: Array, causal: int) -> None:
    # A score beside the filter of -10,000 has steps of 1e-3 in float32.
    assert_agrees(attention(mask, unidirectional=causal), tolerance=1e-3)


@pytest.mark.parametrize(
    ("case", "named"),
    [
        (attention(do_rotary=1), "QAttention: do_rotary = 1"),
        (attention(past_present_share_buffer=1), "QAttention: past_present_share_buffer = 1"),
        (attention(np.ones((B, 1, S, S), np.int32)), "QAttention: a mask of 4 dimensions"),
    ],
    ids=["rotary", "shared buffer", "mask of 4 dimensions"],
)
def test_what_the_kernel_has_not_is_refused_by_name(case: Case, named: str) -> None:
    with pytest.raises(ToolkitError, match=named):
        Evaluator(case.model()).run(case.feed)


def lstm(draw: np.random.Generator, variant: str) -> Case:
    """DynamicQuantizeLSTM of 4 steps, 3 sequences, 5 inputs and 6 states."""

    def floats(*shape: int) -> Array:
        return draw.standard_normal(shape).astype(np.float32)

    two = "bidirectional" in variant
    d, t, b, i, h = 2 if two else 1, 4, 3, 5, 6
    unsigned = "uint8" in variant
    low, high, kind = (0, 256, np.uint8) if unsigned else (-64, 65, np.int8)
    w = draw.integers(low, high, (d, i, 4 * h)).astype(kind)
    r = draw.integers(low, high, (d, h, 4 * h)).astype(kind)
    zero = np.full(d, 128 if unsigned else 0, kind)
    scale = np.full(d, 0.01, np.float32)
    if "columns" in variant:
        zero = np.repeat(zero[:, None], 4 * h, 1)
        scale = draw.uniform(0.005, 0.02, (d, 4 * h)).astype(np.float32)
    bias = floats(d, 8 * h) if "bias" in variant else None
    ends = np.array([4, 2, 3], np.int32) if "ends" in variant else None
    states = (floats(d, b, h), floats(d, b, h)) if "states" in variant else (None, None)
    peepholes = floats(d, 3 * h) if "peepholes" in variant else None
    how: dict[str, Any] = {"hidden_size": h}
    how |= {"direction": "bidirectional"} if two else {}
    how |= {"direction": "reverse"} if "reverse" in variant else {}
    how |= {"clip": 0.7} if "clip" in variant else {}
    how |= {"input_forget": 1} if "forget" in variant else {}
    how |= {"activations": ["Sigmoid", "Relu", "Softsign"] * d} if "functions" in variant else {}
    before = (floats(t, b, i), w, r, bias, ends, *states, peepholes)
    given = (*before, scale, zero, scale[:, ...] * 2, zero)
    return Case("DynamicQuantizeLSTM", given, how, outputs=3, name=variant)


@pytest.mark.parametrize(
    "variant",
    [
        "int8",
        "uint8",
        "int8 bias states",
        "int8 columns bias",
        "uint8 columns bias",
        "int8 bidirectional bias states",
        "int8 reverse bias",
        "int8 peepholes bias",
        "int8 clip",
        "int8 forget bias",
        "int8 functions",
        "int8 bidirectional functions columns",
        "int8 ends bias",
        "int8 reverse ends bias",
        "int8 bidirectional ends states",
    ],
)
def test_an_lstm_agrees_with_the_kernel(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    near: list[bool] = []

    def watched(x: Array) -> tuple[Array, Array, Array]:
        integers, scale, zero = rounding.dynamic(x)
        near.append(bool(near_the_middle(np.append(x, -min(x.min(), 0)) / scale).any()))
        return integers, scale, zero

    monkeypatch.setattr(recurrent, "dynamic", watched)
    # A state near the middle of two steps is quantised otherwise in float32: another is drawn.
    for seed in range(40):
        near.clear()
        case = lstm(np.random.default_rng(seed), variant)
        Evaluator(case.model()).run(case.feed)
        if not any(near):
            break
    assert not any(near)

    assert_agrees(case, tolerance=3e-5)
