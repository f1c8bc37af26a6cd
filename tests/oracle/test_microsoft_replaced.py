"""Operators of com.microsoft that ONNX Runtime's optimizer for transformers writes and its CPU has
no kernels for, against the nodes that they replace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.oracle.onenode import Case, Drawn, agrees, case, change, model, oracle, ort, whole
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAWN = Drawn(15)
f = DRAWN.floats
Expanded = tuple[Case, Sequence[onnx.NodeProto]]
FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]
"""Permutations that bring channels from the last dimension to the second, and back."""
MICROSOFT = "com.microsoft"


def node(operator: str, inputs: str, output: str, domain: str = "", **how: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), output.split(), domain=domain, **how)


def normalized(given: str, groups: int, silu: int, last: int, epsilon: float) -> list[Any]:
    """Makes the nodes of a group normalization with the scale i1 and the shift i2."""
    before = node("Transpose", given, "x", perm=FIRST) if last else node("Identity", given, "x")
    return [
        before,
        node("GroupNormalization", "x i1 i2", "n", num_groups=groups, epsilon=epsilon),
        node("Sigmoid", "n", "share"),
        node("Mul", "n share", "m") if silu else node("Identity", "n", "m"),
        node("Transpose", "m", "o0", perm=LAST) if last else node("Identity", "m", "o0"),
    ]


def groups() -> list[Expanded]:
    cases: list[Expanded] = []
    for last, x in ((1, f(2, 3, 5, 8)), (0, f(2, 8, 3, 5))):
        for count, silu, epsilon in ((4, 0, 1e-5), (2, 1, 0.1), (8, 1, 1e-5), (1, 0, 1e-5)):
            how: dict[str, Any] = {
                "groups": count, "activation": silu, "channels_last": last, "epsilon": epsilon
            }  # fmt: skip
            fused = case("GroupNorm", x, f(8), f(8), **how)
            cases.append((fused, normalized("i0", count, silu, last, epsilon)))
            skips = [x + 1, f(2, 8), f(2, 1, 1, 8) if last else f(2, 8, 1, 1)]
            for skip in skips:
                # What lies along the channels gets a dimension for each place.
                shape = [2, 1, 1, 8] if last else [2, 8, 1, 1]
                laid = skip.reshape(shape) if skip.ndim == 2 else skip
                bias = f(8)
                wide = helper.make_node(
                    "Constant", [], ["b"],
                    value=onnx.numpy_helper.from_array(bias.reshape([1, *shape[1:]])),
                )  # fmt: skip
                constant = helper.make_node(
                    "Constant", [], ["k"], value=onnx.numpy_helper.from_array(laid)
                )
                nodes = [
                    *(wide, constant, node("Add", "i0 k", "t"), node("Add", "t b", "o1")),
                    *normalized("o1", count, silu, last, epsilon),
                ]
                cases.append(
                    (case("SkipGroupNorm", x, f(8), f(8), skip, bias, outputs=2, **how), nodes)
                )
    return cases


def convolved(**how: Any) -> list[onnx.NodeProto]:
    return [
        node("Transpose", "i0", "x", perm=FIRST),
        node("Conv", "x i1 i2", "c", **how),
        node("Transpose", "c", "t", perm=LAST),
    ]


def convolutions() -> list[Expanded]:
    x, w, b = f(2, 6, 7, 4), f(6, 4, 3, 2), f(6)
    strided: dict[str, Any] = {"strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 2]}
    grouped: dict[str, Any] = {"group": 2, "auto_pad": "SAME_UPPER"}
    z = f(2, 4, 6, 6)
    plain = node("Identity", "t", "o0")
    return [
        (case("NhwcConv", x, w, b), [*convolved(), plain]),
        (case("NhwcConv", x, w, b, **strided), [*convolved(**strided), plain]),
        (case("NhwcConv", x, f(6, 2, 3, 2), b, **grouped), [*convolved(**grouped), plain]),
        (
            case("NhwcFusedConv", x, w, b, z, activation="LeakyRelu", activation_params=[0.1]),
            [*convolved(), node("Add", "t i3", "s"), node("LeakyRelu", "s", "o0", alpha=0.1)],
        ),
        (
            case("NhwcFusedConv", x, w, b, activation="Tanh", **strided),
            [*convolved(**strided), node("Tanh", "t", "o0")],
        ),
    ]


CASES = [*groups(), *convolutions()]


@pytest.mark.parametrize(("fused", "nodes"), CASES, ids=[str(fused) for fused, _ in CASES])
def test_an_operator_agrees_with_the_nodes_that_it_replaces(
    fused: Case, nodes: Sequence[onnx.NodeProto]
) -> None:
    outputs = [f"o{k}" for k in range(len(fused.outputs))]
    replaced = model(nodes, fused.feed, outputs, opset=21)
    agrees(oracle(fused.model(), fused.feed), ort(replaced, fused.feed))


@pytest.mark.parametrize("fused", [fused for fused, _ in CASES], ids=str)
def test_it_is_not_rounded_to_float32_on_its_way(fused: Case) -> None:
    assert 0 < change(fused) < 1e-8


COUNTS = whole(3, 5, 1)
HEADS, SIZE = 2, 4


def packing(inner: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Removes the padding of x by its counts around nodes that make p of t."""
    return [
        node("RemovePadding", "i0 counts", "t places ends most", domain=MICROSOFT),
        *inner,
        node("RestorePadding", "p places", "o0", domain=MICROSOFT),
    ]


def without_padding(output: Array) -> list[Array]:
    return [row[:count] for row, count in zip(output, COUNTS, strict=True)]


ATTENTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scale": {"scale": 0.3},
    "sizes": {"qkv_hidden_sizes": [8, 8, 12]},
}


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("bias", [None, (3, HEADS), (1, 1)], ids=str)
def test_attention_without_padding_is_that_with_a_mask(
    name: str, bias: tuple[int, int] | None
) -> None:
    how = ATTENTIONS[name]
    width = sum(how.get("qkv_hidden_sizes", [8, 8, 8]))
    feed = {"i0": f(3, 5, 6), "w": f(6, width), "b": f(width), "counts": COUNTS}
    if bias is not None:
        feed["bias"] = f(*bias, 5, 5)
    also = "bias" if bias else ""
    inner = node(
        *("PackedAttention", f"t w b places ends {also}", "p", MICROSOFT), num_heads=HEADS, **how
    )
    masked = helper.make_node(
        *("Attention", ["i0", "w", "b", "counts", "", also], ["o0"]),
        domain=MICROSOFT, num_heads=HEADS, **how,
    )  # fmt: skip
    (mine,) = oracle(model(packing([inner]), feed, ["o0"]), feed)
    (theirs,) = ort(model([masked], feed, ["o0"]), feed)

    for own, right in zip(without_padding(mine), without_padding(theirs), strict=True):
        agrees([own], [right])
    assert not mine[0, 3:].any()
    assert not mine[2, 1:].any()


@pytest.mark.parametrize("biased", [0, 1])
@pytest.mark.parametrize("together", [0, 1])
def test_many_heads_without_padding_are_those_with_a_mask(together: int, biased: int) -> None:
    width = HEADS * SIZE
    tokens = int(COUNTS.sum())
    q, k, v = f(tokens, width), f(tokens, width), f(tokens, width)
    one = np.stack([part.reshape(tokens, HEADS, SIZE) for part in (q, k, v)], axis=2)
    parts = (one, None, None) if together else (q, k, v)
    ends = np.cumsum([0, *COUNTS]).astype(np.int32)
    places = np.zeros((3, 5), np.int32)
    bias = f(3 * width) if biased else None
    how: dict[str, Any] = {"num_heads": HEADS, "scale": 0.6}
    fused = case("PackedMultiHeadAttention", *parts, bias, places, ends, **how)
    (mine,) = oracle(fused.model(), fused.feed)

    is_token = np.arange(5) < COUNTS[:, None]
    padded = [np.zeros((3, 5, width), np.float32) for _ in range(3)]
    for each, part in zip(padded, (q, k, v), strict=True):
        each[is_token] = part
    masked = case("MultiHeadAttention", *padded, bias, COUNTS, **how)
    (theirs,) = ort(masked.model(), masked.feed)
    agrees([mine], [theirs[is_token]])


def test_the_places_of_tokens_come_before_those_of_the_padding() -> None:
    fused = case("RemovePadding", f(3, 5, 6), COUNTS, outputs=4)
    tokens, places, ends, most = oracle(fused.model(), fused.feed)
    assert tokens.shape == (9, 6)
    assert places.ravel().tolist() == [0, 1, 2, 5, 6, 7, 8, 9, 10, 3, 4, 11, 12, 13, 14]
    assert ends.tolist() == [0, 3, 8, 9]
    assert most.tolist() == [5]


def test_an_activation_that_is_not_documented_is_refused() -> None:
    fused = case("GroupNorm", f(1, 2, 2, 4), f(4), f(4), groups=2, activation=2)
    with pytest.raises(Unsupported, match=r"^GroupNorm: activation 2$"):
        oracle(fused.model(), fused.feed)
