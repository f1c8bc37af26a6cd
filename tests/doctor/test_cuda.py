from __future__ import annotations

from pathlib import Path

import pytest

from tests.doctor.conftest import Compile, Planted
from toolkit.doctor import cuda
from toolkit.doctor.cuda import Hardware
from toolkit.doctor.finding import Finding, Severity
from toolkit.doctor.probe import EnvironmentFacts
from toolkit.machine.facts import Gpu

pytestmark = pytest.mark.process

NONE = Hardware((), on_bus=False)
ON_BUS = Hardware((), on_bus=True)
H200 = Hardware((Gpu(name="NVIDIA H200", memory=150_000_000_000, driver="580.95"),), on_bus=True)
PROVIDER = "onnxruntime/capi/libonnxruntime_providers_cuda.so"

DRIVER = """
int cuInit(unsigned flags) {{ return {code}; }}
int cuDriverGetVersion(int *version) {{ *version = {cuda}; return 0; }}
int cuDeviceGetCount(int *count) {{ *count = {gpus}; return 0; }}
"""


@pytest.fixture(autouse=True)
def in_the_environment(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted.folder)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    planted.write({"pip/__init__.py": "", "numpy/__init__.py": "__version__ = '2.4.6'"})


class Plant:
    """A GPU build, and a driver whose answers a test chooses."""

    def __init__(
        self, planted: Planted, compiled: Compile, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.planted, self.compiled, self.folder = planted, compiled, folder
        monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))

    def build(self, *needs: Path) -> None:
        self.planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA", cuda="13.0")
        self.compiled(self.planted.site / PROVIDER, "int provider(void) { return 0; }", *needs)

    def library(self, name: str, folder: str = "needed", *needs: Path) -> Path:
        return self.compiled(self.planted.site / folder / name, "int f(void) { return 0; }", *needs)

    def driver(self, *, code: int = 0, cuda: int = 13000, gpus: int = 1) -> Path:
        source = DRIVER.format(code=code, cuda=cuda, gpus=gpus)
        return self.compiled(self.folder / "libcuda.so.1", source)

    def findings(self, seen: Hardware) -> list[Finding]:
        return cuda.check(self.planted.facts(), seen)


@pytest.fixture
def plant(
    planted: Planted, compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Plant:
    return Plant(planted, compiled, tmp_path / "driver", monkeypatch)


def test_a_machine_without_a_gpu_and_without_a_gpu_build_is_fine(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime", "1.32.0")
    (finding,) = cuda.check(planted.facts(), NONE)
    assert (finding.severity, finding.what) == (Severity.OK, "no NVIDIA GPU is seen")


def test_a_build_whose_libraries_and_driver_are_there_is_fine(plant: Plant) -> None:
    driver = plant.driver()
    plant.build(plant.library("libcublasLt.so.13", "nvidia/cu13/lib"), driver)
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.OK
    assert finding.what.replace("\u2009", " ") == (
        "NVIDIA H200 (150 GB), driver 580.95, CUDA 13.0; its 2 libraries load"
    )


def test_missing_libraries_are_named_with_what_brings_them(plant: Plant) -> None:
    first, second = plant.library("libcudnn.so.9"), plant.library("libcublasLt.so.13")
    plant.build(first, second, plant.driver())
    first.unlink()
    second.unlink()
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.FAULT
    assert finding.what == "libcublasLt.so.13, libcudnn.so.9 are missing"
    assert finding.cures == ("bin/python -m pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1'",)


def test_a_library_that_another_one_lacks_is_the_one_named(plant: Plant) -> None:
    deep = plant.library("libnvJitLink.so.13")
    plant.build(plant.library("libcufft.so.12", "nvidia/cu13/lib", deep), plant.driver())
    deep.unlink()
    (finding,) = plant.findings(H200)
    assert finding.what == "libnvJitLink.so.13 is missing"


def test_libraries_that_need_each_other_are_loaded_in_any_order(plant: Plant) -> None:
    base = plant.library("libcublasLt.so.13", "nvidia/cu13/lib")
    upper = plant.library("libcublas.so.13", "nvidia/cu13/lib", base)
    plant.build(upper, base, plant.driver())
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.OK


def test_a_gpu_without_a_driver_is_a_fault(plant: Plant) -> None:
    driver = plant.driver()
    plant.build(driver)
    driver.unlink()
    (finding,) = plant.findings(ON_BUS)
    assert finding.severity is Severity.FAULT
    assert finding.what.startswith(
        "an NVIDIA GPU is here, its driver is not: libcuda.so.1: cannot open shared object file"
    )
    assert finding.cures == (
        "sudo apt install nvidia-driver    on Debian; ubuntu-drivers install on Ubuntu",
        "docker run --gpus all …    if this is a container on a machine with a GPU",
    )


def test_a_gpu_build_on_a_machine_without_a_gpu_is_a_note(plant: Plant) -> None:
    driver = plant.driver()
    plant.build(driver)
    driver.unlink()
    (finding,) = plant.findings(NONE)
    assert finding.severity is Severity.NOTE
    assert finding.what == "the GPU build finds no NVIDIA GPU here, and no driver (libcuda.so.1)"
    assert finding.cures == (
        "docker run --gpus all …    if this is a container on a machine with a GPU",
        "bin/python -m pip uninstall -y onnxruntime-gpu && "
        "bin/python -m pip install onnxruntime    installs the CPU build instead",
    )


def test_libraries_are_not_brought_to_a_machine_without_a_gpu(plant: Plant) -> None:
    library, driver = plant.library("libcublasLt.so.13"), plant.driver()
    plant.build(library, driver)
    library.unlink()
    driver.unlink()
    (finding,) = plant.findings(NONE)
    assert "libcublasLt" not in finding.what


LATER = """
def _get_nvidia_dll_paths(is_windows):
    return [("nvidia", "cu13", "lib", "libcublasLt.so.13"), ("nvidia", "cudnn", "libcudnn.so.9")]
"""


def test_a_library_that_only_some_operators_need_is_a_note(plant: Plant) -> None:
    plant.build(plant.library("libcublasLt.so.13", "nvidia/cu13/lib"), plant.driver())
    file = plant.planted.site / "onnxruntime/__init__.py"
    file.write_text(file.read_text() + LATER)
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.NOTE
    assert finding.what == "libcudnn.so.9 is missing: some operators will not run"
    plant.library("libcudnn.so.9", "nvidia/cudnn/lib")
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.OK
    assert finding.what.endswith("its 3 libraries load")


def test_the_libraries_of_a_build_that_does_not_run_are_not_its_first_need(plant: Plant) -> None:
    lost, driver = plant.library("libcublasLt.so.13"), plant.driver()
    plant.build(lost, driver)
    lost.unlink()
    plant.planted.onnxruntime("onnxruntime", "1.32.0")
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.OK


@pytest.mark.parametrize(
    ("code", "gpus", "version", "what"),
    [
        (100, 0, 13000, "no CUDA device is seen"),
        (
            803,
            0,
            13000,
            "NVIDIA's driver does not start: the driver and its library are of different versions: "
            "restart the machine",
        ),
        (719, 0, 13000, "NVIDIA's driver does not start: cuInit gives 719"),
        (0, 0, 13000, "no CUDA device is seen"),
        (0, 1, 12040, "the driver carries CUDA 12.4, this build needs 13.0"),
    ],
    ids=["no device", "mismatch", "unknown", "none counted", "old"],
)
def test_a_driver_that_does_not_serve_is_told_from_one_that_is_missing(
    plant: Plant, code: int, gpus: int, version: int, what: str
) -> None:
    plant.build(plant.driver(code=code, cuda=version, gpus=gpus))
    (finding,) = plant.findings(H200)
    assert (finding.severity, finding.what) == (Severity.FAULT, what)
    assert finding.cures


def test_a_gpu_that_is_hidden_is_told_so_with_the_cure(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.build(plant.driver(code=100, gpus=0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (finding,) = plant.findings(H200)
    assert finding.what == "no CUDA device is seen: CUDA_VISIBLE_DEVICES is '' here"
    assert finding.cures == ("unset CUDA_VISIBLE_DEVICES    shows all GPUs",)


def test_a_newer_driver_of_the_same_cuda_runs_every_library(plant: Plant) -> None:
    plant.build(plant.driver(cuda=13020))
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.OK


def test_a_provider_that_is_no_library_is_a_fault(planted: Planted) -> None:
    planted.onnxruntime("onnxruntime-gpu", "1.31.1", "CUDA")
    planted.write({PROVIDER: "version https://git-lfs.github.com/spec/v1"})
    _, finding = cuda.check(planted.facts(), H200)
    assert finding.what == (
        "a library does not load: "
        "libonnxruntime_providers_cuda.so: not a 64-bit little-endian ELF file"
    )
    assert finding.cures == (
        "bin/python -m pip install --force-reinstall 'onnxruntime-gpu[cuda,cudnn]==1.31.1'",
    )


TORCH = """
class cuda:
    is_available = staticmethod(lambda: {works})
class version:
    cuda = "13.0"
__version__ = "2.13.0"
"""


@pytest.mark.parametrize(("works", "faults"), [(False, 1), (True, 0)])
def test_a_torch_that_does_not_see_the_gpu_is_a_fault(
    planted: Planted, works: bool, faults: int
) -> None:
    planted.write({"torch/__init__.py": TORCH.format(works=works)})
    findings = [f for f in cuda.check(planted.facts(), H200) if "torch" in f.what]
    what = "torch 2.13.0 is built for CUDA 13.0 and sees no GPU"
    assert [f.what for f in findings] == [what] * faults
    assert [f.cures for f in findings] == [
        ("bin/python -c 'import torch; torch.cuda.init()'    says why",)
    ] * faults


def test_an_idle_gpu_is_a_note_with_the_way_to_use_it(plant: Plant) -> None:
    plant.driver()
    plant.planted.onnxruntime("onnxruntime", "1.32.0")
    (finding,) = plant.findings(H200)
    assert finding.severity is Severity.NOTE
    assert finding.what.replace("\u2009", " ") == (
        "NVIDIA H200 (150 GB), driver 580.95, CUDA 13.0 stands idle: "
        "no onnxruntime-gpu is installed"
    )
    assert finding.cures == (
        "toolkit runtimes install onnxruntime-gpu    puts the GPU build beside it, 2.5 GB, in an "
        "environment of its own",
    )


@pytest.mark.parametrize(
    ("vendor", "kind", "seen"),
    [("0x10de", "0x030200", True), ("0x10de", "0x040300", False), ("0x1002", "0x030000", False)],
    ids=["controller", "audio", "another maker"],
)
def test_a_gpu_is_seen_on_the_bus(tmp_path: Path, vendor: str, kind: str, seen: bool) -> None:
    device = tmp_path / "bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(vendor + "\n")
    (device / "class").write_text(kind + "\n")
    assert cuda.hardware(tmp_path).on_bus is seen


def test_nothing_is_cured_by_installing_a_package_of_our_commands_name(
    own: EnvironmentFacts,
) -> None:
    cures = [
        cure for seen in (NONE, ON_BUS, H200) for f in cuda.check(own, seen) for cure in f.cures
    ]
    assert cures
    assert not any("install toolkit" in cure for cure in cures)
