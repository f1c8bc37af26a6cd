from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.doctor.conftest import Compile, Planted
from tests.doctor.test_cuda import DRIVER, H200, NONE, PROVIDER
from toolkit.doctor.cause import cuda_cause

pytestmark = pytest.mark.process

DOCTOR = "toolkit doctor    says what else is missing"
LOADER = (
    "2026-11-23 10:45:01.5 [E:onnxruntime:Default, provider_bridge_ort.cc:2458 operator()] "
    "Failed to load library /x/libonnxruntime_providers_cuda.so with error: "
    "{}: cannot open shared object file: No such file or directory"
)
ADVICE = "[W:onnxruntime:Default] Failed to create CUDAExecutionProvider. Require cuDNN 9.*"


@pytest.fixture(autouse=True)
def in_the_environment(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted.folder.parent)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    planted.write({"pip/__init__.py": "", "numpy/__init__.py": "__version__ = '2.4.6'"})


@pytest.fixture
def gpu_build(planted: Planted, compiled: Compile) -> Path:
    """The Python of an environment with a GPU build that needs nothing."""
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA", cuda="13.0")
    compiled(planted.site / PROVIDER)
    return planted.python


def test_the_cpu_build_is_named_with_its_version() -> None:
    import onnxruntime

    cause = cuda_cause(Path(sys.executable), [], H200)
    assert cause.what == (
        f"The onnxruntime installed here ({onnxruntime.__version__}) is the CPU build."
    )
    assert cause.cures == (
        "toolkit runtimes install onnxruntime-gpu    puts the GPU build beside it, 2.5 GB, in an "
        "environment of its own",
        DOCTOR,
    )


def test_who_has_no_gpu_is_told_so_before_downloading_its_build() -> None:
    cause = cuda_cause(Path(sys.executable), [], NONE)
    assert cause.what.endswith(" is the CPU build. No NVIDIA GPU is seen either.")


def test_the_cpu_build_of_another_environment_is_named_by_its_folder(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.30.0")
    cause = cuda_cause(planted.python, [], H200)
    assert cause.what == "The onnxruntime in venv (1.30.0) is the CPU build."


def test_no_onnxruntime_at_all_is_another_cause(planted: Planted) -> None:
    cause = cuda_cause(planted.python, [], H200)
    assert cause.what == "There is no onnxruntime in venv."


def test_the_missing_library_of_the_last_words_is_the_cause(gpu_build: Path) -> None:
    words = ["loading", LOADER.format("libcublasLt.so.13"), ADVICE]
    cause = cuda_cause(gpu_build, words, H200)
    assert cause.what == "libcublasLt.so.13 is missing."
    assert cause.cures == (
        "venv/bin/python -m pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1'",
        DOCTOR,
    )


def test_a_missing_library_is_not_the_whole_cause_where_there_is_no_gpu(gpu_build: Path) -> None:
    cause = cuda_cause(gpu_build, [LOADER.format("libcublasLt.so.13")], NONE)
    assert cause.what == "libcublasLt.so.13 is missing. No NVIDIA GPU is seen either."


def test_a_missing_driver_is_told_from_missing_libraries(gpu_build: Path) -> None:
    cause = cuda_cause(gpu_build, [LOADER.format("libcuda.so.1"), ADVICE], NONE)
    assert cause.what == "The GPU build finds no NVIDIA GPU here, and no driver (libcuda.so.1)."
    assert cause.cures == (
        "docker run --gpus all …    if this is a container on a machine with a GPU",
        "venv/bin/python -m pip uninstall -y onnxruntime-gpu && "
        "venv/bin/python -m pip install onnxruntime    installs the CPU build instead",
        DOCTOR,
    )


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (100, "No CUDA device is seen."),
        (35, "The driver is older than the CUDA libraries need."),
        (101, "The device number does not exist."),
    ],
)
def test_the_code_of_a_cuda_error_is_put_into_words(
    gpu_build: Path, compiled: Compile, monkeypatch: pytest.MonkeyPatch, code: int, what: str
) -> None:
    library = compiled(gpu_build.parent / "libcuda.so.1", DRIVER.format(code=0, cuda=13000, gpus=1))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library.parent))
    words = [f"CUDA failure {code}: something ; GPU=-1 ; hostname=h ; expr=cudaSetDevice(0);"]
    assert cuda_cause(gpu_build, words, H200).what == what


def test_a_gpu_that_is_hidden_is_a_cause_of_its_own(
    gpu_build: Path, compiled: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = compiled(gpu_build.parent / "libcuda.so.1", DRIVER.format(code=0, cuda=13000, gpus=1))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library.parent))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    words = ["CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=h ;"]
    cause = cuda_cause(gpu_build, words, H200)
    assert cause.what == "No CUDA device is seen: CUDA_VISIBLE_DEVICES is '7' here."
    assert cause.cures == ("unset CUDA_VISIBLE_DEVICES    shows all GPUs", DOCTOR)


def test_without_last_words_the_doctor_looks_itself(
    planted: Planted, compiled: Compile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = compiled(tmp_path / "libcuda.so.1", DRIVER.format(code=0, cuda=13000, gpus=1))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA", cuda="13.0")
    lost = compiled(tmp_path / "lost/libcurand.so.10")
    compiled(planted.site / PROVIDER, "int p(void) { return 0; }", lost, driver)
    lost.unlink()
    assert cuda_cause(planted.python, [], H200).what == "libcurand.so.10 is missing."


def test_a_cause_that_nobody_knows_is_told_in_the_last_words(
    gpu_build: Path, compiled: Compile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiled(tmp_path / "libcuda.so.1", DRIVER.format(code=0, cuda=13000, gpus=1))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert cuda_cause(gpu_build, ["", "the moon is full", ""], H200).what == "The moon is full."
    assert cuda_cause(gpu_build, [], H200).what == (
        "The CUDA provider did not start and did not say why."
    )
