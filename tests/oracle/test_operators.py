"""Our operators against ONNX Runtime with its optimizations off: an independent opinion of each."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tests.oracle import onenode, test_functions
from tests.oracle.onenode import Case, change, ort
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators import OWN, activations, microsoft, norms
from toolkit.oracle.operators.quantized import OWN as QUANTIZED
from toolkit.oracle.portable import raised
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels

RANDOM = np.random.default_rng(0)


def f(*shape: int) -> Array:
    return RANDOM.standard_normal(shape).astype(np.float32)


def i(below: int, *shape: int) -> Array:
    return RANDOM.integers(0, below, shape)


def n(*values: float) -> Array:
    return np.array(values, np.float32)


case = partial(onenode.case, domain="")


def pools() -> list[Case]:
    cases = []
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        how: dict[str, Any] = {"kernel_shape": [3, 2], "auto_pad": auto, "strides": [2, 2]}
        cases += [case(op, f(2, 4, 9, 8), **how) for op in ("MaxPool", "AveragePool", "LpPool")]
    for ceil in (0, 1):
        border: dict[str, Any] = {"pads": [1, 1, 1, 1], "strides": [2, 2], "ceil_mode": ceil}
        cases += [
            case("AveragePool", f(2, 3, 10, 11), kernel_shape=[3, 3], count_include_pad=c, **border)
            for c in (0, 1)
        ]
        cases += [
            case("MaxPool", f(2, 3, 10, 11), kernel_shape=[3, 3], dilations=[2, 1], **border),
            case("MaxPool", f(2, 3, 10), kernel_shape=[3], strides=[2], ceil_mode=ceil, outputs=2),
            case(
                "LpPool", f(2, 3, 10, 9), kernel_shape=[3, 2], strides=[2, 1], ceil_mode=ceil, p=3
            ),
        ]
    cases.append(case("MaxPool", f(1, 2, 4, 6), kernel_shape=[2, 2], storage_order=1, outputs=2))
    cases.append(case("AveragePool", f(1, 2, 5, 6, 7), kernel_shape=[2, 2, 3], pads=[1] * 6))
    return cases


def products() -> list[Case]:
    x, w = f(2, 4, 9, 8), f(6, 4, 3, 2)
    return [
        case("MatMul", f(3, 4), f(4, 5)),
        case("MatMul", f(4), f(4, 5)),
        case("MatMul", f(2, 1, 3, 4), f(5, 4, 2)),
        case("Einsum", f(2, 3, 4), f(2, 4, 5), equation="bij,bjk->bik"),
        case("Einsum", f(2, 3, 4), f(5, 4), equation="...i, ji -> ...j"),
        case("Einsum", f(3, 3), equation="ii->i"),
        case("Conv", x, w, f(6)),
        case("Conv", x, w, strides=[2, 3], pads=[1, 0, 1, 0]),
        case("Conv", x, w, f(6), pads=[0, 1, 2, 0], dilations=[2, 1]),
        case("Conv", x, w, auto_pad="SAME_UPPER", strides=[2, 2]),
        case("Conv", x, w, auto_pad="SAME_LOWER"),
        case("Conv", x, w, auto_pad="VALID"),
        case("Conv", x, f(4, 1, 3, 3), group=4),
        case("Conv", x, f(6, 2, 3, 3), f(6), group=2, strides=[2, 1]),
        case("Conv", f(2, 4, 9), f(3, 4, 4), pads=[2, 1]),
        case("Conv", f(1, 2, 5, 4, 6), f(3, 2, 2, 3, 2), pads=[0, 1, 0, 1, 1, 1]),
    ]


def scattered() -> list[Case]:
    at = np.array([[0, 1], [2, 3], [0, 1]])
    cases = [
        case("ScatterND", f(3, 4), at, f(3), reduction=r) for r in ("add", "mul", "min", "max")
    ]
    cases += [
        case("ScatterElements", f(3, 4), i(3, 2, 4), f(2, 4), axis=0, reduction=r)
        for r in ("add", "mul", "min", "max")
    ]
    return [
        *cases,
        case("ScatterND", f(4, 3, 2), np.array([[2], [-4]]), f(2, 3, 2)),
        case("ScatterND", f(3, 4), np.array([[[0, 1]], [[2, -1]]]), f(2, 1)),
        case(
            "ScatterElements", f(3, 4, 2), np.array([[[3], [0]], [[1], [-2]]]), f(2, 2, 1), axis=1
        ),
        case("GatherND", f(2, 3, 4), np.array([[1, 2], [0, -1]])),
        case("GatherND", f(2, 3, 4), np.array([[[1], [2]], [[0], [0]]]), batch_dims=1),
        case("GatherND", f(2, 3, 4, 5), i(2, 2, 3, 2, 2), batch_dims=2),
    ]


def boxes() -> list[Case]:
    corners = (RANDOM.random((2, 40, 4)) * 10).astype(np.float32)
    scores = RANDOM.random((2, 3, 40)).astype(np.float32)
    most, limit = np.array([5]), n(0.4)
    image, cuts = f(2, 3, 12, 14), (RANDOM.random((4, 4)) * 5 + [0, 0, 5, 5]).astype(np.float32)
    cases = [
        case("NonMaxSuppression", corners, scores, most, limit, n(0.2), center_point_box=c)
        for c in (0, 1)
    ]
    cases += [
        case("NonMaxSuppression", corners, scores, np.array([40]), n(0.9)),
        case("NonMaxSuppression", corners, scores),
    ]
    cases += [
        case(
            "RoiAlign", image, cuts, np.array([0, 1, 1, 0]), output_height=3, output_width=4,
            spatial_scale=s, coordinate_transformation_mode=t, sampling_ratio=r,
        )
        for s in (1.0, 0.5)
        for t in ("half_pixel", "output_half_pixel")
        for r in (0, 2)
    ]  # fmt: skip
    return cases


def transposed() -> list[Case]:
    x, w = f(2, 4, 5, 6), f(4, 3, 3, 3)
    grouped: dict[str, Any] = {
        "group": 2,
        "strides": [2, 3],
        "output_padding": [1, 1],
        "pads": [1, 0, 1, 2],
    }
    return [
        case("ConvTranspose", x, w, f(6), **grouped),
        case("ConvTranspose", f(2, 4, 7), f(4, 3, 3), strides=[2]),
        case("ConvTranspose", x, w, output_shape=[12, 13], strides=[2, 2]),
        case("ConvTranspose", x, w, output_shape=[9, 10], strides=[2, 2]),
        case("ConvTranspose", x, w, strides=[2, 2], auto_pad="SAME_UPPER"),
        case("ConvTranspose", x, w, strides=[2, 2], auto_pad="SAME_LOWER"),
        case("ConvTranspose", f(1, 2, 4, 4, 4), f(2, 3, 2, 2, 2), strides=[2, 2, 2]),
        case("ConvTranspose", f(1, 2, 5, 5), f(2, 3, 3, 3), dilations=[2, 2]),
    ]


def recurrent() -> list[Case]:
    cases = []
    ends = np.array([5, 2, 3], np.int32)
    for direction, d in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        how: dict[str, Any] = {"direction": direction, "hidden_size": 6}
        x, state = f(5, 3, 4), f(d, 3, 6)
        lstm = (x, f(d, 24, 4), f(d, 24, 6), f(d, 48))
        gru = (x, f(d, 18, 4), f(d, 18, 6), f(d, 36))
        rnn = (x, f(d, 6, 4), f(d, 6, 6), f(d, 12))
        relu = ["Sigmoid", "Relu", "Softsign"] * d
        cases += [
            case("LSTM", *lstm, outputs=3, **how),
            case("LSTM", *lstm[:3], outputs=3, **how),
            case("LSTM", *lstm, ends, state, f(d, 3, 6), outputs=3, **how),
            case("LSTM", *lstm, None, state, f(d, 3, 6), f(d, 18), outputs=3, **how),
            case("LSTM", *lstm, outputs=3, clip=0.5, **how),
            case("LSTM", *lstm, outputs=3, input_forget=1, **how),
            case("LSTM", *lstm, outputs=3, activations=relu, **how),
            case("GRU", *gru, outputs=2, **how),
            case("GRU", *gru, ends, state, outputs=2, linear_before_reset=1, **how),
            case("RNN", *rnn, ends, state, outputs=2, **how),
            case("RNN", *rnn, outputs=2, activations=["Relu"] * d, **how),
        ]
    return cases


def sampled() -> list[Case]:
    grid = f(1, 3, 4, 2)
    cases = [
        case("GridSample", f(1, 2, 5, 6), grid, mode=m, padding_mode=p, align_corners=c)
        for m in ("linear", "nearest")
        for p in ("zeros", "border", "reflection")
        for c in (0, 1)
    ]
    cases += [
        case("GridSample", x, grid, mode=m, padding_mode=p, align_corners=c)
        for x, grid, m in (
            (f(2, 2, 5, 6), 1.3 * f(2, 4, 3, 2), "cubic"),
            (f(2, 3, 3, 5, 4), 1.3 * f(2, 2, 4, 3, 3), "linear"),
            (f(2, 3, 3, 5, 4), 1.3 * f(2, 2, 4, 3, 3), "nearest"),
        )
        for p in ("zeros", "border", "reflection")
        for c in (0, 1)
    ]
    image = f(1, 2, 5, 6)
    cases += [
        case("Resize", image, None, n(1, 1, 2, 1.7), coordinate_transformation_mode=t, mode=m)
        for m in ("nearest", "linear", "cubic")
        for t in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
    ]
    cases += [
        case("AffineGrid", f(1, 2, 3), np.array([1, 2, 5, 6]), align_corners=c) for c in (0, 1)
    ]
    cases.append(case("AffineGrid", f(1, 3, 4), np.array([1, 2, 3, 5, 6])))
    return cases


def deformed() -> list[Case]:
    x, w, b = f(2, 4, 6, 7), f(6, 4, 3, 2), f(6)
    wide: dict[str, Any] = {"strides": [2, 1], "dilations": [1, 2], "pads": [1, 0, 2, 1]}
    return [
        case("DeformConv", x, w, f(2, 12, 4, 6)),
        case("DeformConv", x, w, f(2, 12, 4, 6), b, f(2, 6, 4, 6), name="mask"),
        case("DeformConv", x, w, f(2, 12, 4, 6), None, f(2, 6, 4, 6), name="mask without bias"),
        case("DeformConv", x, f(6, 2, 3, 2), f(2, 12, 4, 6), b, group=2),
        case("DeformConv", x, w, 3 * f(2, 12, 4, 6), b, name="far"),
        case(
            "DeformConv", x, f(6, 2, 3, 2), f(2, 24, 4, 6), b, f(2, 12, 4, 6), group=2,
            offset_group=2, **wide,
        ),
        case(
            "DeformConv", f(1, 4, 5, 5), f(3, 4, 3, 3), f(1, 72, 3, 3), None, f(1, 36, 3, 3),
            offset_group=4, kernel_shape=[3, 3],
        ),
        case("DeformConv", f(1, 2, 1, 5), f(3, 2, 1, 2), f(1, 4, 1, 4), name="one row"),
    ]  # fmt: skip


def features() -> list[Case]:
    text = i(6, 3, 12)
    grams: dict[str, Any] = {
        # Three tokens, three pairs, one triple.
        "pool_int64s": [2, 3, 5, 5, 4, 1, 1, 1, 2, 0, 2, 3],
        "ngram_counts": [0, 3, 9],
        "ngram_indexes": [3, 0, 1, 6, 5, 2, 4],
    }
    sizes: list[tuple[Array, dict[str, Any]]] = [
        (text, {"min_gram_length": least, "max_gram_length": most, "max_skip_count": skip})
        for least, most, skip in ((1, 1, 0), (1, 1, 4), (1, 2, 0), (2, 2, 5), (1, 3, 3), (3, 3, 8))
    ]
    weights = [0.5, 2.0, 0.25, 3.0, 1.5, 4.0, 0.75]
    whole: dict[str, Any] = {"min_gram_length": 1, "max_gram_length": 3, "max_skip_count": 2}
    mels = [(8, 64, 16000, 0, 8000), (20, 33, 8000, 125, 3800), (40, 32, 16000, 20, 7000)]
    return [
        *(case("TfIdfVectorizer", x, mode="TF", **grams, **size) for x, size in sizes),
        *(
            case("TfIdfVectorizer", text.astype(np.int32), mode=mode, weights=w, **grams, **whole)
            for mode in ("TF", "IDF", "TFIDF")
            for w in (weights, None)
        ),
        case("TfIdfVectorizer", text[0], mode="TF", name="one row", **grams, **whole),
        case("TfIdfVectorizer", text[:, :2], mode="TF", name="short rows", **grams, **whole),
        *(
            case(
                "MelWeightMatrix", *(np.array(n) for n in (bands, length, rate)),
                *(np.array(n, np.float32) for n in (low, high)), name=str(bands),
            )
            for bands, length, rate, low, high in mels
        ),
    ]  # fmt: skip


FUNCTIONS = ("Erf", "Gelu", "HardSwish", "LogSoftmax")
LENGTHS = ((50,), (50, 100))
"""Shapes of what numpy computes, and of what torch's kernels do."""


def others() -> list[Case]:
    return [
        *(case(op, f(*shape)) for op in FUNCTIONS for shape in LENGTHS),
        *(case("Gelu", f(*shape), approximate="tanh") for shape in LENGTHS),
        *(
            case("GroupNormalization", f(2, 6, *shape), f(2), f(2), num_groups=2)
            for shape in LENGTHS
        ),
        case("GatherElements", f(3, 4), i(4, 3, 2), axis=1),
        case("GatherElements", f(3, 4, 5), i(3, 2, 2, 2), axis=0),
        case("GatherElements", f(3, 4), i(4, 2, 3) - 4, axis=-1),
        case("GatherElements", f(40, 6), i(40, 40, 6), axis=0),
        case("GlobalMaxPool", f(2, 3, 4)),
        case("GlobalMaxPool", f(2, 3, 4, 5)),
        case("LRN", f(2, 7, 3, 3), size=3, alpha=0.5),
        case("LRN", f(2, 7, 3, 3), size=5, alpha=0.5, bias=2.0),
        case("MeanVarianceNormalization", f(2, 4, 3, 3)),
        case("MeanVarianceNormalization", f(2, 4, 3, 3), axes=[0, 2]),
        case("Pad", f(3, 4), np.array([-1, 0, 1, -2])),
        case("Pad", f(3, 4), np.array([1, 0, 2, -1]), n(7).reshape(())),
        case("Pad", f(3, 4), np.array([1, 2]), None, np.array([-1]), mode="reflect"),
        case("Pad", f(3, 4), np.array([1, 0, 1, 2]), mode="edge"),
        case("Pad", f(3, 4), np.array([1, 0, 1, 2]), mode="wrap"),
    ]


CASES = [
    *others(),
    *pools(),
    *products(),
    *transposed(),
    *recurrent(),
    *sampled(),
    *scattered(),
    *boxes(),
    *deformed(),
    *features(),
]
ROUGH = {"Pad", "NonMaxSuppression", "MelWeightMatrix", "TfIdfVectorizer"}
"""Operators whose outputs do not move with their inputs."""


@pytest.mark.parametrize("node", CASES, ids=str)
def test_an_operator_agrees_with_onnxruntime(node: Case) -> None:
    model = node.model()
    got = Evaluator(model).run(node.feed)
    for mine, theirs in zip(got.values(), ort(model, node.feed), strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("node", [c for c in CASES if c.operator not in ROUGH], ids=str)
def test_an_operator_is_not_rounded_to_float32_on_its_way(node: Case) -> None:
    """Moves inputs by 1e-11: smooth outputs move by about as much; float32 would keep them, or move
    them by 6e-8."""
    assert 0 < change(node) < 1e-9


SAME_AS_EVALUATOR = ("MatMul", "Einsum", "Conv", "GatherND", "ScatterND", "ScatterElements",
                     "NonMaxSuppression", "RoiAlign")  # fmt: skip
"""Operators that are ours since the evaluator is slow."""


@pytest.mark.parametrize(
    "node",
    # The evaluator's NonMaxSuppression fails where an input is left out.
    [c for c in CASES if c.operator in SAME_AS_EVALUATOR and c.inputs[-1] is not None
     and (c.operator != "NonMaxSuppression" or len(c.inputs) == 5)],
    ids=str,
)  # fmt: skip
def test_an_operator_of_ours_agrees_with_the_evaluators_own_in_float64(node: Case) -> None:
    model = raised(node.model())
    exact = {name: a.astype(float) if a.dtype == np.float32 else a for name, a in node.feed.items()}

    theirs = ReferenceEvaluator(model).run(None, exact)

    for mine, right in zip(Evaluator(model).run(exact).values(), theirs, strict=True):
        assert mine.shape == right.shape
        largest = float(np.abs(right).max()) if right.size else 0.0
        np.testing.assert_allclose(mine, right, rtol=0, atol=1e-12 * largest)


@pytest.mark.parametrize("node", CASES, ids=str)
def test_a_file_that_is_run_as_it_is_has_the_types_of_onnxruntime(node: Case) -> None:
    model = node.model()
    got = Evaluator(model, exact=False).run(node.feed)
    assert [each.dtype for each in got.values()] == [each.dtype for each in ort(model, node.feed)]


def test_every_operator_of_ours_is_tested_here_or_with_the_loops() -> None:
    tested = {node.operator for node in CASES} | {"Loop", "Scan", "BitCast"}
    tested |= {node.operator for node in test_functions.CASES}
    in_test_large = {operator.__name__ for operator in (*activations.OWN, *norms.OWN)}
    elsewhere = {*QUANTIZED, *microsoft.OWN}  # test_quantized_*.py, test_microsoft_*.py
    ours = {operator.__name__ for operator in OWN if operator not in elsewhere}
    assert tested | in_test_large == ours


def test_erf_is_exact_in_float64() -> None:
    got = Evaluator(case("Erf", f(3)).model()).run({"i0": np.array([0.1, 1.0, -2.5])})
    assert got["o0"].tolist() == [math.erf(0.1), math.erf(1.0), math.erf(-2.5)]


def test_an_activation_that_is_not_known_is_named() -> None:
    from toolkit.oracle.portable import Unsupported

    node = case(
        "RNN", f(5, 3, 4), f(1, 6, 4), f(1, 6, 6), hidden_size=6, activations=["ScaledTanh"]
    )
    with pytest.raises(Unsupported, match=r"^RNN: the activation ScaledTanh$"):
        Evaluator(node.model()).run(node.feed)


LOOPS = {
    "counted": (
        "float[4, 2]",
        """Loop (m, , x) <body = b (int64 k, bool c, float[2] v) => (bool d, float[2] w, float[2] s)
        { d = Identity (c) w = Mul (v, two) s = Identity (v) }>""",
    ),
    "conditional": (
        "float[n]",
        """Loop (, go, x) <body = b (int64 k, bool c, float[2] v) => (bool d, float[2] w, float s)
        { w = Mul (v, two) s = ReduceMax <keepdims = 0> (w) d = Less (s, hundred) }>""",
    ),
    "never": (
        "float[n, k]",
        """Loop (m, stop, x)
        <body = b (int64 k, bool c, float[2] v) => (bool d, float[2] w, float[2] s)
        { d = Identity (c) w = Mul (v, two) s = Identity (v) }>""",
    ),
    "scan": (
        "float[3, 2]",
        """Scan <num_scan_inputs = 1, body = b (float[2] v, float[2] e) => (float[2] w, float[2] s)
        { w = Add (v, e) s = Mul (w, two) }> (x, many)""",
    ),
    "backwards": (
        "float[3, 2]",
        """Scan <num_scan_inputs = 1, scan_input_directions = [1], scan_output_directions = [1],
        scan_input_axes = [1], scan_output_axes = [1],
        body = b (float[2] v, float[3] e) => (float[2] w, float[3] s)
        { f = ReduceSum <keepdims = 0> (e) w = Add (v, f) s = Add (e, f) }> (x, many)""",
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_scans_agree_with_onnxruntime(name: str) -> None:
    collected, text = LOOPS[name]
    model = onnx.parser.parse_model(
        f"""
        <ir_version: 9, opset_import: ["" : 18]>
        g (int64 m, bool go, bool stop, float[2] x, float[3, 2] many)
            => (float[2] y, {collected} all)
        <float two = {{2}}, float hundred = {{100}}>
        {{ y, all = {text} }}
        """
    )
    feed = {
        "m": np.array(4),
        "go": np.array(True),
        "stop": np.array(False),
        "x": n(1, 3),
        "many": f(3, 2),
    }
    got = Evaluator(model).run(feed)
    for mine, theirs in zip(got.values(), ort(model, feed), strict=True):
        assert mine.size == theirs.size
        np.testing.assert_allclose(mine.ravel(), theirs.ravel(), rtol=1e-5)
    # Of no turn the shape is not known to the evaluator.
    assert got["all"].shape == (ort(model, feed)[1].shape if name != "never" else (0,))
