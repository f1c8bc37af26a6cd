"""OpenVINO in an environment of its own: pinned to float32, and caught where it is not.

A download of some 60 MB: `pytest -m slow tests/runtimes/test_openvino.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import small
from tests.workers.conftest import Start, start
from toolkit.pipelines.bench import Order
from toolkit.pipelines.check import check
from toolkit.runtimes.target import parse

__all__ = ["start"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("openvino") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "openvino==2026.4.0", "numpy"], check=True)
    return str(folder)


def verdicts(model: Path, *targets: str) -> list[tuple[str, bool]]:
    run = check(model, Order([parse(text) for text in targets])).run
    return [(r.verdict.text, r.verdict.right) for r in run.records if r.verdict is not None]


def test_it_is_pinned_to_float32_by_both_ways_in(environment: str, tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    found = verdicts(model, f"openvino,env={environment}", f"openvino,env={environment},io=bound")

    assert found == [("float32", True), ("float32", True)]


@pytest.mark.skipif(
    "avx512_bf16" not in Path("/proc/cpuinfo").read_text(),
    reason="this processor has no bfloat16, so OpenVINO's default is float32",
)
def test_its_default_is_named_bfloat16_and_not_right(environment: str, tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    found = verdicts(
        model,
        f"openvino,env={environment},precision=default",
        f"openvino,env={environment},precision=bfloat16",
    )

    assert found == [("bfloat16", False), ("bfloat16", True)]


def test_a_bound_buffer_that_no_call_wrote_is_seen(
    start: Start, environment: str, tmp_path: Path
) -> None:
    worker = start("openvino", env=environment, io="bound")
    worker.post_hello()
    worker.hello()
    worker.post_load(small.mlp_program(small.mlp(tmp_path / "mlp.onnx")))
    placement = worker.load().placement
    worker.bind("a", {"input": np.ones((7, 64), np.float32)}, {})
    first, _ = worker.answer("a")
    worker.sample("a", 20, 2)
    left, _ = worker.answer("a", again=False)

    assert placement.nodes["cpu"] > 0
    np.testing.assert_array_equal(first["output"], left["output"])
