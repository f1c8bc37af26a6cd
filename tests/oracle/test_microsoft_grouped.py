"""GroupQueryAttention and SparseAttention against ONNX Runtime's kernels: prompts, single tokens,
chunks and caches."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
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


LAYOUTS = [
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]],
    [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]],
]
"""Which of 4 blocks of keys each block of queries sees."""
BLOCK, ROOM, SIZE = 16, 64, 16


def compressed(layouts: Any) -> tuple[Array, Array]:
    """Gives the rows and the columns of layouts; the columns are padded by -1."""
    columns = [np.nonzero(layout)[1] for layout in layouts]
    most = max(map(len, columns))
    padded = [np.pad(each, (0, most - len(each)), constant_values=-1) for each in columns]
    rows = [np.cumsum([0, *np.sum(layout, axis=1)]) for layout in layouts]
    return np.array(rows, np.int32), np.array(padded, np.int32)


def sparse(tokens: int, most: int, lengths: tuple[int, int], layouts: Any, **how: Any) -> Case:
    packed = how.pop("packed", 0)
    q, k, v = f(B, tokens, N * SIZE), f(B, tokens, G * SIZE), f(B, tokens, G * SIZE)
    together = np.concatenate([q, k, v], axis=2)
    caches = f(B, G, ROOM, SIZE), f(B, G, ROOM, SIZE)
    turns = (COS[:, : SIZE // 2], SIN[:, : SIZE // 2]) if how.get("do_rotary") else ()
    return case(
        "SparseAttention",
        *((together, None, None) if packed else (q, k, v)),
        *caches,
        *compressed(layouts),
        whole(most),
        whole(*lengths),
        *(np.resize(each, (ROOM, SIZE // 2)) for each in turns),
        outputs=3,
        num_heads=N,
        kv_num_heads=G,
        sparse_block_size=BLOCK,
        name=f"{tokens} of {most}",
        **how,
    )


SPARSE = [
    sparse(tokens, most, (most, most), layouts, **how)
    for tokens, most in ((40, 40), (64, 64), (1, 50), (1, 20))
    for layouts, how in (
        (LAYOUTS, {}),
        (LAYOUTS, {"packed": 1}),
        (LAYOUTS[:1], {"scale": 0.3}),
        (LAYOUTS, {"do_rotary": 1}),
        (LAYOUTS, {"do_rotary": 1, "rotary_interleaved": 1}),
    )
]


def shared_caches(fused: Case) -> list[Array]:
    """Runs ONNX Runtime's kernel, which asks that a cache and the next one are the same memory."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        fused.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {
        name: onnxruntime.OrtValue.ortvalue_from_numpy(array.copy())
        for name, array in fused.feed.items()
    }
    binding = session.io_binding()
    for name, value in given.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_output("o0", "cpu")
    binding.bind_ortvalue_output("o1", given["i3"])
    binding.bind_ortvalue_output("o2", given["i4"])
    session.run_with_iobinding(binding)
    outputs: list[Array] = binding.copy_outputs_to_cpu()
    return outputs


@pytest.mark.parametrize("fused", SPARSE, ids=str)
def test_sparse_attention_agrees_with_onnxruntime(fused: Case) -> None:
    agrees(oracle(fused.model(), fused.feed), shared_caches(fused))


@pytest.mark.parametrize("fused", SPARSE, ids=str)
def test_sparse_attention_is_not_rounded_to_float32_on_its_way(fused: Case) -> None:
    assert 0 < change(fused) < 1e-8


@pytest.mark.parametrize(
    ("tokens", "most", "lengths"), [(40, 40, (40, 33)), (1, 50, (50, 35))], ids=["prompt", "token"]
)
def test_of_sequences_of_several_lengths_all_blocks_are_grouped_attention(
    tokens: int, most: int, lengths: tuple[int, int]
) -> None:
    """There ONNX Runtime's kernel gives numbers of 1e20, of memory that it did not write."""
    fused = sparse(tokens, most, lengths, np.tril(np.ones((1, 4, 4), int)))
    given = [fused.feed[f"i{k}"] for k in range(5)]
    dense = one("", *given, whole(*lengths) - 1, np.array(most, np.int32))
    mine, right = (oracle(each.model(), each.feed)[0] for each in (fused, dense))
    for own, theirs, length in zip(mine, right, lengths, strict=True):
        np.testing.assert_allclose(own[:length], theirs[:length], rtol=1e-12, atol=1e-14)
