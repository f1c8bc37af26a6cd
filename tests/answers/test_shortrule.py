"""The short rule, by float32 and the formats nearest to it, and the whole rule agree."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto

from tests.answers.networks import (
    NETWORKS,
    SHAPES,
    UNEVEN,
    Builder,
    feeds,
    judge,
    labeller,
    mlp,
    onnxruntime_runner,
    torch_runner,
    weights,
    with_weights,
)
from tests.answers.spoilt import not_a_number, swapped, tail_zeroed
from toolkit.answers.formats import ORDER, Precision, rounded, through_float16
from toolkit.answers.judge import Judge
from toolkit.answers.simulate import NEAR, PLAIN, LowerForms
from toolkit.answers.verdict import Limits, Verdict
from toolkit.engine import judges
from toolkit.engine.judges import JudgedFeed
from toolkit.onnxfiles import modelfile
from toolkit.oracle import oracles
from toolkit.tensors import Array, Feed

Outputs = list[dict[str, Array]]
LOWER = ORDER[1:]
EVERY = {**NETWORKS, **UNEVEN}


@dataclass(frozen=True)
class Pair:
    """One network with a judge of either kind."""

    model: ModelProto
    feeds: list[Feed]
    short: Judge
    whole: Judge

    def right(self, model: ModelProto | None = None) -> Outputs:
        return onnxruntime_runner(model or self.model, self.feeds, "ORT_ENABLE_ALL")

    def simulated(self) -> set[Precision]:
        """The classes of which a form was made on every feed."""
        lower = self.short.lower
        assert isinstance(lower, LowerForms)
        made = {form for form, feed in lower.simulator.made() if feed == len(self.feeds) - 1}
        return {form.precision for form in made} & set(LOWER)


def pair(model: ModelProto, each: list[Feed]) -> Pair:
    return Pair(model, each, judge(model, each, lazy=True), judge(model, each))


@cache
def network(name: str, seed: int = 5) -> Pair:
    return pair(EVERY[name](seed), feeds(SHAPES[name], seed))


def agreed(networks: Pair, outputs: Outputs) -> Verdict:
    """The verdict, on which both must agree."""
    short, whole = networks.short.verdict(outputs), networks.whole.verdict(outputs)
    assert (short.text, short.right, short.reason) == (whole.text, whole.right, whole.reason)
    for mine, theirs in zip(short.outputs, whole.outputs, strict=True):
        assert (mine.names, mine.evidence, mine.few, mine.worst) == (
            theirs.names,
            theirs.evidence,
            theirs.few,
            theirs.worst,
        )
        figures = [(v.factor, v.rms, v.max_abs, v.got, v.expected) for v in (mine, theirs)]
        one, other = (np.array(each, float) for each in figures)
        np.testing.assert_allclose(one, other, rtol=1e-9)
    return short


every_network = pytest.mark.parametrize("name", EVERY)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "vocabulary"])
@pytest.mark.parametrize("seed", [5, 6])
def test_right_float32_is_told_with_no_more_than_the_near_formats(name: str, seed: int) -> None:
    networks = pair(EVERY[name](seed), feeds(SHAPES[name], seed))

    verdict = agreed(networks, networks.right())

    assert verdict.text == "float32"
    lower = networks.short.lower
    assert isinstance(lower, LowerForms)
    forms = {form for form, _ in lower.simulator.made()} - {PLAIN}
    assert forms == set(NEAR)
    assert set(verdict.outputs[0].bands) >= {"float32", "tf32", "float16"}


@every_network
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_the_types_of_pytorch(name: str, kind: torch.dtype) -> None:
    networks = network(name)

    agreed(networks, torch_runner(networks.model, networks.feeds, kind))


@every_network
@pytest.mark.parametrize("seed", range(3))
def test_faults_in_a_few_elements_that_hide_in_the_rms_of_float32(name: str, seed: int) -> None:
    """Each is as large as float32's noise over all elements allows, down to a hundredth of it."""
    networks, draw = network(name), np.random.default_rng(seed)
    (spec,) = networks.short.outputs
    right = networks.right()
    size = sum(o[spec.name].size for o in right)
    border = 10 * networks.whole.noise(spec.name) * np.sqrt(size)
    texts = set()
    for share in (0.9, 0.5, 0.2, 0.1, 0.05, 0.02):
        outputs = [{spec.name: o[spec.name].copy()} for o in right]
        feed = draw.integers(len(outputs))
        outputs[feed][spec.name].ravel()[draw.integers(outputs[feed][spec.name].size)] += (
            np.float32(share * border * draw.choice([-1, 1]))
        )
        texts.add(agreed(networks, outputs).text)

    assert "wrong" in texts


EDITS: dict[str, Callable[[Array], Array]] = {
    "swapped": swapped,
    "tail zeroed": tail_zeroed,
    "NaN": not_a_number,
    "relative error": lambda a: np.asarray(a * np.float32(1 + 3e-6)),
    "another type": lambda a: a.astype(np.float64),
    "another shape": lambda a: a[:1],
}


@every_network
@pytest.mark.parametrize("edit", EDITS)
def test_spoilt_outputs(name: str, edit: str) -> None:
    networks = network(name)

    agreed(networks, [{n: EDITS[edit](a.copy()) for n, a in o.items()} for o in networks.right()])


@every_network
@pytest.mark.parametrize("factor", [-1.0, 1.1, 1.01, 1.001, 1 + 1e-5, 0.0])
def test_a_changed_weight(name: str, factor: float) -> None:
    networks = network(name)
    key, weight = max(weights(networks.model).items(), key=lambda item: item[1].size)
    changed = weight.copy()
    changed[np.unravel_index(np.argmax(np.abs(changed)), changed.shape)] *= np.float32(factor)

    agreed(networks, networks.right(with_weights(networks.model, {key: changed})))


@pytest.mark.parametrize("gain", [30.0, 1e3, 1e6])
def test_saturated_outputs(gain: float) -> None:
    networks = pair(mlp(gain=gain), feeds(SHAPES["mlp"]))

    agreed(networks, networks.right())
    agreed(networks, torch_runner(networks.model, networks.feeds, torch.bfloat16))


@pytest.mark.parametrize(
    "grid", [through_float16, lambda a: rounded(a, 8)], ids=["float16", "bfloat16"]
)
def test_weights_that_are_numbers_of_a_lower_format_already(grid: Callable[[Array], Array]) -> None:
    """Rounding them alone does nothing: that is float32, and no lower format."""
    model = with_weights(mlp(), {n: grid(w) for n, w in weights(mlp()).items()})
    networks = pair(model, feeds(SHAPES["mlp"]))

    verdict = agreed(networks, networks.right())

    assert verdict.text == "float32"


def test_weights_with_eight_bits_of_their_largest() -> None:
    """Three values a weight, as in a ternary network: rounding them to int8 changes none."""
    draw = np.random.default_rng(2)
    ternary = {n: np.sign(draw.normal(size=w.shape)) * 0.37 for n, w in weights(mlp()).items()}
    model = with_weights(mlp(), {n: w.astype(np.float32) for n, w in ternary.items()})
    networks = pair(model, feeds(SHAPES["mlp"]))

    assert agreed(networks, networks.right()).text == "float32"


def test_weights_of_bfloat16_of_which_a_few_are_too_small_for_float16() -> None:
    """Many networks were trained so, and are kept in float32: float16 rounds hardly a weight."""
    draw = np.random.default_rng(2)
    small = {
        n: rounded(np.where(draw.random(w.shape) < 0.004, w * 1e-5, w), 8)
        for n, w in weights(mlp()).items()
    }
    networks = pair(with_weights(mlp(), small), feeds(SHAPES["mlp"]))

    assert agreed(networks, networks.right()).text == "float32"
    low = torch_runner(networks.model, networks.feeds, torch.bfloat16)
    assert agreed(networks, low).text == "bfloat16"


def test_a_network_without_products_or_weights() -> None:
    b = Builder(3)
    model = b.model(["batch", 64], (b.node("Sigmoid", b.node("Relu", "x")), TensorProto.FLOAT))
    networks = pair(model, feeds((40, 64)))

    assert agreed(networks, networks.right()).text == "float32"


def test_products_that_hardly_count() -> None:
    """Of y = 3x + 1e-4·Wx the product's rounding does not show, and tf32 rounds nothing else."""
    b = Builder(4)
    small = b.node("Mul", b.gemm("x", 64, 64), b.floats(np.array(1e-5)))
    y = b.node("Add", b.node("Mul", "x", b.weight(64, inputs=1)), small)
    networks = pair(b.model(["batch", 64], (y, TensorProto.FLOAT)), feeds((40, 64)))

    assert "tf32" in agreed(networks, networks.right()).outputs[0].names


def test_weights_beyond_float16() -> None:
    b = Builder(6)
    y = b.node("Mul", b.gemm("x", 64, 8), b.floats(np.array(1e6)))
    networks = pair(b.model(["batch", 64], (y, TensorProto.FLOAT)), feeds((40, 64)))

    assert agreed(networks, networks.right()).text == "float32"


def test_few_elements_and_feeds_of_several_shapes() -> None:
    few = pair(mlp(), feeds((2, 64), 0))
    mixed = pair(mlp(), [*feeds((80, 64), 1, 7), *feeds((1, 64), 2, 1), *feeds((7, 64), 3, 1)])

    assert agreed(few, few.right()).outputs[0].evidence.endswith("1,000 make it sure")
    assert agreed(mixed, mixed.right()).text == "float32"


def test_some_feeds_of_a_judge_share_what_was_simulated() -> None:
    networks = pair(mlp(), feeds((80, 64)))
    some = networks.short.of([1, 3])
    outputs = [networks.right()[i] for i in (1, 3)]

    assert some.verdict(outputs) == networks.short.of([1, 3]).verdict(outputs)
    assert some is networks.short.of([1, 3])
    assert networks.short.of(range(8)) is networks.short
    assert some.verdict(outputs).text == networks.whole.of([1, 3]).verdict(outputs).text


def test_a_lower_declaration_asks_for_every_format() -> None:
    networks = pair(mlp(), feeds((80, 64)))
    outputs = torch_runner(networks.model, networks.feeds, torch.bfloat16)

    verdict = networks.short.verdict(outputs, "bfloat16")

    assert (verdict.text, verdict.right) == ("bfloat16", True)
    assert networks.simulated() == set(LOWER)
    assert set(verdict.outputs[0].bands) == set(ORDER)


def test_the_users_limits() -> None:
    networks = network("classifier")
    outputs = networks.right()

    for limits in (Limits(atol=1e-5), Limits(atol=0.0), Limits(top1=1.0), Limits(accept="int8")):
        short, whole = (j.verdict(outputs, limits=limits) for j in (networks.short, networks.whole))
        assert (short.text, short.right, short.reason) == (whole.text, whole.right, whole.reason)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
@every_network
def test_the_border_of_later_generations(name: str, kind: torch.dtype) -> None:
    networks = network(name)
    outputs = torch_runner(networks.model, networks.feeds, kind)
    others = [
        outputs[0],
        outputs[1],
        *({n: edit(a.copy()) for n, a in outputs[0].items()} for edit in EDITS.values()),
        torch_runner(networks.model, networks.feeds[:1], torch.float16)[0],
    ]
    first = networks.short.verdict(outputs)

    for other in others:
        short, whole = (j.border([other], first, [0]) for j in (networks.short, networks.whole))
        assert short == whole


@cache
def labels() -> Pair:
    return pair(labeller(1), feeds(SHAPES["labeller"]))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_indices(kind: torch.dtype) -> None:
    networks = labels()
    outputs = torch_runner(networks.model, networks.feeds, kind)

    agreed(networks, outputs)
    agreed(networks, [{n: (a + 1) % 10 for n, a in o.items()} for o in outputs])


def test_indices_that_agree_ask_for_no_lower_format() -> None:
    networks = pair(labeller(2), feeds(SHAPES["labeller"]))

    assert agreed(networks, networks.right()).text == "not shown"
    assert networks.simulated() == set()


def detecting(folder: Path, seed: int) -> Pair:
    """Boxes by Exp and scores by Sigmoid, of which NonMaxSuppression keeps a few hundred."""
    b, boxes = Builder(seed), 400
    x = b.node("Relu", b.gemm("x", 64, 96))
    whole = b.constant(np.array([1, 1, boxes]))
    scores = b.node("Sigmoid", b.node("Reshape", b.gemm(x, 96, boxes), whole))
    pairs = b.constant(np.array([boxes, 2]))
    half = b.node("Exp", b.node("Reshape", b.gemm(x, 96, 2 * boxes), pairs))
    places = b.floats(b.rng.uniform(0, 100, (boxes, 2)))
    low, high = b.node("Sub", places, half), b.node("Add", places, half)
    corners = b.node("Concat", low, high, axis=1)
    first, flat = b.constant(np.array([0])), b.constant(np.array([-1]))
    limits = (b.constant(np.array([boxes])), b.floats(np.array([0.5])), b.floats(np.array([0.05])))
    every = b.node("Unsqueeze", corners, first)
    selected = b.node("NonMaxSuppression", every, scores, *limits)
    kept = b.node("Gather", selected, b.constant(np.array(2)), axis=1)
    outputs = (
        b.node("Gather", corners, kept),
        b.node("Gather", b.node("Reshape", scores, flat), kept),
    )
    model = b.model([1, 64], *((name, TensorProto.FLOAT) for name in outputs))
    onnx.save(model, folder / "model.onnx")
    opened, each = modelfile.open_once(folder / "model.onnx"), feeds((1, 64), seed, 8)
    oracle = oracles.of_model(model)
    built = judges.build(
        opened,
        [JudgedFeed(feed, oracle.answer(feed), oracle.in_float32(feed)) for feed in each],
        origin="the file",
        start=lambda: nullcontext(lambda thin, some: onnxruntime_runner(thin.whole(), some)),
    )
    return Pair(model, each, built.judge, built.judge.whole)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_detector(seed: int, tmp_path: Path) -> None:
    networks = detecting(tmp_path, seed)
    right = networks.right()
    boxes = networks.short.outputs[0].name
    border = 10 * networks.whole.noise(boxes) * np.sqrt(sum(o[boxes].size for o in right))
    draw = np.random.default_rng(seed)
    texts = set()

    assert agreed(networks, right).text == "float32"
    for share in (0.9, 0.5, 0.2, 0.1, 0.05, 0.02):
        outputs = [{name: array.copy() for name, array in o.items()} for o in right]
        spoilt = outputs[draw.integers(len(outputs))][boxes]
        spoilt.ravel()[draw.integers(spoilt.size)] += np.float32(share * border)
        texts.add(agreed(networks, outputs).text)
    assert "wrong" in texts
