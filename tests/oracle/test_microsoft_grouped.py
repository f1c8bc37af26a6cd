"""GroupQueryAttention against ONNX Runtime's kernel: prompts, single tokens, chunks and caches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tests.oracle.onenode import Case, Drawn, agree, agrees, case, change, model, oracle, ort, whole
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAWN = Drawn(5)
f = DRAWN.floats
B, S, N, G, H = 2, 4, 4, 2, 32
Inputs = tuple[Array | None, ...]

Q, K, V = f(B, S, N * H) / 2, f(B, S, G * H) / 2, f(B, S, G * H)
PAST = f(B, G, 6, H), f(B, G, 6, H)
COS, SIN = (turn(f(20, H // 2)) for turn in (np.cos, np.sin))
TOKEN = Q[:, :1], K[:, :1], V[:, :1]
KINDS: dict[str, Inputs] = {
    "prompt": (Q, K, V, None, None, whole(3, 3), np.array(4, np.int32)),
    "token": (*TOKEN, *PAST, whole(6, 6), np.array(7, np.int32)),
    "chunk": (Q[:1], K[:1], V[:1], *(p[:1] for p in PAST), whole(9), np.array(10, np.int32)),
}
"""A kind of call → its first seven inputs. Only a prompt and single tokens have a batch."""


def one(name: str, *inputs: Array | None, outputs: int = 3, **how: Any) -> Case:
    heads: dict[str, Any] = {"num_heads": N, "kv_num_heads": G, **how}
    return case("GroupQueryAttention", *inputs, outputs=outputs, name=name, **heads)


def variants(kind: str) -> list[Case]:
    """Makes every attribute and optional input of one kind of call."""
    inputs = KINDS[kind]
    assert inputs[0] is not None
    assert inputs[6] is not None
    batch, tokens = inputs[0].shape[:2]
    total = int(inputs[6])
    attributes: list[dict[str, Any]] = [
        {},
        {"scale": 0.7},
        {"softcap": 0.5},
        {"local_window_size": 2},
        {"local_window_size": 2, "softcap": 0.5},
        {"local_window_size": 50},
        {"smooth_softmax": 1},
        {"causal": 0},
    ]
    places = DRAWN.below(9, batch, tokens, dtype=np.int64)
    nothing = None, None, None
    biased = [(*inputs, *nothing, f(*shape, tokens, total)) for shape in ((1, 1), (batch, N))]
    sink = *inputs, *nothing, None, f(N)
    return [
        *(one(kind, *inputs, **how) for how in attributes),
        *(one(kind, *inputs, COS, SIN, do_rotary=1, rotary_interleaved=i) for i in (0, 1)),
        one(f"{kind}, half turned", *inputs, COS[:, : H // 4], SIN[:, : H // 4], do_rotary=1),
        one(f"{kind}, positions", *inputs, COS, SIN, places, do_rotary=1),
        *(
            one(f"{kind}, bias", *each, **how)
            for each in biased
            for how in ({}, {"softcap": 0.5}, {"local_window_size": 3})
        ),
        *(one(f"{kind}, sink", *sink, smooth_softmax=smooth) for smooth in (-1, 1)),
        *(
            one(kind, *inputs, outputs=4, qk_output=which, **how)
            for which in (1, 2)
            for how in ({}, {"softcap": 0.5}, {"smooth_softmax": 1}, {"local_window_size": 2})
        ),
        one(f"{kind}, bias", *biased[0], outputs=4, qk_output=1, softcap=0.4),
    ]


def caches() -> list[Case]:
    """Makes what a batch of sequences of several lengths and a cache can look like."""
    four, five, seven = (np.array(n, np.int32) for n in (4, 5, 7))
    turned: dict[str, Any] = {"do_rotary": 1}
    empty = tuple(past[:, :, :0] for past in PAST)
    packed = f(B, S, (N + 2 * G) * H)
    return [
        one("two lengths", *TOKEN, *PAST, whole(6, 3), seven),
        one("two lengths", *TOKEN, *PAST, whole(6, 3), seven, COS, SIN, **turned),
        one("room in the cache", *TOKEN, *PAST, whole(4, 3), five),
        one("prompt into a cache", Q, K, V, *PAST, whole(3, 3), four),
        one("prompt of two lengths", Q, K, V, None, None, whole(3, 1), four),
        one("prompt of two lengths", Q, K, V, None, None, whole(3, 1), four, COS, SIN, **turned),
        one("prompt, total of one dimension", Q, K, V, None, None, whole([3], [3]), whole(4)),
        one("packed", packed, None, None, None, None, whole(3, 3), four),
        one("packed", packed, None, None, None, None, whole(3, 3), four, COS, SIN, **turned),
        one("empty past", Q, K, V, *empty, whole(3, 3), four),
        one("first token", *TOKEN, *empty, whole(0, 0), np.array(1, np.int32)),
        one("no cache", Q, K, V, None, None, whole(3, 3), four, outputs=1),
        one("one head", f(1, 3, H), f(1, 3, H), f(1, 3, H), None, None, whole(2),
            np.array(3, np.int32), num_heads=1, kv_num_heads=1),
    ]  # fmt: skip


CASES = [*(each for kind in KINDS for each in variants(kind)), *caches()]


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_it_agrees_with_onnxruntime(fused: Case) -> None:
    agree(fused)


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_it_is_not_rounded_to_float32_on_its_way(fused: Case) -> None:
    assert 0 < change(fused) < 1e-8


@pytest.mark.parametrize("turned", [0, 1])
def test_of_a_padded_chunk_the_valid_tokens_agree_with_onnxruntime(turned: int) -> None:
    """What the rows of padding hold is left open, and the kernel leaves there what was there."""
    caches = (COS, SIN) if turned else (None, None)
    fused = one(
        *("chunks", Q, K, V, *PAST, whole(7, 3), np.array(8, np.int32), *caches, *[None] * 7),
        *[whole(4, 2)],
        do_rotary=turned,
    )
    made = fused.model()
    (mine, *cache), (theirs, *rest) = oracle(made, fused.feed), ort(made, fused.feed)
    agrees([mine[0], mine[1, :2], *cache], [theirs[0], theirs[1, :2], *rest])


@pytest.mark.parametrize("causal", [0, 1])
def test_a_prompt_is_onnx_s_attention(causal: int) -> None:
    fused = one("", *KINDS["prompt"], causal=causal, outputs=1, softcap=0.5)
    node = helper.make_node(
        *("Attention", ["i0", "i1", "i2"], ["o0"]),
        q_num_heads=N,
        kv_num_heads=G,
        is_causal=causal,
        softcap=0.5,
    )
    feed = {name: array.astype(np.float64) for name, array in list(fused.feed.items())[:3]}
    theirs: Any = ReferenceEvaluator(model([node], feed, ["o0"], opset=23)).run(None, feed)
    (mine,) = oracle(fused.model(), {**fused.feed, **feed})
    np.testing.assert_allclose(mine, theirs[0], rtol=1e-12, atol=1e-15)


REFUSED: list[tuple[Case, str]] = [
    (one("", *KINDS["prompt"], *[None] * 7, f(H), f(H)), "q_norm_weight"),
    (one("", *KINDS["prompt"], k_quant_type="PER_TENSOR"), "k_quant_type"),
    (one("", *KINDS["token"], sliding_window_cache=1, local_window_size=6), "sliding_window_cache"),
]


@pytest.mark.parametrize(("fused", "what"), REFUSED, ids=[what for _, what in REFUSED])
def test_what_is_not_computed_is_refused_by_name(fused: Case, what: str) -> None:
    with pytest.raises(Unsupported, match=f"^GroupQueryAttention: {what}$"):
        oracle(fused.model(), fused.feed)
