"""The facts of the machine that a run was measured on. No host name, no user, no serial number."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from toolkit.machine import gpus
from toolkit.machine.facts import Gpu, Machine
from toolkit.machine.features import features, flags
from toolkit.machine.proc import PROC, SYS, cores_of, lines
from toolkit.units import Bytes, Seconds

GIB = 2**30


def describe(proc: Path = PROC, sys: Path = SYS) -> Machine:
    """Describes this machine as a record holds it."""
    cpu, cores, virtual = cpu_model(proc), cores_present(), hypervisor(proc, sys)
    memory, gpus = memory_limit(proc, sys), graphics()
    kind = [platform.machine(), virtual or "", *(gpu.name for gpu in gpus)]
    return Machine(
        identity=identity(cpu, cores, memory, kind),
        cpu=cpu,
        cores=cores,
        allowed=cores_allowed(),
        memory=memory,
        system=system(),
        python=platform.python_version(),
        governor=governor(sys),
        virtual=virtual,
        timer=clock_step(),
        gpus=gpus,
        features=features(proc),
    )


def identity(cpu: str, cores: int, memory: Bytes, kind: list[str]) -> str:
    """Returns a digest that is the same for machines on which a run may go on.

    It says nothing about the owner.

    Memory counts in GiB: what the kernel keeps for itself differs between boots.
    """
    facts = [cpu, str(cores), str(round(memory / GIB)), *kind]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def cpu_model(proc: Path = PROC) -> str:
    """'AMD EPYC 9B14'; the architecture where the kernel tells no name."""
    for line in lines(proc / "cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return " ".join(value.split())
    return platform.processor() or platform.machine()


def processor(proc: Path = PROC) -> str:
    """Model and instruction sets: what code that was compiled for this processor runs on."""
    return " ".join([cpu_model(proc), *sorted(flags(proc))])


def cores_present() -> int:
    """Logical cores of the machine, allowed or not."""
    return os.cpu_count() or 1


def cores_allowed() -> list[int]:
    """By affinity, which a cgroup's cpuset is part of. A quota allows less: `cpu_quota`."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(cores_present()))


def cpu_quota(proc: Path = PROC, sys: Path = SYS) -> float | None:
    """Cores' worth of CPU time that the cgroups allow; None: no limit. cgroup v2, then v1."""
    limits = []
    for folder in cgroups("", proc, sys):
        limits += _quota(*_word(folder / "cpu.max").split()[:2])
    for folder in cgroups("cpu", proc, sys):
        quota, period = _word(folder / "cpu.cfs_quota_us"), _word(folder / "cpu.cfs_period_us")
        limits += _quota(*quota.split(), *period.split())
    return min(limits, default=None)


def _quota(*fields: str) -> list[float]:
    """Divides a quota by its period, both in microseconds; 'max' and -1 are no limit."""
    if len(fields) != 2 or fields[0] in ("max", "-1"):
        return []
    return [int(fields[0]) / int(fields[1])]


def memory_limit(proc: Path = PROC, sys: Path = SYS) -> Bytes:
    """Memory of the machine, or what the cgroups allow of it."""
    present: Bytes = psutil.virtual_memory().total
    limits = [_word(folder / "memory.max") for folder in cgroups("", proc, sys)]
    limits += [_word(folder / "memory.limit_in_bytes") for folder in cgroups("memory", proc, sys)]
    return min([present, *(int(limit) for limit in limits if limit.isdigit())])


def cgroups(controller: str, proc: Path = PROC, sys: Path = SYS) -> list[Path]:
    """The folders of our cgroup and of those above it; '' is cgroup v2.

    In a container /proc/self/cgroup may name a path of the host that is not mounted here: then what
    is mounted is our own group, and the folders that do not exist hold no limit.
    """
    for line in lines(proc / "self/cgroup"):
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            root = sys / "fs/cgroup" / controller
            if not controller and not (root / "cgroup.controllers").exists():
                root = root / "unified"
            own = root / path.strip("/")
            return [own, *(up for up in own.parents if up.is_relative_to(root))]
    return []


def system() -> str:
    """'Linux 6.1 x86_64, Debian 12'."""
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    kernel = f"{platform.system()} {release} {platform.machine()}"
    try:
        names = platform.freedesktop_os_release()
    except OSError:
        return kernel
    name = names.get("NAME", "Linux").removesuffix(" GNU/Linux")
    return f"{kernel}, {name} {names.get('VERSION_ID', '')}".rstrip()


def governor(sys: Path = SYS) -> str | None:
    """The frequency governor of the first core; None where the machine has none to choose."""
    return _word(sys / "devices/system/cpu/cpu0/cpufreq/scaling_governor") or None


def hypervisor(proc: Path = PROC, sys: Path = SYS) -> str | None:
    """Its product's name where the firmware tells it; None on bare metal."""
    if "hypervisor" not in flags(proc):
        return None
    product = _word(sys / "class/dmi/id/product_name")
    kind = _word(sys / "hypervisor/type")
    clock = _word(sys / "devices/system/clocksource/clocksource0/current_clocksource")
    return product or kind or ("KVM" if clock == "kvm-clock" else "a hypervisor")


def clock_step(clock: Callable[[], int] = time.perf_counter_ns, reads: int = 2000) -> Seconds:
    """The smallest step seen between two readings of the clock that times every call."""
    ticks = [clock() for _ in range(reads)]
    steps = [later - sooner for sooner, later in itertools.pairwise(ticks)]
    return min((step for step in steps if step > 0), default=0) / 1e9


def graphics() -> list[Gpu]:
    """NVIDIA's GPUs, by its driver's library; none where there is no driver."""
    with gpus.driver() as nvml:
        if nvml is None:
            return []
        version = _string(nvml.nvmlSystemGetDriverVersion())
        handles = map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))
        return [
            Gpu(
                name=_string(nvml.nvmlDeviceGetName(handle)),
                memory=int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
                driver=version,
            )
            for handle in handles
        ]


def siblings(sys: Path = SYS) -> dict[int, frozenset[int]]:
    """Core → the hardware threads of its physical core, itself among them."""
    threads = {}
    for folder in (sys / "devices/system/cpu").glob("cpu[0-9]*"):
        if listed := lines(folder / "topology/thread_siblings_list"):
            threads[int(folder.name[3:])] = cores_of(listed[0])
    return threads


def draws(sys: Path = SYS) -> bool:
    """True where the kernel drives a graphics adapter, of any maker."""
    return any((sys / "class/drm").glob("card[0-9]*"))


def _word(file: Path) -> str:
    """The first line of a file that may be missing; empty where it is."""
    return next(iter(lines(file)), "").strip()


def _string(value: str | bytes) -> str:
    """NVML gave bytes until its version 11.5."""
    return value.decode() if isinstance(value, bytes) else value
