"""Attention and rotary embeddings of com.microsoft against ONNX Runtime's kernels and by ONNX's
definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tests.oracle.onenode import Case, Drawn, agree, case, change, model, oracle, whole
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAWN = Drawn(4)
f = DRAWN.floats
B, S, N, H = 2, 3, 2, 4
LOWEST = float(np.finfo(np.float32).min)

MASKS: dict[str, Array] = {
    "lengths": whole(2, 3),
    "ends and starts": whole(2, 3, 0, 1),
    "lengths and more": whole(2, 3, 0, 1, 2, 3, 0, 1),
    "of keys": whole([1, 1, 0], [1, 0, 1]),
    "of keys on the left": whole([0, 1, 1], [0, 1, 1]),
    "of other numbers": whole([2, -1, 1], [1, 5, 0]),
    "one for each": whole([1], [0]),
    "one for all": whole([0]),
    "of pairs": DRAWN.below(2, B, S, S),
}
HIDES_ALL = whole([0, 0, 0], [1, 0, 1])


def attention() -> list[Case]:
    x, w, b = f(B, S, 6), f(6, 3 * N * H) / 2, f(3 * N * H)
    past = f(2, B, N, 5, H)
    heads: dict[str, Any] = {"num_heads": N}

    def one(name: str, *inputs: Array | None, outputs: int = 1, **how: Any) -> Case:
        return case("Attention", *inputs, outputs=outputs, name=name, **{**heads, **how})

    return [
        one("no bias", x, w, outputs=2),
        *(one("", x, w, b, unidirectional=u, outputs=2) for u in (0, 1)),
        *(
            one(name, x, w, b, mask, unidirectional=u)
            for name, mask in MASKS.items()
            for u in (0, 1)
        ),
        *(one("", x, w, b, MASKS["of keys"], mask_filter_value=v) for v in (-2.0, LOWEST)),
        one("left", x, w, b, MASKS["of keys on the left"], unidirectional=1,
            mask_filter_value=LOWEST),
        one("", x, w, b, scale=0.3),
        *(
            one(f"bias {shape}", x, w, b, None, None, f(*shape, S, S))
            for shape in ((1, 1), (1, N), (B, 1), (B, N))
        ),
        one("past", x, w, b, None, past, unidirectional=1, outputs=2),
        one("past of none", x, w, b, None, past[:, :, :, :0], unidirectional=1, outputs=2),
        one("past of one token", x[:, :1], w, b, None, past, unidirectional=1, outputs=2),
        one("past and mask", x, w, b, DRAWN.below(2, B, 8), past, unidirectional=1, outputs=2),
        one("past and pairs", x, w, b, DRAWN.below(2, B, S, 8), past, outputs=2),
        one("past and lengths", x, w, b, whole(7, 4), past, outputs=2),
        one("sizes", x, f(6, 22) / 2, f(22), qkv_hidden_sizes=[8, 8, 6]),
        one("one of each", x[:1, :1], w, b, num_heads=1, outputs=2),
    ]  # fmt: skip


def multihead() -> list[Case]:
    q, k, v = f(B, S, N * H), f(B, 5, N * H), f(B, 5, N * H + 2)
    same_k, same_v = f(B, S, N * H), f(B, S, N * H)
    past = f(B, N, 4, H), f(B, N, 4, H)

    def one(name: str, *inputs: Array | None, outputs: int = 1, **how: Any) -> Case:
        heads: dict[str, Any] = {"num_heads": N, **how}
        return case("MultiHeadAttention", *inputs, outputs=outputs, name=name, **heads)

    return [
        one("cross", q, k, v, outputs=3),
        one("cross", q, k, v, unidirectional=1),
        one("more queries than keys", k, q, same_v, unidirectional=1),
        one("bias", q, k, v, f(26), outputs=3),
        one("one token, bias", q[:1, :1], k[:1, :1], v[:1, :1], f(26), outputs=3),
        *(
            one(name, q, same_k, same_v, None, mask, unidirectional=u)
            for name, mask in MASKS.items()
            for u in (0, 1)
            if mask.ndim < 3 and mask.shape[-1] != 1 and name != "ends and starts"
        ),
        one("left", q, same_k, same_v, None, MASKS["of keys on the left"], unidirectional=1,
            mask_filter_value=LOWEST),
        one("", q, same_k, same_v, scale=0.3),
        *(
            one(f"bias {shape}", q, k, v, None, None, f(*shape, S, 5))
            for shape in ((1, 1), (1, N), (B, 1), (B, N))
        ),
        *(
            one("past", q, same_k, same_v, None, None, None, *past, unidirectional=u, outputs=3)
            for u in (0, 1)
        ),
        one("past, mask and bias", q, same_k, same_v, f(24), DRAWN.below(2, B, 7), f(1, 1, S, 7),
            *past, outputs=3),
        one("past of none", q, same_k, same_v, None, None, None, f(B, N, 0, H), f(B, N, 0, H),
            unidirectional=1, outputs=3),
        one("buffer", q[:, :1], same_k[:, :1], same_v[:, :1], None, None, None, *past, whole(2),
            outputs=3),
        one("encoder's", q, f(B, N, 5, H), f(B, N, 5, H)),
        one("encoder's, bias", q, f(B, N, 5, H), f(B, N, 5, H), f(24)),
        one("one head", q, same_k, same_v, num_heads=1),
    ]  # fmt: skip


def decoders() -> list[Case]:
    q, k, v = (f(B, 1, N * H) for _ in range(3))
    past = f(B, N, 6, H), f(B, N, 6, H)
    shared: dict[str, Any] = {"num_heads": N, "past_present_share_buffer": 1}

    def one(name: str, *inputs: Array | None, outputs: int = 3, **how: Any) -> Case:
        return case("DecoderMaskedMultiHeadAttention", *inputs, outputs=outputs, name=name, **how)

    nothing = None, None
    at = whole(3)
    return [
        one("", q, k, v, *nothing, *past, at, **shared),
        one("first", q, k, v, *nothing, *past, whole(0), **shared),
        one("bias", q, k, v, *nothing, *past, at, *nothing, f(24), **shared),
        one("mask", q, k, v, whole([1, 0, 1, 1], [1, 1, 1, 1]), None, *past, at, **shared),
        one("attention bias", q, k, v, None, f(1, N, 1, 4), *past, at, scale=0.3, **shared),
        one("encoder's", q, f(B, N, 5, H), f(B, N, 5, H), outputs=1, num_heads=N),
        one("encoder's, mask", q, f(B, N, 5, H), f(B, N, 5, H), DRAWN.below(2, B, 5), outputs=1,
            num_heads=N),
    ]  # fmt: skip


def rotary() -> list[Case]:
    x, cos, sin = f(2, 3, 16), f(9, 4), f(9, 4)
    places = np.array([[0, 1, 2], [3, 7, 5]])
    part: dict[str, Any] = {"rotary_embedding_dim": 8, "num_heads": 2}

    def one(name: str, *inputs: Array, **how: Any) -> Case:
        return case("RotaryEmbedding", *inputs, name=name, **how)

    return [
        *(one("", x, places, cos, sin, interleaved=i) for i in (0, 1)),
        *(one("first position", x, np.array([2]), cos, sin, interleaved=i) for i in (0, 1)),
        *(one("by heads", f(2, 2, 3, 8), places, cos, sin, interleaved=i) for i in (0, 1)),
        *(one("a part", f(2, 3, 32), places, cos, sin, interleaved=i, **part) for i in (0, 1)),
        one("a part by heads", f(2, 2, 3, 16), places, cos, sin, **part),
        one("heads", f(2, 3, 32), places, f(9, 8), f(9, 8), num_heads=2),
        one("packed", f(1, 12, 16), np.arange(12)[None] % 9, cos, sin, is_packed_batching=1),
        one("one token", x[:1, :1], np.array([[4]]), cos, sin),
    ]


CASES = [*attention(), *multihead(), *decoders(), *rotary()]


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_attention_agrees_with_onnxruntime(fused: Case) -> None:
    agree(fused)


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_it_is_not_rounded_to_float32_on_its_way(fused: Case) -> None:
    assert 0 < change(fused) < 1e-8


@pytest.mark.parametrize("causal", [0, 1])
def test_a_query_whose_keys_are_all_hidden_sees_them_as_if_none_were(causal: int) -> None:
    """float32 has scores near -10000 with three digits behind the point, hence 1e-3 here."""
    q, k, v = f(B, S, N * H), f(B, S, N * H), f(B, S, N * H)
    given = q, k, v, None, HIDES_ALL
    agree(case("MultiHeadAttention", *given, num_heads=N, unidirectional=causal), 1e-3)


def test_a_bias_of_infinity_hides_and_hides_all_as_nan() -> None:
    bias = np.zeros((1, 1, S, S), np.float32)
    bias[..., 1] = bias[0, 0, 2] = -np.inf
    q, k, v = f(B, S, N * H), f(B, S, N * H), f(B, S, N * H)
    agree(case("MultiHeadAttention", q, k, v, None, None, bias, num_heads=N))


def test_packed_inputs_are_the_same_as_separate_ones() -> None:
    """ONNX Runtime's CPU has no kernel for packed ones."""
    q, k, v, bias = f(B, S, N, H), f(B, S, N, H), f(B, S, N, H), f(3 * N * H)
    together = np.stack([q, k, v], axis=3)
    flat = [each.reshape(B, S, N * H) for each in (q, k, v)]
    for packed, separate in (
        ((together, None, None, bias), (*flat, bias)),
        ((flat[0], together[:, :, :, 1:]), flat),
    ):
        fused, plain = (
            case("MultiHeadAttention", *inputs, num_heads=N) for inputs in (packed, separate)
        )
        mine, theirs = (oracle(each.model(), each.feed)[0] for each in (fused, plain))
        np.testing.assert_array_equal(mine, theirs)


def exact(fused: Case) -> dict[str, Array]:
    return {
        name: array.astype(np.float64) if array.dtype == np.float32 else array
        for name, array in fused.feed.items()
    }


@pytest.mark.parametrize("causal", [0, 1])
def test_multi_head_attention_is_onnx_s_attention(causal: int) -> None:
    """That of opset 23, as many keys as queries: with more the two hide others."""
    q, k, v = f(B, S, N * H), f(B, S, N * H), f(B, S, N * H)
    fused = case("MultiHeadAttention", q, k, v, num_heads=N, unidirectional=causal)
    node = helper.make_node(
        *("Attention", ["i0", "i1", "i2"], ["o0"]),
        q_num_heads=N,
        kv_num_heads=N,
        is_causal=causal,
    )
    feed = exact(fused)
    theirs: Any = ReferenceEvaluator(model([node], feed, ["o0"], opset=23)).run(None, feed)
    np.testing.assert_allclose(oracle(fused.model(), feed)[0], theirs[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding_is_that_of_onnx(interleaved: int) -> None:
    places = np.array([[0, 1, 2], [3, 7, 5]])
    fused = case(
        *("RotaryEmbedding", f(2, 2, 3, 8), places, f(9, 4), f(9, 4)), interleaved=interleaved
    )
    node = helper.make_node(
        *("RotaryEmbedding", ["i0", "i2", "i3", "i1"], ["o0"]), interleaved=interleaved
    )
    feed = exact(fused)
    theirs: Any = ReferenceEvaluator(model([node], feed, ["o0"], opset=23)).run(None, feed)
    np.testing.assert_allclose(oracle(fused.model(), feed)[0], theirs[0], rtol=1e-14, atol=1e-15)


X, W = f(1, 2, 4), f(4, 12)
REFUSED = [
    (case("Attention", X, W, num_heads=1, do_rotary=1), "do_rotary"),
    (
        case("Attention", X, W, num_heads=1, past_present_share_buffer=1),
        "past_present_share_buffer",
    ),
    (case("Attention", X, W, None, whole([[[1]]]), num_heads=1), "a mask of four dimensions"),
    (
        case("Attention", X, f(4, 10), num_heads=1, outputs=2, qkv_hidden_sizes=[4, 4, 2]),
        "a present of heads of two sizes",
    ),
    (
        case("MultiHeadAttention", X, X, X, *[None] * 6, whole([[0]]), num_heads=1),
        "cache_indirection",
    ),
    (case("RotaryEmbedding", X, np.array([0]), f(3, 2), f(3, 2), scale=2.0), "scale"),
    (
        case(
            *("RotaryEmbedding", f(1, 2, 8), np.array([0]), f(3, 4), f(3, 4)),
            rotary_embedding_dim=4, num_heads=1,
        ),
        "caches that are wider than what is turned",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fused", "what"), REFUSED, ids=[what for _, what in REFUSED])
def test_what_no_kernel_of_the_cpu_knows_is_refused_by_name(fused: Case, what: str) -> None:
    with pytest.raises(Unsupported, match=f"^{fused.operator}: {what}$"):
        oracle(fused.model(), fused.feed)
