from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from toolkit.machine import describe
from toolkit.machine.facts import Machine

GIB = 2**30


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_this_machine_is_described_and_read_back() -> None:
    described = describe.describe()
    assert msgspec.json.decode(msgspec.json.encode(described), type=Machine) == described
    assert described.cpu
    assert 1 <= len(described.allowed) <= described.cores == os.cpu_count()
    assert described.memory > GIB / 4
    assert 0 < described.timer < 1e-3
    assert described.python == ".".join(map(str, sys.version_info[:3]))


def test_two_descriptions_of_one_machine_agree() -> None:
    assert describe.describe().identity == describe.describe().identity


def test_no_description_tells_whose_machine_it_is() -> None:
    text = msgspec.json.encode(describe.describe()).decode()
    assert socket.gethostname() not in text or len(socket.gethostname()) < 4
    assert f'"{getpass.getuser()}"' not in text
    assert str(Path.home()) not in text


@pytest.mark.parametrize(
    "other",
    [
        ("Other", 2, 8 * GIB, ["x86_64"]),
        ("CPU", 4, 8 * GIB, ["x86_64"]),
        ("CPU", 2, 16 * GIB, ["x86_64"]),
        ("CPU", 2, 8 * GIB, ["x86_64", "KVM"]),
    ],
    ids=["cpu", "cores", "memory", "kind"],
)
def test_another_machine_has_another_identity(other: tuple[str, int, int, list[str]]) -> None:
    assert describe.identity(*other) != describe.identity("CPU", 2, 8 * GIB, ["x86_64"])


def test_a_kernel_that_keeps_a_little_more_memory_is_the_same_machine() -> None:
    now = describe.identity("CPU", 2, 8 * GIB, ["x86_64"])
    assert describe.identity("CPU", 2, 8 * GIB - 40_000_000, ["x86_64"]) == now


@pytest.mark.process
def test_one_allowed_core_is_seen() -> None:
    core = min(os.sched_getaffinity(0))
    code = "from toolkit.machine import describe; print(describe.cores_allowed())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    assert done.stdout.strip() == f"[{core}]"


def test_the_limits_of_cgroup_2_count_at_every_level(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", {"self/cgroup": "0::/a/b\n"})
    sys_ = write(
        tmp_path / "sys/fs/cgroup",
        {
            "cgroup.controllers": "cpu memory\n",
            "a/cpu.max": "150000 100000\n",
            "a/b/cpu.max": "max 100000\n",
            "a/memory.max": f"{2 * GIB}\n",
            "a/b/memory.max": "max\n",
        },
    ).parents[1]
    assert describe.cpu_quota(proc, sys_) == 1.5
    assert describe.memory_limit(proc, sys_) == 2 * GIB


def test_the_limits_of_cgroup_1_count_too(tmp_path: Path) -> None:
    groups = "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/docker/x\n"
    proc = write(tmp_path / "proc", {"self/cgroup": groups})
    # In a container the group's own folder is mounted as the root.
    sys_ = write(
        tmp_path / "sys/fs/cgroup",
        {
            "cpu/cpu.cfs_quota_us": "50000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": f"{GIB}\n",
        },
    ).parents[1]
    assert describe.cpu_quota(proc, sys_) == 0.5
    assert describe.memory_limit(proc, sys_) == GIB


def test_a_machine_without_limits_has_none(tmp_path: Path) -> None:
    proc = write(tmp_path / "proc", {"self/cgroup": "3:cpu:/\n2:memory:/\n"})
    sys_ = write(
        tmp_path / "sys/fs/cgroup",
        {
            "cpu/cpu.cfs_quota_us": "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    ).parents[1]
    assert describe.cpu_quota(proc, sys_) is None
    assert describe.memory_limit(proc, sys_) == psutil.virtual_memory().total


CPUINFO = "processor : 0\nmodel name\t: AMD  EPYC 9B14\nflags\t\t: fpu vme {}\n"


def test_the_processor_is_named_without_its_padding(tmp_path: Path) -> None:
    write(tmp_path, {"cpuinfo": CPUINFO.format("")})
    assert describe.cpu_model(tmp_path) == "AMD EPYC 9B14"


@pytest.mark.parametrize(
    ("flags", "files", "name"),
    [
        ("", {"class/dmi/id/product_name": "ThinkPad\n"}, None),
        (
            "hypervisor",
            {"class/dmi/id/product_name": "Google Compute Engine\n"},
            "Google Compute Engine",
        ),
        ("hypervisor", {"hypervisor/type": "xen\n"}, "xen"),
        (
            "hypervisor",
            {"devices/system/clocksource/clocksource0/current_clocksource": "kvm-clock\n"},
            "KVM",
        ),
        ("hypervisor", {}, "a hypervisor"),
    ],
    ids=["bare metal", "firmware", "xen", "clock", "unnamed"],
)
def test_a_hypervisor_is_named(
    tmp_path: Path, flags: str, files: dict[str, str], name: str | None
) -> None:
    proc = write(tmp_path / "proc", {"cpuinfo": CPUINFO.format(flags)})
    (tmp_path / "sys").mkdir()
    assert describe.hypervisor(proc, write(tmp_path / "sys", files)) == name


def test_the_governor_is_read_where_there_is_one(tmp_path: Path) -> None:
    assert describe.governor(tmp_path) is None
    write(tmp_path, {"devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n"})
    assert describe.governor(tmp_path) == "powersave"


def test_the_clock_step_is_the_smallest_that_is_not_zero() -> None:
    ticks = iter([0, 0, 100, 140, 140, 240])
    assert describe.clock_step(lambda: next(ticks), reads=6) == pytest.approx(40e-9)


def test_a_clock_that_stands_still_has_no_step() -> None:
    assert describe.clock_step(lambda: 7, reads=10) == 0.0
