"""The oracle is what is disputed where witnesses that do not ask it speak against it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import small
from toolkit.answers import dispute, simulate
from toolkit.engine import judges
from toolkit.engine.judges import JudgedFeed
from toolkit.onnxfiles import modelfile
from toolkit.oracle import oracles
from toolkit.tensors import Array

DRAW = np.random.default_rng(5)
WANTED = DRAW.normal(size=(1, 2000))


def noisy(size: float) -> list[dict[str, Array]]:
    return [{"y": WANTED + size * DRAW.normal(size=WANTED.shape)}]


ORACLE = [{"y": WANTED}]


@pytest.mark.parametrize(
    ("other", "own", "disputed"),
    [
        (1e-7, 1e-7, False),
        (9e-7, 1e-7, False),
        (1e-4, 1e-7, False),
        (1.0, 1e-7, True),
        (1.0, 0.5, False),
    ],
    ids=["alike", "9 times", "less than bfloat16 moves it", "another function", "both far away"],
)
def test_a_file_that_two_evaluators_read_differently_is_told(
    other: float, own: float, disputed: bool
) -> None:
    theirs = noisy(other)
    rounded = [[{"y": theirs[0]["y"] + noisy(size)[0]["y"] - WANTED}] for size in (3e-3, 1e-3)]

    sentence = dispute.misread(["y"], ORACLE, noisy(own), theirs, lambda: rounded)

    assert bool(sentence) is disputed
    assert not sentence or re.fullmatch(r"'y' by \S+ times the noise of float32", sentence)


def test_numbers_beyond_float32_have_a_noise_too() -> None:
    huge = [{"y": WANTED * 1e200}]
    theirs = [{"y": np.where(np.arange(2000) < 1, 0, WANTED) * 1e200}]
    rounded = [[{"y": theirs[0]["y"] * 1.001}]]

    assert dispute.misread(["y"], huge, huge, huge, lambda: rounded) == ""
    sentence = dispute.misread(["y"], huge, huge, theirs, lambda: rounded)
    assert re.fullmatch(r"'y' by \S+ times the noise of float32", sentence)


def test_two_libraries_that_agree_are_named_and_two_ways_into_one_are_not() -> None:
    truth = WANTED + 1.0
    answers = {
        3: ("onnxruntime", [{"y": truth + 1e-7 * DRAW.normal(size=truth.shape)}]),
        4: ("onnxruntime", [{"y": truth + 1e-7 * DRAW.normal(size=truth.shape)}]),
        7: ("openvino", [{"y": truth + 1e-7 * DRAW.normal(size=truth.shape)}]),
        8: ("tract", noisy(1.0)),
        9: ("ncnn", [{"y": np.full(truth.shape, np.nan)}]),
    }

    assert [*dispute.agreeing(["y"], {"y": 1e-7}, answers)] == [(3, 7), (4, 7)]


def elu(path: Path, alpha: float) -> Path:
    """Gemm and Elu; what is planted is another alpha."""
    weight = np.random.default_rng(2).normal(size=(16, 20)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Elu", ["h"], ["y"], alpha=alpha),
    ]
    return small.save(
        path, nodes, {"x": ["n", 16]}, {"y": ["n", 20]}, [numpy_helper.from_array(weight, "w")]
    )


@pytest.mark.parametrize(("alpha", "disputed"), [(1.0, False), (0.5, True)])
def test_an_oracle_that_reads_an_operator_differently_sets_no_noise_of_its_own(
    tmp_path: Path, alpha: float, disputed: bool
) -> None:
    """The oracle and its float32 evaluation are those of another alpha than the file's."""
    path = elu(tmp_path / "m.onnx", 1.0)
    oracle = oracles.of_model(onnx.load(elu(tmp_path / "other.onnx", alpha)))
    feeds = [{"x": DRAW.normal(size=(60, 16)).astype(np.float32)}]

    build = judges.build(
        modelfile.open_once(path),
        [JudgedFeed(feed, oracle.answer(feed), oracle.in_float32(feed)) for feed in feeds],
        origin=oracle.name,
        start=simulate.reference_runner,
        bare=True,
    )
    right = oracles.of_model(onnx.load(path)).in_float32(feeds[0])

    assert bool(build.disputed) is disputed
    assert right is not None
    assert build.judge.verdict([right]).right is not disputed
