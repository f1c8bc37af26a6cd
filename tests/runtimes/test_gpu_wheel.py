"""The real GPU build in an environment of its own, on a machine without CUDA: no number for cuda.

A download of 255 MB: `pytest -m slow tests/runtimes/test_gpu_wheel.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

WHEEL = "onnxruntime-gpu==1.31.1"


@pytest.fixture(scope="module")
def gpu_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the GPU build and nothing of CUDA."""
    folder = tmp_path_factory.mktemp("gpu") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", WHEEL, "numpy"]
    subprocess.run(pip, check=True)
    return folder


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    small.mlp(folder / "mlp.onnx")
    return subprocess.run(
        [str(Path(sys.executable).parent / "toolkit"), "bench", "mlp.onnx", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_cuda_without_its_libraries_is_an_error_that_names_the_first(
    gpu_build: Path, tmp_path: Path
) -> None:
    done = bench(tmp_path, "--target", f"onnxruntime:cuda,env={gpu_build}")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: onnxruntime cuda") or done.stderr.startswith(
        "error: cuda"
    )
    assert "not measured." in done.stderr
    assert "libcublasLt.so" in done.stderr or "driver" in done.stderr or "GPU" in done.stderr


def test_the_gpu_build_on_the_cpu_is_measured_as_cpu_beside_the_cuda_error(
    gpu_build: Path, tmp_path: Path
) -> None:
    done = bench(
        tmp_path, "--target", f"onnxruntime:cpu,env={gpu_build}",
        "--target", f"onnxruntime:cuda,env={gpu_build}", "--quick", "--time", "2s", "--json",
    )  # fmt: skip

    run = json.loads(done.stdout)
    cpu, cuda = sorted(run["records"], key=lambda record: record["target"])
    assert done.returncode == 1
    assert cpu["library"]["version"] == "1.31.1"
    assert cpu["placement"]["nodes"] == {"cpu": 4}
    assert cpu["timings"]
    assert cuda["failure"] is not None
    assert cuda["timings"] == []
