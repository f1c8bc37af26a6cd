"""Operators of com.microsoft that move elements, convolve, mix experts or know distances, against
ONNX Runtime's kernels; where it has none, against what its documentation or its source says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.oracle.onenode import Case, Drawn, agree, agrees, case, change, model, oracle, ort, whole
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

DRAWN = Drawn(3)
f = DRAWN.floats


def long(*values: object) -> Array:
    return np.array(values, np.int64)


def convolutions() -> list[Case]:
    x, w, b = f(2, 4, 7, 6), f(6, 4, 3, 3), f(6)
    activations: dict[str, dict[str, Any]] = {
        "Clip": {"activation_params": [-0.5, 0.75]},
        "HardSigmoid": {"activation_params": [0.3, 0.4]},
        "HardSwish": {},
        "LeakyRelu": {"activation_params": [0.1]},
        "Relu": {},
        "Sigmoid": {},
        "Tanh": {},
    }
    cases = [
        case("FusedConv", x, w, b, activation=name, **params)
        for name, params in activations.items()
    ]
    grouped: dict[str, Any] = {"group": 2, "strides": [2, 1], "dilations": [1, 2]}
    cases += [
        case("FusedConv", x, w),
        case("FusedConv", x, w, b, f(2, 6, 5, 4), activation="Relu", name="Z"),
        case("FusedConv", x, w, None, f(2, 6, 5, 4), name="Z without B"),
        case("FusedConv", x, f(6, 2, 3, 2), b, pads=[1, 0, 2, 1], **grouped),
        case("FusedConv", f(1, 2, 6), f(3, 2, 3), f(3), activation="Relu", name="1 d"),
        case("FusedConv", f(1, 2, 4, 5, 6), f(3, 2, 2, 3, 3), f(3), activation="Relu", name="3 d"),
        *(
            case("FusedConv", x, w, b, auto_pad=auto, strides=[2, 2], activation="Relu")
            for auto in ("SAME_UPPER", "SAME_LOWER", "VALID")
        ),
    ]
    pads = long(1, 0, 1, 2)
    return [
        *cases,
        case("ConvTransposeWithDynamicPads", f(1, 2, 4, 5), f(2, 3, 3, 3), pads, strides=[2, 2]),
        case(
            "ConvTransposeWithDynamicPads",
            *(f(1, 2, 4, 5), f(2, 3, 3, 3), pads, f(6)),
            group=2,
            strides=[2, 2],
            output_padding=[1, 0],
        ),
    ]


def pools() -> list[Case]:
    strided: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 2]}
    padded: dict[str, Any] = {**strided, "pads": [1, 0, 1, 1]}
    dilated: dict[str, Any] = {**strided, "dilations": [2, 1], "ceil_mode": 1}
    same: dict[str, Any] = {**strided, "auto_pad": "SAME_UPPER"}
    cases = []
    for kind in (np.int8, np.uint8):
        cases += [
            case("NhwcMaxPool", DRAWN.below(127, 2, 6, 7, 3, dtype=kind), name=kind.__name__, **how)
            for how in (padded, dilated, same)
        ]
        line = DRAWN.below(127, 1, 7, 3, dtype=kind)
        cases.append(case("NhwcMaxPool", line, name=kind.__name__, kernel_shape=[3]))
    negative = (DRAWN.below(256, 1, 6, 7, 3) - 128).astype(np.int8)
    return [*cases, case("NhwcMaxPool", negative, name="negative", **padded)]


def moved() -> list[Case]:
    # None has a corner just at the image's border or halfway between two pixels, where float32 and
    # float64 choose differently.
    boxes = np.array(
        [[0.05, 0.1, 0.91, 0.9], [0.13, 0.22, 0.81, 1.3], [0.88, 0.71, 0.2, 0.12]], np.float32
    )
    crops = f(2, 3, 6, 7), boxes, whole(0, 1, 1)
    grid = f(2, 3, 4, 2)
    return [
        case("ExpandDims", f(2, 3), np.array(-1, np.int32), name="last"),
        case("ExpandDims", f(2, 3), np.array(1, np.int32), name="second"),
        *(
            case("Trilu", f(2, 3, 4), np.array(k), upper=upper, name=f"k {k}")
            for k in (-1, 0, 2)
            for upper in (0, 1)
        ),
        case("Trilu", DRAWN.below(9, 3, 3, dtype=np.int64)),
        case("Range", np.array(1), np.array(7)),
        case("Range", long(5), long(1), long(-2), name="down"),
        case("Range", *(np.array(v, np.float32) for v in (1, 2, 0.3)), name="floats"),
        case("Range", np.array(3), np.array(1), name="none"),
        case("Unique", np.array([2, 1, 1, 3, 4, 3], np.float32), outputs=3),
        case("Pad", f(2, 3), long(0, 1, 1, 0)),
        case("Pad", f(2, 3), long([0, 1, 1, 0]), np.array([7], np.float32), name="value"),
        case("Pad", f(3, 3), long(0, 1, 1, 0), mode="reflect"),
        case("Pad", f(3, 3), long(0, -1, 1, 0), mode="edge"),
        case("UnfoldTensor", f(2, 4), size=3),
        case("UnfoldTensor", f(6, 5, 4), dim=1, size=2, step=2),
        case("UnfoldTensor", f(6, 5, 4), dim=-3, size=4, step=2),
        case("GatherND", f(3, 4, 5), long([0, 1], [2, 3])),
        case("GatherND", f(3, 4, 5), whole([[0, -1, 2]], [[2, 3, 4]]), name="elements"),
        *(case("CDist", f(3, 4), f(2, 4), metric=m) for m in ("sqeuclidean", "euclidean")),
        case("Inverse", f(2, 4, 4) + 4 * np.eye(4, dtype=np.float32)),
        *(
            case(
                "CropAndResize", *crops, whole(*size), mode=m, name=str(size), extrapolation_value=v
            )
            for m, v in (("bilinear", 0.0), ("nearest", 3.0))
            for size in ((3, 4), (1, 5), (4, 1))
        ),
        *(
            case("GridSample", f(2, 2, 5, 6), grid, mode=m, padding_mode=p, align_corners=c)
            for m in ("bilinear", "nearest", "bicubic")
            for p in ("zeros", "border", "reflection")
            for c in (0, 1)
        ),
        case("DynamicTimeWarping", f(6, 9)),
        case("DynamicTimeWarping", f(1, 4, 3), name="batch"),
        case("DynamicTimeWarping", f(1, 1), name="one"),
    ]


def mixtures() -> list[Case]:
    hidden, inner, experts = 8, 6, 4
    x, router = f(5, hidden), f(5, experts)
    plain = (
        f(experts, inner, hidden),
        f(experts, inner),
        f(experts, hidden, inner),
        f(experts, hidden),
    )
    wide = f(experts, 2 * inner, hidden), f(experts, 2 * inner), *plain[2:]
    even = np.zeros((5, experts), np.float32)
    clamped: dict[str, Any] = {"activation_alpha": 1.7, "activation_beta": 1.0, "swiglu_limit": 0.5}
    swiglu: dict[str, Any] = {"activation_type": "swiglu", "swiglu_fusion": 1}
    return [
        *(
            case("MoE", x, router, *plain, k=2, activation_type=name)
            for name in ("relu", "gelu", "silu", "identity")
        ),
        *(case("MoE", x, router, *plain, k=k, normalize_routing_weights=1) for k in (1, 3, 4)),
        case("MoE", x[None], router, plain[0], None, plain[2], name="no biases"),
        case("MoE", x[:1], router[:1], *plain, k=2, name="one token"),
        case("MoE", x, even, *plain, k=2, name="equal experts"),
        case("MoE", x, router, *wide, k=2, **swiglu),
        case("MoE", x, router, *wide, k=2, **swiglu, **clamped),
    ]


CASES = [*convolutions(), *pools(), *moved(), *mixtures()]
WHOLE = {"NhwcMaxPool", "DynamicTimeWarping"}
"""Operators whose outputs are whole numbers."""


@pytest.mark.parametrize("fused", CASES, ids=str)
def test_an_operator_agrees_with_onnxruntime(fused: Case) -> None:
    agree(fused)


@pytest.mark.parametrize(
    "fused",
    [each for each in CASES if each.operator not in WHOLE and "i0" in each.feed
     and each.feed["i0"].dtype == np.float32],
    ids=str,
)  # fmt: skip
def test_it_is_not_rounded_to_float32_on_its_way(fused: Case) -> None:
    assert 0 < change(fused) < 1e-8


@pytest.mark.parametrize("dims", [1, 2])
def test_rfft_is_the_transform_of_numpy_and_irfft_its_inverse(dims: int) -> None:
    x = f(3, 6, 8)
    (got,) = oracle(case("Rfft", x, signal_ndim=dims).model(), {"i0": x})
    expected = np.fft.rfftn(x.astype(float), axes=range(-dims, 0))
    np.testing.assert_allclose(got[..., 0] + 1j * got[..., 1], expected, rtol=1e-13)
    back = case("Irfft", got.astype(np.float32), signal_ndim=dims)
    np.testing.assert_allclose(oracle(back.model(), {"i0": got})[0], x, atol=1e-14)


@pytest.mark.parametrize("both_ways", [0, 1])
def test_the_buckets_of_distances_are_those_of_t5(both_ways: int) -> None:
    """transformers' own T5 says into which bucket a distance falls."""
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    table = f(8, 3)
    lengths = [np.array([n], np.int64) for n in (40, 50)]
    # Files have the table's elements head by head (ONNX Runtime's conversion of T5).
    stored = np.ascontiguousarray(table.T).reshape(table.shape)
    fused = case(
        "RelativePositionBias", stored, *lengths, max_distance=20, is_bidirectional=both_ways
    )
    (got,) = oracle(fused.model(), fused.feed)
    distance = torch.arange(50)[None] - torch.arange(40)[:, None]
    bucket = T5Attention._relative_position_bucket(  # type: ignore[no-untyped-call]
        distance, bidirectional=bool(both_ways), num_buckets=8, max_distance=20
    )
    expected = table[bucket.numpy()].transpose(2, 0, 1)[None]
    np.testing.assert_array_equal(got, expected.astype(np.float64))


def test_gated_distances_agree_with_the_nodes_of_their_documentation() -> None:
    heads, size, inner, tokens = 2, 4, 6, 3
    given = (
        f(2, tokens, heads * size),
        f(heads * size),
        f(1, heads, tokens, tokens),
        f(size, inner),
        f(inner),
        f(1, heads, 1, 1),
    )
    fused = case("GatedRelativePositionBias", *given, num_heads=heads)
    constants = {"by_head": [0, 0, heads, size], "halves": [0, 0, 0, 2, inner // 2], "last": [4]}
    nodes = [
        *(
            helper.make_node("Constant", [], [name], value_ints=values)
            for name, values in constants.items()
        ),
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        helper.make_node("Add", ["i0", "i1"], ["q"]),
        helper.make_node("Reshape", ["q", "by_head"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3]),
        helper.make_node("MatMul", ["t", "i3"], ["m"]),
        helper.make_node("Add", ["m", "i4"], ["g"]),
        helper.make_node("Reshape", ["g", "halves"], ["h"]),
        helper.make_node("ReduceSum", ["h", "last"], ["s"], keepdims=0),
        helper.make_node("Sigmoid", ["s"], ["w"]),
        helper.make_node("Split", ["w"], ["u", "v"], axis=3, num_outputs=2),
        helper.make_node("Mul", ["v", "i5"], ["a"]),
        helper.make_node("Sub", ["a", "one"], ["b"]),
        helper.make_node("Mul", ["u", "b"], ["c"]),
        helper.make_node("Add", ["c", "two"], ["d"]),
        helper.make_node("Mul", ["d", "i2"], ["o0"]),
    ]
    agrees(oracle(fused.model(), fused.feed), ort(model(nodes, fused.feed, ["o0"]), fused.feed))


REFUSED = [
    (case("CDist", f(2, 3), f(2, 3), metric="cosine"), "metric cosine"),
    (case("Rfft", f(4), normalized=1), "normalized"),
    (case("MoE", f(2, 4), f(2, 3), f(3, 5, 4), None, f(3, 4, 5), None, f(3, 5, 4)),
     "fc3_experts_weights"),
    (case("MoE", f(2, 4), f(2, 3), f(3, 5, 4), None, f(3, 4, 5), activation_type="geglu"),
     "activation_type geglu"),
    (case("MoE", f(2, 4), f(2, 3), f(3, 10, 4), None, f(3, 4, 5), activation_type="swiglu",
          swiglu_fusion=2), "swiglu_fusion 2"),
    (case("MoE", f(2, 4), f(2, 3), f(3, 5, 4), None, f(3, 4, 5), k=2, use_sparse_mixer=1),
     "use_sparse_mixer"),
]  # fmt: skip


@pytest.mark.parametrize(("fused", "what"), REFUSED, ids=[what for _, what in REFUSED])
def test_what_no_kernel_of_the_cpu_knows_is_refused_by_name(fused: Case, what: str) -> None:
    with pytest.raises(Unsupported, match=f"^{fused.operator}: {what}$"):
        oracle(fused.model(), fused.feed)
