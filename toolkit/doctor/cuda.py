"""Finds what stands between ONNX Runtime's CUDA provider and a GPU, if anything does."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.doctor import onnxruntime
from toolkit.doctor.finding import Finding, Severity, fault, note, ok
from toolkit.doctor.probe import EnvironmentFacts
from toolkit.machine.describe import graphics
from toolkit.machine.facts import Gpu
from toolkit.units import size

TOPIC = "cuda"
DRIVER = "libcuda.so.1"
"""The library that NVIDIA's driver brings; no package of pip has it."""
SYS = Path("/sys")
NVIDIA = "0x10de"
"""NVIDIA's number as a vendor on the PCI bus."""
BESIDE = (
    "toolkit runtimes install onnxruntime-gpu    puts the GPU build beside it, 2.5 GB, in an "
    "environment of its own",
)
IN_CONTAINER = "docker run --gpus all …    if this is a container on a machine with a GPU"
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""A variable by which a user hides GPUs from CUDA."""
NO_DEVICE = 100
CODES = {
    35: "the driver is older than the CUDA libraries need",
    NO_DEVICE: "no CUDA device is seen",
    101: "the device number does not exist",
    803: "the driver and its library are of different versions: restart the machine",
    804: "the driver does not carry this CUDA on this GPU",
    999: "the driver fails for an unknown reason: restart the machine",
}
"""Error numbers of cuInit and of the CUDA runtime, in words (CUresult in cuda.h; the numbers of
both agree)."""


@dataclass(frozen=True)
class Hardware:
    """NVIDIA's hardware as the machine shows it, whatever is installed."""

    gpus: tuple[Gpu, ...]
    """The GPUs that the driver lists."""
    on_bus: bool
    """An NVIDIA device is on the PCI bus, with a driver or without."""


def hardware(sys: Path = SYS) -> Hardware:
    """Looks for NVIDIA's GPUs, by the driver and on the PCI bus."""
    devices = [d for d in (sys / "bus/pci/devices").glob("*") if _word(d / "vendor") == NVIDIA]
    # Class 0x03…: a display or 3D controller; a board brings an audio device besides.
    on_bus = any(_word(device / "class").startswith("0x03") for device in devices)
    return Hardware(tuple(graphics()), on_bus)


def _word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def check(facts: EnvironmentFacts, seen: Hardware) -> list[Finding]:
    """Returns findings about onnxruntime, and about torch where that does not see a GPU that is
    here. The driver comes before the libraries, which are no use without it."""
    return [*_onnxruntime(facts, seen), *_torch(facts, seen)]


def _torch(facts: EnvironmentFacts, seen: Hardware) -> list[Finding]:
    answer = facts.libraries["torch"]
    if not seen.gpus or not answer.get("cuda") or answer["cuda_works"]:
        return []
    what = f"torch {answer['version']} is built for CUDA {answer['cuda']} and sees no GPU"
    if VISIBLE in os.environ:
        hidden, *cures = no_device(seen)
        return [fault(TOPIC, f"{what}: {hidden}", *cures)]
    why = facts.run("-c 'import torch; torch.cuda.init()'    says why")
    return [fault(TOPIC, what, why)]


def _onnxruntime(facts: EnvironmentFacts, seen: Hardware) -> list[Finding]:
    if facts.cuda is None or not facts.runs:
        return [_without_build(facts, seen)]
    wrong = driver(facts, seen)
    if wrong is not None and wrong.severity is Severity.NOTE:
        return [wrong]  # No GPU: it is no use to bring libraries for one.
    findings = [finding for finding in (wrong, libraries(facts)) if finding is not None]
    count = len(facts.cuda.needed) + len(facts.cuda.later)
    return findings or [ok(TOPIC, f"{_gpus_of(facts, seen)}; its {count} libraries load")]


def _without_build(facts: EnvironmentFacts, seen: Hardware) -> Finding:
    """Returns the finding where there is no GPU build, or none that runs; onnxruntime.py says what
    is wrong with one that does not."""
    if not seen.gpus and not seen.on_bus:
        return ok(TOPIC, "no NVIDIA GPU is seen")
    if "error" in facts.driver:
        return _no_driver(facts)
    if facts.cuda is not None:
        return ok(TOPIC, _gpus_of(facts, seen))
    what = f"{_gpus_of(facts, seen)} stands idle: no onnxruntime-gpu is installed"
    return note(TOPIC, what, *BESIDE)


def driver(facts: EnvironmentFacts, seen: Hardware) -> Finding | None:
    """Returns what is wrong with the driver, for a GPU build; None: nothing."""
    answer = facts.driver
    if "error" in answer:
        if seen.on_bus or seen.gpus:
            return _no_driver(facts)
        what = f"the GPU build finds no NVIDIA GPU here, and no driver ({DRIVER})"
        cpu = facts.replace([owner.name for owner in facts.owners], "onnxruntime")
        return note(TOPIC, what, IN_CONTAINER, f"{cpu}    installs the CPU build instead")
    if answer["code"] == NO_DEVICE or (answer["code"] == 0 and answer["gpus"] == 0):
        return fault(TOPIC, *no_device(seen))
    if answer["code"] != 0:
        why = CODES.get(answer["code"], f"cuInit gives {answer['code']}")
        return fault(TOPIC, f"NVIDIA's driver does not start: {why}", "nvidia-smi    says more")
    return _too_old(facts)


def no_device(seen: Hardware) -> tuple[str, ...]:
    """Returns what to say where the driver works and shows no GPU, then the cures."""
    what, hidden = CODES[NO_DEVICE], os.environ.get(VISIBLE)
    elsewhere = () if seen.gpus else (IN_CONTAINER,)
    if hidden is None:
        return what, "nvidia-smi -L    lists what the driver has", *elsewhere
    unset = f"unset {VISIBLE}    shows all GPUs"
    return f"{what}: {VISIBLE} is {hidden!r} here", unset, *elsewhere


def _no_driver(facts: EnvironmentFacts) -> Finding:
    error = str(facts.driver["error"]).removeprefix("OSError: ")
    return fault(
        TOPIC,
        f"an NVIDIA GPU is here, its driver is not: {error}",
        "sudo apt install nvidia-driver    on Debian; ubuntu-drivers install on Ubuntu",
        IN_CONTAINER,
    )


def _too_old(facts: EnvironmentFacts) -> Finding | None:
    built = facts.onnxruntime.built.get("cuda_version", "") if facts.onnxruntime else ""
    carries = facts.driver["cuda"]
    # Within one major version every driver runs every library (CUDA's minor version compatibility).
    if not built or carries[0] >= int(built.split(".")[0]):
        return None
    what = f"the driver carries CUDA {carries[0]}.{carries[1]}, this build needs {built}"
    cure = "sudo apt upgrade nvidia-driver    or an onnxruntime-gpu that was built for the older"
    return fault(TOPIC, what, cure)


def libraries(facts: EnvironmentFacts) -> Finding | None:
    """Returns a finding on what the provider needs and cannot load, the driver aside; None: all
    loads."""
    errors = facts.cuda.errors if facts.cuda else {}
    # A library that only lacks the driver is not missing: the driver has a finding of its own.
    failed = {name: error for name, error in errors.items() if error and DRIVER not in error}
    if not failed:
        return None
    cure = facts.install(gpu_package(facts))
    missing = sorted({lacking(error) for error in failed.values()} - {""})
    if facts.cuda and failed.keys() <= set(facts.cuda.later):
        return note(TOPIC, f"{are_missing(missing)}: some operators will not run", cure)
    if missing:
        return fault(TOPIC, are_missing(missing), cure)
    again = facts.install(f"--force-reinstall {gpu_package(facts)}")
    return fault(TOPIC, f"a library does not load: {next(iter(failed.values()))}", again)


def are_missing(names: Sequence[str]) -> str:
    """Returns 'libcublasLt.so.13 is missing', for one name or several."""
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} missing"


def lacking(text: str) -> str:
    """Returns the library that a loader's message says it did not find; empty: it says something
    else."""
    match = re.search(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file", text)
    return match[1] if match else ""


def gpu_package(facts: EnvironmentFacts) -> str:
    """Returns what to give pip for the GPU build with its libraries, of the version that is there
    where there is one."""
    installed = facts.distribution("onnxruntime-gpu")
    if installed is None:
        installed = next((owner for owner in facts.owners if "gpu" in owner.name), None)
    return onnxruntime.whole(installed) if installed else "'onnxruntime-gpu[cuda,cudnn]'"


def _gpus_of(facts: EnvironmentFacts, seen: Hardware) -> str:
    if not seen.gpus:
        return "an NVIDIA GPU"
    first = seen.gpus[0]
    more = f" and {len(seen.gpus) - 1} more" if len(seen.gpus) > 1 else ""
    cuda = facts.driver.get("cuda")
    carries = f", CUDA {cuda[0]}.{cuda[1]}" if cuda else ""
    return f"{first.name} ({size(first.memory)}{more}), driver {first.driver}{carries}"
