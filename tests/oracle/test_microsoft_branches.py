"""Operators of com.microsoft of late model builders (hyper-connections, gates, routers, positions,
hashes of tokens), against ONNX Runtime's kernels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests.oracle.onenode import Case, Drawn, agree, case, change, oracle, whole
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAWN = Drawn(14)
f = DRAWN.floats
ENDS = whole(0, 3, 4, 9)


def connected() -> list[Case]:
    apart, flat, one = f(2, 3, 4, 6), f(2, 3, 24), f(2, 3, 6)
    gates = f(2, 3, 4), f(2, 3, 4, 1), f(2, 3, 4, 6)
    shapes: list[tuple[Array, dict[str, Any]]] = [
        (apart, {"epsilon": 0.1}),
        (flat, {"num_branches": 4}),
    ]
    cases = [
        case("BranchwiseRMSNorm", x, scale, **how)
        for x, how in shapes
        for scale in (None, f(24), f(4, 6), f(6))
    ]
    for x, branches in ((apart, 0), (flat, 4)):
        for gate in gates:
            cases += [
                case("HyperConnectionPreMix", x, gate, num_branches=branches, reduction_scale=0.3),
                case("HyperConnectionPostMix", x, one, gate, num_branches=branches),
                case("HyperConnectionPostMix", x, one, gate, f(2, 3, 4, 4), num_branches=branches),
            ]
    engram = f(2, 3, 4, 6), f(2, 3, 4, 6), one, f(4, 6), f(4, 6)
    return [
        *cases,
        case("HyperConnectionPreMix", flat, f(2, 3, 24), num_branches=4),
        case("GatedAdd", f(2, 3, 5), f(2, 3, 5), f(2, 3, 1)),
        case("EngramGate", *engram, epsilon=0.1),
        case("EngramGate", *engram, f(4, 6), outputs=2),
    ]


def gated() -> list[Case]:
    chosen = ((2, 1, 1, 2), (3, 4, 2, 2), (4, 4, 3, 1), (2, 2, 1, 6))
    return [
        *(
            case("GatedRMSNorm", f(2, 3, 12), f(4), f(2, 3, 12), activation=name, epsilon=epsilon)
            for name in ("silu", "swish", "sigmoid")
            for epsilon in (1e-5, 0.1)
        ),
        case("ScaledSiLU", f(3, 4), alpha=1.7),
        case("ScaledSiLU", f(3, 4), np.array(0.4, np.float32)),
        *(
            case(
                "MoEGroupRouter", f(2, 3, 8), f(8), top_k=k, n_group=groups, topk_group=best,
                group_topk=of_group, router_sentinel=-7.0,
            )
            for k, groups, best, of_group in chosen
        ),
        case("MoEGroupRouter", f(5, 8), f(8), outputs=(False, True, True), top_k=2),
    ]  # fmt: skip


def turned() -> list[Case]:
    at, caches = DRAWN.below(9, 3, 2, 5, dtype=np.int64), (f(9, 8), f(9, 8))
    parts: dict[str, Any] = {"num_heads": 3, "rotary_embedding_dim": 16}
    given: list[tuple[Array, dict[str, Any]]] = [
        (f(2, 5, 48), {"num_heads": 3}),
        (f(2, 3, 5, 16), {}),
        (f(2, 5, 60), parts),
    ]
    sections = ((0, [3, 3, 2]), (0, [8, 0, 0]), (1, [4, 2, 2]), (1, [2, 3, 3]), (1, [3, 3, 2]))
    return [
        case(
            "MRotaryEmbedding", x, at, *caches, mrope_section=section, mrope_layout=layout,
            interleaved=interleaved, **how,
        )
        for layout, section in sections
        for interleaved in (0, 1)
        for x, how in given
    ]  # fmt: skip


def hashed() -> list[Case]:
    cases = []
    how: dict[str, Any] = {"max_ngram_size": 3, "n_head_per_ngram": 2, "pad_id": 5}
    for kind, large in ((np.int64, 2**62), (np.int32, 2**31 - 1)):
        ids, flat = DRAWN.below(6, 2, 9, dtype=kind), DRAWN.below(6, 9, dtype=kind)
        table = np.array([7, 11, 13, 17], kind)
        offsets, end = DRAWN.below(100, 4, dtype=kind), np.array(2, kind)
        # Products of such factors go around; some are negative.
        factors = DRAWN.below(large, 3, dtype=kind) * np.array([1, -1, 1], kind)
        segments = np.sort(DRAWN.below(4, 2, 9), axis=1)
        for past, pasts in ((None, None), (ids[:, :2], DRAWN.below(6, 3, 2, dtype=kind))):
            first = ids, factors, table, past
            packed = flat, factors, table, ENDS, pasts
            cases += [
                case("NGramHashMapping", *first, *more, outputs=2, reset_on_eos=reset, **how)
                for more, reset in (
                    ((), 0),
                    ((), 1),
                    ((offsets, end), 0),
                    ((None, end), 1),
                    ((None, None, segments), 0),
                    ((offsets, end, segments), 1),
                )
            ]
            cases += [
                case("VarlenNGramHashMapping", *packed, outputs=2, **how),
                case("VarlenNGramHashMapping", *packed, offsets, end, outputs=2, reset_on_eos=1,
                     **how),
                case("VarlenNGramHashMapping", *packed, None, None, segments[0], outputs=3, **how),
                case("VarlenNGramHashMapping", *packed, None, end, segments[0],
                     DRAWN.below(2, 3, 2), outputs=3, **how),
            ]  # fmt: skip
    numbers: list[Array] = [
        whole(1, -2, 70000),
        np.array([[1, -2, 2**40]]),
        np.array([3, 2**32 - 1], np.uint32),
        np.array([3, 2**63], np.uint64),
    ]
    murmur: list[dict[str, Any]] = [{}, {"positive": 0}, {"seed": 7}]
    cases += [
        case("MurmurHash3", each, name=each.dtype.name, **more)
        for each, more in itertools.product(numbers, murmur)
    ]
    words = DRAWN.below(4, 2, 9, dtype=np.int64)
    cases += [case("NGramRepeatBlock", words, f(2, 4), ngram_size=size) for size in (1, 2, 3, 12)]
    return cases


def looked_up() -> list[Case]:
    """Makes sources of three different tokens, in which n-grams stand never, once and several
    times."""
    cases = []
    for number in range(40):
        size = 1 + number % 8
        place = int(DRAWN.below(size + 1))
        source, current = (DRAWN.below(3, n, dtype=np.int64) for n in (size, 1 + number % 5))
        predicted = DRAWN.below(3, size + 1 - place, dtype=np.int64) if number % 4 else None
        least = 1 + number % 2
        cases.append(
            case(
                "BifurcationDetector", source, current, np.array([place]), predicted, outputs=2,
                min_ngram_size=least, max_ngram_size=least + number % 3, name=str(number),
            )
        )  # fmt: skip
    return cases


FLOATS = [*connected(), *gated(), *turned()]
CASES = [*FLOATS, *hashed(), *looked_up()]


@pytest.mark.parametrize("node", CASES, ids=str)
def test_an_operator_agrees_with_onnxruntime(node: Case) -> None:
    agree(node)


@pytest.mark.parametrize("node", FLOATS, ids=str)
def test_it_is_not_rounded_to_float32_on_its_way(node: Case) -> None:
    assert 0 < change(node) < 1e-8


REFUSED = [
    (case("GatedAdd", f(2, 3), f(2, 3), f(2, 4), f(4, 1)), "gate_weight"),
    (case("GatedRMSNorm", f(2, 4), f(4), f(2, 4), activation="relu"), "activation relu"),
    (case("MurmurHash3", f(3)), "the bits of what is float64 here"),
    (
        case("VarlenNGramHashMapping", *[whole(1, 2)] * 4, *[None] * 5, whole(1), max_ngram_size=2,
             n_head_per_ngram=1, pad_id=0, state_update_capacity=1),
        "state_update_capacity",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("node", "what"), REFUSED, ids=[what for _, what in REFUSED])
def test_what_no_kernel_of_the_cpu_knows_is_refused_by_name(node: Case, what: str) -> None:
    with pytest.raises(Unsupported, match=f"^{node.operator}: {what}$"):
        oracle(node.model(), node.feed)
