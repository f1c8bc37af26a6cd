"""The worker of simulations may import its library before it is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser
import psutil
import pytest

from toolkit.engine import unoptimised
from toolkit.onnxfiles import thinmodels
from toolkit.workers import environments

pytestmark = pytest.mark.process

DOUBLE = """<ir_version: 10, opset_import: ["" : 20]>
    g (float[n] x) => (float[n] y) { y = Add (x, x) }"""


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_the_first_runner_has_the_worker_that_was_started_before(tmp_path: Path) -> None:
    worker_code = environments.lay(tmp_path / "rooms", [])
    model = thinmodels.of_model(onnx.parser.parse_model(DOUBLE))
    feed = {"x": np.ones(3, np.float32)}
    before = children()

    with unoptimised.imported_early(worker_code) as start:
        early = children() - before
        assert len(early) == 1
        with start() as run:
            assert run(model, [feed])[0]["y"].tolist() == [2, 2, 2]
            assert children() - before == early
        assert children() == before
    with start() as run:  # A verdict may need more of them later.
        assert run(model, [feed])[0]["y"].tolist() == [2, 2, 2]
        assert not children() - before & early
    assert children() == before


def test_a_worker_that_nobody_needed_is_stopped(tmp_path: Path) -> None:
    worker_code = environments.lay(tmp_path / "rooms", [])
    before = children()

    with unoptimised.imported_early(worker_code):
        assert len(children() - before) == 1

    assert children() == before
