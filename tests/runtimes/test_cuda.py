"""On a machine with an NVIDIA GPU: what is named cuda ran there, and is right in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import small
from tests.workers.conftest import Start, start
from toolkit.records import machine
from toolkit.workers.launch import Worker

__all__ = ["start"]

pytestmark = pytest.mark.skipif(
    not machine.graphics(), reason="no NVIDIA GPU is seen; nothing here can run"
)

FEED = {"input": np.random.default_rng(5).normal(size=(32, 64)).astype(np.float32)}


def loaded(worker: Worker, folder: Path) -> tuple[Worker, dict[str, int]]:
    worker.post_hello()
    worker.hello()
    worker.post_load(small.mlp_program(small.mlp(folder / "mlp.onnx")))
    placement = worker.load().placement
    worker.bind("a", FEED, {"input": "float32"})
    return worker, dict(placement.nodes)


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_all_nodes_run_on_cuda_and_give_what_the_cpu_gives(
    start: Start, tmp_path: Path, io: str
) -> None:
    cpu, _ = loaded(start("onnxruntime"), tmp_path)
    cuda, nodes = loaded(start("onnxruntime", "cuda", io=io), tmp_path)

    expected, _ = cpu.answer("a")
    cuda.sample("a", 50, 5)
    found, _ = cuda.answer("a", again=False)

    assert nodes == {"cuda": 4}
    np.testing.assert_allclose(found["output"], expected["output"], atol=1e-6)
