"""Verdicts on outputs that real libraries gave, and on planted faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto

from tests.answers.networks import (
    NETWORKS,
    SHAPES,
    Builder,
    feeds,
    float16_file,
    judge,
    labeller,
    mlp,
    onnxruntime_runner,
    torch_runner,
    weights,
    with_weights,
)
from tests.answers.quantized import (
    exact_product,
    integer_runner,
    quantized,
    saturating_product,
)
from tests.answers.spoilt import infinite, not_a_number, swapped, tail_zeroed
from toolkit.answers import silence
from toolkit.answers.acceptance import Acceptance, misfit
from toolkit.answers.folding import folded
from toolkit.answers.formats import ORDER, Precision, rounded, through_float16
from toolkit.answers.indices import Choice
from toolkit.answers.intermediates import exposed, find
from toolkit.answers.judge import Judge, Simulation
from toolkit.answers.moved import unfed
from toolkit.answers.verdict import Limits, Verdict
from toolkit.onnxfiles import thinmodels
from toolkit.tensors import Array, Feed, TensorSpec

Outputs = list[dict[str, Array]]


@dataclass(frozen=True)
class Bench:
    """A network, its feeds and its judge."""

    model: ModelProto
    feeds: list[Feed]
    judge: Judge

    @property
    def output(self) -> str:
        return self.judge.outputs[0].name

    def float32(self, model: ModelProto | None = None) -> Outputs:
        return onnxruntime_runner(model or self.model, self.feeds, "ORT_ENABLE_ALL")

    def torch(self, kind: torch.dtype, model: ModelProto | None = None) -> Outputs:
        return torch_runner(model or self.model, self.feeds, kind)

    def verdict(self, outputs: Outputs, declared: Precision = "float32") -> Verdict:
        return self.judge.verdict(outputs, declared)

    def edited(self, edit: Callable[[Array], Array]) -> Outputs:
        """Right outputs with each array changed."""
        return [{n: edit(a.copy()) for n, a in o.items()} for o in self.float32()]


@cache
def bench(name: str, seed: int = 5) -> Bench:
    model, each = NETWORKS[name](seed), feeds(SHAPES[name], seed)
    return Bench(model, each, judge(model, each))


LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")

every_network = pytest.mark.parametrize("name", NETWORKS)
every_granularity = pytest.mark.parametrize(
    "per_channel", [False, True], ids=["per tensor", "per channel"]
)


@every_network
@pytest.mark.parametrize("level", LEVELS)
def test_onnx_runtime_is_float32_at_every_optimisation(name: str, level: str) -> None:
    b = bench(name)

    verdict = b.verdict(onnxruntime_runner(b.model, b.feeds, level))

    assert (verdict.text, verdict.right, verdict.reason) == ("float32", True, "")
    assert float(verdict.outputs[0].factor) < 5
    assert verdict.feeds == 8
    assert verdict.oracle == "torch in float64"


@every_network
def test_pytorch_is_float32(name: str) -> None:
    assert bench(name).verdict(bench(name).torch(torch.float32)).text == "float32"


@every_network
@pytest.mark.parametrize(
    ("kind", "word"), [(torch.bfloat16, "bfloat16"), (torch.float16, "float16")]
)
def test_a_lower_type_is_named_by_its_grid(name: str, kind: torch.dtype, word: str) -> None:
    verdict = bench(name).verdict(bench(name).torch(kind))

    assert (verdict.text, verdict.right) == (word, False)
    assert verdict.reason == f"declares float32, computes {word}"
    assert verdict.outputs[0].evidence == f"all values lie on {word}'s grid"


@every_network
def test_autocast_is_bfloat16_by_direction_though_its_outputs_are_float32(name: str) -> None:
    b = bench(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = b.torch(torch.float32)

    verdict = b.verdict(outputs)

    assert (verdict.text, verdict.reason) == ("bfloat16", "declares float32, computes bfloat16")


@every_network
def test_float16_weights_are_tf32_or_float16_by_direction(name: str) -> None:
    b = bench(name)
    low = {n: through_float16(w) for n, w in weights(b.model).items()}

    verdict = b.verdict(b.torch(torch.float32, with_weights(b.model, low)))

    assert (verdict.text, verdict.right) == ("tf32 or float16", False)
    assert verdict.outputs[0].evidence.startswith("by the direction of the error, ")


def test_bfloat16_weights_of_a_folded_graph_are_known_by_the_folded_simulation() -> None:
    b = bench("convnet")
    thin = folded(thinmodels.of_model(b.model))
    assert thin is not None
    model = thin.whole()
    low = {n: rounded(w, 8) for n, w in weights(model).items()}
    outputs = b.torch(torch.float32, with_weights(model, low))
    blind = replace(
        b.judge,
        simulated=tuple(s for s in b.judge.simulated if "folded" not in s.form),
    )

    assert b.verdict(outputs).text == "bfloat16"
    assert b.verdict(outputs).outputs[0].evidence == "by the direction of the error, 1.00"
    assert blind.verdict(outputs).outputs[0].evidence == "by the direction of the error, 0.59"


@every_network
@every_granularity
def test_a_dynamically_quantized_file_is_int8(name: str, per_channel: bool, tmp_path: Path) -> None:
    b = bench(name)
    low = quantized(b.model, tmp_path, per_channel=per_channel)

    outputs = integer_runner(low, b.feeds, exact_product)

    assert (b.verdict(outputs).text, b.verdict(outputs).right) == ("int8", False)
    assert b.verdict(outputs, "int8").right


@every_network
def test_the_same_file_is_wrong_where_its_products_saturate(name: str, tmp_path: Path) -> None:
    """Per channel every channel has weights of the full eight bits."""
    b = bench(name)
    low = quantized(b.model, tmp_path, per_channel=True)

    verdict = b.verdict(integer_runner(low, b.feeds, saturating_product), "int8")

    assert (verdict.text, verdict.right) == ("wrong", False)
    assert "beyond every format" in verdict.reason


@every_network
@every_granularity
def test_weights_of_seven_bits_are_int8_where_products_saturate(
    name: str, per_channel: bool, tmp_path: Path
) -> None:
    b = bench(name)
    low = quantized(b.model, tmp_path, per_channel=per_channel, reduce_range=True)

    outputs = integer_runner(low, b.feeds, saturating_product)

    assert (b.verdict(outputs).text, b.verdict(outputs).right) == ("int8", False)
    assert b.verdict(outputs, "int8").right


def test_a_relative_error_of_3e_6_is_between() -> None:
    b = bench("mlp")
    rng = np.random.default_rng(0)
    outputs = b.edited(lambda a: np.float32(1 + rng.normal(0, 3e-6, a.shape)) * a)

    verdict = b.verdict(outputs)

    assert (verdict.text, verdict.right) == ("between", False)
    assert verdict.reason.startswith("declares float32, is between: RMS error ")
    assert "float32 ends at 10, float16 begins at 5" in verdict.reason
    assert b.verdict(outputs, "bfloat16").right


@every_network
@pytest.mark.parametrize("edit", [swapped, tail_zeroed, not_a_number, infinite])
def test_spoilt_outputs_are_wrong(name: str, edit: Callable[[Array], Array]) -> None:
    verdict = bench(name).verdict(bench(name).edited(edit))

    assert (verdict.text, verdict.right) == ("wrong", False)
    assert verdict.reason.startswith("wrong: ")


def test_a_transposed_square_weight_is_wrong() -> None:
    b = bench("encoder")
    name, square = next((n, w) for n, w in weights(b.model).items() if w.shape == (64, 64))

    assert b.verdict(b.float32(with_weights(b.model, {name: square.T.copy()}))).text == "wrong"


@every_network
@pytest.mark.parametrize("factor", [-1.0, 1.1, 0.0], ids=["sign", "ten per cent", "dropped"])
def test_a_changed_first_weight_is_never_float32(name: str, factor: float) -> None:
    b = bench(name)
    changed = max(weights(b.model).items(), key=lambda item: item[1].size)[1].copy()
    key = max(weights(b.model), key=lambda n: weights(b.model)[n].size)
    index = np.unravel_index(np.argmax(np.abs(changed)), changed.shape)
    changed[index] *= np.float32(factor)

    verdict = b.verdict(b.float32(with_weights(b.model, {key: changed})))

    assert not verdict.right


def test_a_missing_bias_is_not_right() -> None:
    b = bench("classifier")
    bias = b.model.graph.node[0].input[2]

    verdict = b.verdict(b.float32(with_weights(b.model, {bias: weights(b.model)[bias] * 0})))

    assert not verdict.right


def test_an_error_that_only_its_size_speaks_for_is_not_called_a_format() -> None:
    b = bench("convnet")
    scaled = {n: w * np.float32(1.001) for n, w in weights(b.model).items() if w.ndim == 4}

    verdict = b.verdict(b.float32(with_weights(b.model, scaled)))

    assert not verdict.right
    assert "is as imprecise as" in verdict.reason
    assert "a small fault looks the same" in verdict.outputs[0].evidence


def test_a_fault_in_few_elements_names_them() -> None:
    b = bench("encoder")
    outputs = b.float32()
    outputs[3][b.output][1, 7, 9] += 0.01

    (verdict,) = b.verdict(outputs).outputs

    assert verdict.names == ("wrong",)
    assert verdict.evidence == "1 element of 16,384 far worse than the others"
    assert verdict.few == ((3, 1, 7, 9),)
    assert verdict.worst == (3, 1, 7, 9)
    assert float(verdict.got) - float(verdict.expected) == pytest.approx(0.01, rel=1e-3)
    assert float(verdict.max_abs) == pytest.approx(0.01, rel=1e-3)


def test_the_kind_of_nan_and_its_place_are_told() -> None:
    b = bench("mlp")
    outputs = b.float32()
    outputs[2][b.output][5, 1] = np.nan

    (verdict,) = b.verdict(outputs).outputs

    assert verdict.evidence == "NaN or Inf in 1 element, unlike the oracle"
    assert verdict.worst == (2, 5, 1)
    assert verdict.got == "nan"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda a: a.astype(np.float64), "wrong: its type is float64, the file says float32"),
        (
            lambda a: a[:, :1],
            "wrong: its shape for feed 0 is (80, 1), the oracle's is (80, 2)",
        ),
    ],
    ids=["type", "shape"],
)
def test_another_form_is_wrong(edit: Callable[[Array], Array], reason: str) -> None:
    verdict = bench("mlp").verdict(bench("mlp").edited(edit))

    assert (verdict.text, verdict.reason) == ("wrong", reason)


def test_a_missing_and_an_unknown_output_are_wrong() -> None:
    b = bench("mlp")

    verdict = b.verdict([{"other": o[b.output]} for o in b.float32()])

    assert verdict.text == "wrong"
    assert {v.output: v.evidence for v in verdict.outputs} == {
        b.output: "it is missing for feed 0",
        "other": "the file has no such output",
    }


def test_float16_outputs_fit_a_target_that_declares_float16() -> None:
    b = bench("mlp")
    low = [{n: a.astype(np.float16) for n, a in o.items()} for o in b.torch(torch.float16)]

    assert b.verdict(low, "float16").right
    assert b.verdict(low).reason == "wrong: its type is float16, the file says float32"


def test_bfloat16_outputs_may_come_as_bits() -> None:
    b = bench("mlp")
    values = b.torch(torch.bfloat16)
    bits = [{n: (a.view(np.uint32) >> 16).astype(np.uint16) for n, a in o.items()} for o in values]

    verdict = b.judge.verdict(bits, "bfloat16", types={b.output: "bfloat16"})

    assert (verdict.text, verdict.right) == ("bfloat16", True)


def test_a_float16_file_is_right_in_float16_and_not_in_bfloat16() -> None:
    model = float16_file(mlp())
    each: list[Feed] = [{"x": f["x"].astype(np.float16)} for f in feeds(SHAPES["mlp"])]
    low = Bench(model, each, judge(model, each))
    rough = [{n: a.astype(np.float16) for n, a in o.items()} for o in low.torch(torch.bfloat16)]

    assert low.verdict(low.float32(), "float16").right
    assert low.verdict(rough, "float16").reason == "declares float16, computes bfloat16"


@pytest.mark.parametrize(
    ("limits", "right"),
    [
        (Limits(accept="bfloat16"), True),
        (Limits(accept="float16"), False),
        (Limits(atol=0.05), True),
        (Limits(atol=1e-5, rtol=1e-5), False),
        (Limits(top1=0.9), True),
        (Limits(accept="float16", top1=0.9), False),
    ],
    ids=str,
)
def test_the_user_moves_the_limit(limits: Limits, right: bool) -> None:
    b = bench("classifier")

    verdict = b.judge.verdict(b.torch(torch.bfloat16), limits=limits)

    assert verdict.text == "bfloat16"
    assert verdict.right is right


def test_the_reason_of_a_limit_says_what_was_asked() -> None:
    b = bench("classifier")
    outputs = b.torch(torch.bfloat16)

    accept = b.judge.verdict(outputs, limits=Limits(accept="float16"))
    close = b.judge.verdict(outputs, limits=Limits(atol=1e-7))

    assert accept.reason == "accepts float16, computes bfloat16"
    assert close.reason.endswith(" elements beyond atol 1e-07 and rtol 0")


def test_a_tolerance_refuses_what_float32_does_where_the_user_says_so() -> None:
    verdict = bench("mlp").judge.verdict(bench("mlp").float32(), limits=Limits(atol=0.0))

    assert (verdict.text, verdict.right) == ("float32", False)


def test_top_classes_that_changed_are_counted() -> None:
    b = bench("classifier")
    outputs = b.float32()
    outputs[0][b.output][2] = outputs[0][b.output][2][::-1]

    (verdict,) = b.verdict(outputs).outputs

    assert (verdict.top1_changes, verdict.rows) == (1, 160)


def test_few_elements_are_said() -> None:
    each = feeds((2, 64), 0)
    small = Bench(mlp(), each, judge(mlp(), each))

    verdict = small.verdict(small.float32())

    assert verdict.text == "float32"
    assert verdict.outputs[0].evidence.endswith("; only 32 elements, 1,000 make it sure")


def test_feeds_of_several_shapes_are_pooled() -> None:
    each = [*feeds((80, 64), 1, 7), *feeds((1, 64), 2, 1), *feeds((7, 64), 3, 1)]
    mixed = Bench(mlp(), each, judge(mlp(), each))

    assert mixed.verdict(mixed.float32()).text == "float32"
    assert mixed.verdict(mixed.torch(torch.bfloat16)).text == "bfloat16"


def test_saturated_outputs_are_not_shown_to_be_right() -> None:
    model, each = mlp(gain=1e6), feeds((80, 64))
    saturated = Bench(model, each, judge(model, each))

    verdict = saturated.verdict(saturated.torch(torch.float32))

    assert (verdict.text, verdict.answer, verdict.right) == ("not shown", "not shown", False)
    assert verdict.reason.startswith("its activation is saturated; float32, float16 or ")
    assert verdict.reason == verdict.outputs[0].evidence
    assert saturated.verdict(saturated.float32(), "float16").answer == "not shown"
    taken = saturated.judge.verdict(saturated.float32(), limits=Limits(undecided=True))
    assert (taken.text, taken.right) == ("bfloat16 or finer", True)
    assert not saturated.judge.verdict(
        saturated.edited(np.zeros_like), limits=Limits(undecided=True)
    ).right


def test_the_tensor_before_a_saturating_activation_is_a_witness() -> None:
    model, each = mlp(gain=1e6), feeds((80, 64))
    saturated = Bench(model, each, judge(model, each))
    verdict = saturated.verdict(saturated.torch(torch.float32))

    low = exposed(thinmodels.of_model(model), find(model)).whole()
    seen = saturated.judge.with_witness(verdict, saturated.torch(torch.bfloat16, low))

    assert seen.outputs[0].witness == "bfloat16 (all values lie on bfloat16's grid)"
    assert replace(seen.outputs[0], witness="") == verdict.outputs[0]


@cache
def labels() -> Bench:
    model, each = labeller(1), feeds(SHAPES["labeller"])
    return Bench(model, each, judge(model, each))


def test_indices_are_right_where_their_scores_are() -> None:
    b = labels()
    low = exposed(thinmodels.of_model(b.model), find(b.model)).whole()

    verdict = b.verdict(b.float32())
    right = b.judge.with_witness(verdict, b.torch(torch.float32, low))
    coarse = b.judge.with_witness(verdict, b.torch(torch.bfloat16, low))

    assert (verdict.text, verdict.answer) == ("not shown", "not shown")
    assert verdict.reason == (
        "indices agree in all 512, and the scores that they were chosen by were not shown to be"
        " right"
    )
    assert (right.text, right.answer, right.reason) == ("exact", "right", "")
    assert coarse.answer == "not shown"
    assert coarse.outputs[0].witness.startswith("bfloat16")
    assert (verdict.outputs[0].top1_changes, verdict.outputs[0].rows) == (0, 512)


def test_a_flip_of_a_near_tie_is_as_imprecise_as_the_format_that_explains_it() -> None:
    b = labels()
    tensor = b.judge.choices[b.output].tensor
    logits = b.judge.oracle[0][tensor]
    ordered = np.sort(logits, axis=1)
    row = int(np.argmin(ordered[:, -1] - ordered[:, -2]))
    outputs = b.float32()
    outputs[0][b.output][row] = np.argsort(logits[row])[-2]
    errors = {s.precision: np.std(s.outputs[0][tensor] - logits) for s in b.judge.simulated[::-1]}
    assert ordered[row, -1] - ordered[row, -2] > 10 * errors["float32"]

    verdict = b.verdict(outputs)

    assert not verdict.right
    assert verdict.outputs[0].evidence.startswith("1 of 512 indices differ, as near ties do in ")
    assert verdict.outputs[0].top1_changes == 1
    assert b.judge.verdict(outputs, limits=Limits(top1=0.99)).right


def test_a_flip_that_float32_explains_is_right_and_not_called_exact() -> None:
    """Two logits lie 1e-8 apart, a plain float32 evaluation errs by 1e-7."""
    logits = np.array([[0.5, 0.5 + 1e-8, 0.0], [3.0, 1.0, 2.0]])
    plain = Simulation("float32", "plain", [{"logits": logits + 1e-7}])
    right = {"y": logits.argmax(1), "logits": logits}
    choices = {"y": Choice("ArgMax", "logits", 1)}
    tied = Judge((TensorSpec("y", "int64", None),), [right], (plain,), "by hand", choices)

    verdict = tied.verdict([{"y": np.array([0, 0])}])

    assert verdict.answer == "not shown"
    assert verdict.outputs[0].top1_changes == 1
    assert verdict.outputs[0].evidence == (
        "1 of 2 indices differ, a choice among equals within float32's noise"
    )


def test_a_flip_against_a_clear_margin_is_wrong() -> None:
    b = labels()
    outputs = b.edited(lambda a: (a + 1) % 10)

    verdict = b.verdict(outputs)

    assert verdict.text == "wrong"
    assert "512 of 512 indices differ, where the oracle's logits are up to " in verdict.reason


def test_a_target_has_the_worst_of_its_outputs() -> None:
    b = Builder(4)
    hidden = b.node("Relu", b.gemm("x", 64, 32))
    first, second = b.gemm(hidden, 32, 8), b.gemm(hidden, 32, 16)
    label = b.node("ArgMax", first, axis=1, keepdims=0)
    outputs = ((first, TensorProto.FLOAT), (second, TensorProto.FLOAT), (label, TensorProto.INT64))
    model, each = b.model(["batch", 64], *outputs), feeds((40, 64))
    many = Bench(model, each, judge(model, each))
    good, low = many.float32(), many.torch(torch.bfloat16)

    right = many.verdict(good)
    mixed = many.verdict([g | {second: w[second]} for g, w in zip(good, low, strict=True)])

    assert (right.text, right.right) == ("float32", True)
    assert [text for v in right.outputs[:2] for text in v.names] == ["float32", "float32"]
    assert mixed.text == "bfloat16"
    assert mixed.reason == f"{second}: declares float32, computes bfloat16"


def test_float16_that_overflows_is_no_class_of_that_model() -> None:
    b = Builder(6)
    y = b.node("Mul", b.gemm(b.node("Relu", b.gemm("x", 64, 96)), 96, 8), b.floats(np.array(1e6)))
    model, each = b.model(["batch", 64], (y, TensorProto.FLOAT)), feeds((40, 64))
    large = Bench(model, each, judge(model, each))

    assert large.verdict(large.float32()).text == "float32"
    assert large.verdict(large.torch(torch.bfloat16)).text == "bfloat16"
    assert large.verdict(large.torch(torch.float16)).text == "wrong"


def test_where_float32_itself_overflows_nothing_is_judged() -> None:
    b = Builder(7)
    big = b.node("Mul", b.node("Mul", "x", b.floats(np.array(1e30))), b.floats(np.array(1e30)))
    model, each = b.model(["batch", 64], (big, TensorProto.FLOAT)), feeds((8, 64))
    infinite_outputs = Bench(model, each, judge(model, each))

    verdict = infinite_outputs.verdict(infinite_outputs.float32())

    assert verdict.answer == "not shown"
    assert "no element is finite in float32" in verdict.reason
    assert not infinite_outputs.verdict(infinite_outputs.edited(np.zeros_like)).right


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int64", np.arange(600).reshape(20, 30)),
        ("bool", np.arange(600).reshape(20, 30) % 2 == 0),
        ("string", np.array([f"word {i}" for i in range(600)])),
    ],
    ids=["int64", "bool", "string"],
)
def test_what_is_not_a_float_must_be_equal(kind: str, values: Array) -> None:
    exact = Judge((TensorSpec("y", kind, None),), [{"y": values}], (), "by hand")
    changed = values.copy()
    changed.flat[-1] = values.flat[0]

    assert exact.verdict([{"y": values}]).right
    assert exact.verdict([{"y": values}]).text == "exact"
    assert exact.verdict([{"y": changed}]).text == "wrong"
    assert "must be equal" in exact.verdict([{"y": changed}]).reason


@every_network
def test_the_border_holds_for_every_feed_of_the_same_call(name: str) -> None:
    b = bench(name)
    for outputs in (b.float32(), b.torch(torch.bfloat16)):
        first = b.verdict(outputs)

        assert b.judge.border(outputs, first).within
        for feed, output in enumerate(outputs):
            assert b.judge.border([output], first, [feed]).within


@every_network
def test_a_timed_call_that_computes_something_else_is_found_on_one_feed(name: str) -> None:
    b = bench(name)
    right = b.float32()
    first = b.verdict(right)
    others = {
        "bfloat16": b.torch(torch.bfloat16)[0],
        "another feed's": right[1],
        "nothing": {n: np.zeros_like(a) for n, a in right[0].items()},
        "swapped": {n: swapped(a) for n, a in right[0].items()},
    }

    borders = {word: b.judge.border([o], first, [0]) for word, o in others.items()}

    assert {word for word, border in borders.items() if border.within} == set()
    assert "times that of plain float32, at first " in borders["bfloat16"].reason


def test_a_single_spoilt_element_is_beyond_the_border() -> None:
    b = bench("encoder")
    right = b.float32()
    first = b.verdict(right)
    right[0][b.output][0, 0, 0] += 3e-4

    border = b.judge.border(right, first)

    assert not border.within
    assert border.reason == "a few elements are far worse than the others"


def test_a_target_that_grows_less_precise_than_bfloat16_is_beyond_the_border() -> None:
    b = bench("classifier")
    low = b.torch(torch.bfloat16)
    first = b.verdict(low)
    worse = [{n: a * np.float32(0.8) for n, a in o.items()} for o in low]

    assert not b.judge.border(worse, first).within


def test_indices_have_a_border_too() -> None:
    b = labels()
    first = b.verdict(b.float32())

    assert b.judge.border(b.float32()[:1], first, [0]).within
    assert not b.judge.border(b.edited(lambda a: (a + 1) % 10)[:1], first, [0]).within


def test_an_output_of_a_single_name_asks_for_no_witness() -> None:
    b = bench("mlp")
    verdict = b.verdict(b.float32())
    shown = exposed(thinmodels.of_model(b.model), find(b.model)).whole()

    assert b.judge.with_witness(verdict, b.torch(torch.float32, shown)) == verdict


def test_a_complex_answer_where_the_oracles_is_real_is_wrong() -> None:
    """A damaged file may declare so: the two have not as many numbers."""
    spec, acceptance = TensorSpec("y", "complex64", (2,)), Acceptance("float32", Limits(), {})

    reason = misfit(spec, [np.ones(2, np.complex64)], [np.ones(2)], acceptance)

    assert reason == "it is complex64 for feed 0, the oracle's is float64"


def test_outputs_that_are_the_same_whatever_is_fed_are_not_shown() -> None:
    """Of constant weights, as onnx's light models have them: every class has the same share."""
    b = Builder(8)
    flat = b.node("MatMul", "x", b.floats(np.full((64, 10), 0.02, np.float32)))
    output = (b.node("Softmax", flat), TensorProto.FLOAT)
    model, each = b.model(["batch", 64], output), feeds((9, 64))
    constant = Bench(model, each, judge(model, each))

    for declared in ORDER:
        verdict = constant.verdict(constant.float32(), declared)
        assert verdict.answer == "not shown"
        assert verdict.reason.startswith("its values are the same whatever is fed; ")


def test_an_output_that_no_input_decides_is_right_where_it_is_near() -> None:
    """Anchors of a detector: they are the same whatever is fed, and nothing can hide in them."""
    b = Builder(9)
    anchors = b.node("Exp", b.floats(np.linspace(0, 5, 2000, dtype=np.float32).reshape(20, 100)))
    outputs = ((anchors, TensorProto.FLOAT), (b.gemm("x", 64, 32), TensorProto.FLOAT))
    model, each = b.model(["batch", 64], *outputs), feeds((40, 64))
    fixed = Bench(model, each, replace(judge(model, each), unfed=unfed(model.graph)))

    assert unfed(model.graph) == {anchors}
    assert (fixed.verdict(fixed.float32()).text, fixed.verdict(fixed.float32()).right) == (
        "float32",
        True,
    )


def test_a_deep_network_that_ends_at_one_point_shows_its_precision_all_the_same() -> None:
    """Forty layers of small weights: the last ones round, whatever was fed."""
    b = Builder(10)
    hidden = "x"
    for _ in range(40):
        hidden = b.node("Relu", b.gemm(hidden, 64, 64))
        hidden = b.node("Mul", hidden, b.floats(np.array(0.3, np.float32)))
    model, each = b.model(["batch", 64], (hidden, TensorProto.FLOAT)), feeds((40, 64))
    deep = Bench(model, each, judge(model, each))

    verdict = deep.verdict(deep.float32())

    assert silence.is_constant([each[deep.output] for each in deep.judge.oracle])
    assert (verdict.text, verdict.right) == ("float32", True)
    assert deep.verdict(deep.torch(torch.bfloat16)).text == "bfloat16"
