"""Normalizations of com.microsoft against ONNX Runtime's kernels and by ONNX's definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tests.oracle.onenode import Case, Drawn, agree, case, change, model, oracle, whole
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAWN = Drawn(2)
f = DRAWN.floats
LINE = [f(8) for _ in range(3)]


def skips() -> list[Case]:
    """Makes the fused additions with every shape of the skip, bias and outputs."""
    cases = []
    for operator in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
        # The simplified one has no beta.
        rest: list[list[Array | None]] = [[], [LINE[1]], [None, LINE[2]], [LINE[1], LINE[2]]]
        if operator == "SkipSimplifiedLayerNormalization":
            rest = [[], [LINE[1]]]
        for more in rest:
            inputs = f(2, 3, 8), f(2, 3, 8), LINE[0], *more
            cases.append(case(operator, *inputs, outputs=4, name=f"{len(more)} more"))
        cases += [
            case(operator, f(2, 3, 8), skip, LINE[0], name=f"skip {skip.shape}")
            for skip in (f(1, 3, 8), f(3, 8))
        ]
        cases += [
            case(operator, f(1, 1, 8), f(1, 1, 8), LINE[0], name="one token", epsilon=1e-3),
            case(operator, f(3, 8), f(3, 8), LINE[0], outputs=[True, False, False, True]),
        ]
    return cases


def simplified() -> list[Case]:
    how: dict[str, Any] = {"domain": "", "outputs": 2}
    return [
        case("SimplifiedLayerNormalization", f(2, 3, 8), LINE[0], **how),
        case("SimplifiedLayerNormalization", f(2, 3, 8), LINE[0], epsilon=1e-2, axis=-1, **how),
        case("SimplifiedLayerNormalization", f(2, 3, 8), f(3, 8), axis=1, **how),
        case("SimplifiedLayerNormalization", f(1, 1), f(1), stash_type=1, **how),
    ]


def embeddings() -> list[Case]:
    ids, segments = DRAWN.below(7, 2, 3), DRAWN.below(2, 2, 3)
    words, places, kinds = f(7, 8), f(5, 8), f(2, 8)
    mask = whole([1, 0, 1], [0, 0, 1])
    given: list[tuple[str, tuple[Array | None, ...]]] = [
        ("segments", (ids, segments, words, places, kinds, *LINE[:2])),
        ("no segments", (ids, None, words, places, None, *LINE[:2])),
        ("mask", (ids, segments, words, places, kinds, *LINE[:2], mask)),
        ("ones alone count", (ids, segments, words, places, kinds, *LINE[:2], 2 * mask)),
        ("positions", (ids, segments, words, places, kinds, *LINE[:2], mask, DRAWN.below(5, 2, 3))),
        ("one row", (ids, None, words, places, None, *LINE[:2], None, DRAWN.below(5, 1, 3))),
        ("one token", (ids[:1, :1], None, words, places, None, *LINE[:2])),
    ]
    return [
        case("EmbedLayerNormalization", *inputs, outputs=3, name=name, epsilon=1e-5)
        for name, inputs in given
    ]


CASES = [*skips(), *simplified(), *embeddings()]


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_a_normalization_agrees_with_onnxruntime(fused: Case) -> None:
    agree(fused)


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_it_is_not_rounded_to_float32_on_its_way(fused: Case) -> None:
    assert 0 < change(fused) < 1e-8


def exact(*arrays: Array) -> dict[str, Array]:
    return {f"i{number}": array.astype(np.float64) for number, array in enumerate(arrays)}


def test_skip_layer_normalization_is_layer_normalization_of_the_sum() -> None:
    x, skip, gamma, beta = f(2, 3, 8), f(2, 3, 8), *LINE[:2]
    fused = case("SkipLayerNormalization", x, skip, gamma, beta, epsilon=1e-5)
    (mine,) = oracle(fused.model(), exact(x, skip, gamma, beta))
    feed = exact(x, gamma, beta)
    feed["i0"] = feed["i0"] + skip
    standard = case("LayerNormalization", x, gamma, beta, domain="", epsilon=1e-5)
    (theirs,) = oracle(standard.model(), feed)
    np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)


def test_simplified_layer_normalization_is_onnx_s_rms_normalization() -> None:
    x, scale = f(2, 3, 8), LINE[0]
    fused = case("SimplifiedLayerNormalization", x, scale, domain="", epsilon=1e-5)
    (mine,) = oracle(fused.model(), exact(x, scale))
    node = helper.make_node("RMSNormalization", ["i0", "i1"], ["o0"], epsilon=1e-5)
    standard = model([node], exact(x, scale), ["o0"], opset=23)  # the first that has it
    theirs: Any = ReferenceEvaluator(standard).run(None, exact(x, scale))
    np.testing.assert_allclose(mine, theirs[0], rtol=1e-12)
