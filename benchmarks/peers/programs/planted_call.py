"""Makes the call that is timed: the reference model in ONNX Runtime, slowed by a known share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted.planted.runtime import Planted
from toolkit.runtimes.base import Program, settings

MODEL = Path(__file__).parents[3] / "models/mlp/mlp.onnx"


def make(slower: str) -> Callable[[], Any]:
    """A call of one row with IO binding: one intra-op thread, no spinning. `slower`: '2%'."""
    os.environ.update(Planted.environment)
    options = settings(Planted, {"io": "bound", "slower": slower})
    session = Planted().load(Program(MODEL, (), ()), "cpu", options)
    row = np.random.default_rng(0).random((1, 64), dtype=np.float32)
    return session.bind({"input": row}).run
