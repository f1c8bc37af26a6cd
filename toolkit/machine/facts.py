"""Facts of the machine and of its load, in the form in which a record holds them."""

from __future__ import annotations

import math
import platform

from toolkit.strict import Strict
from toolkit.units import Bytes, Seconds


class Gpu(Strict, frozen=True, kw_only=True):
    """A graphics adapter, by its driver."""

    name: str
    memory: Bytes
    driver: str


class Machine(Strict, frozen=True, kw_only=True):
    """The machine that a run was measured on. `--resume` compares its `identity`."""

    identity: str
    cpu: str
    cores: int
    """The number of logical cores, allowed or not."""
    allowed: list[int]
    """Cores that this process may use."""
    memory: Bytes
    system: str
    """'Linux 6.1 x86_64, Debian 12'."""
    python: str
    governor: str | None
    virtual: str | None
    """The hypervisor, where one is seen."""
    timer: Seconds
    """The smallest step of the clock that was seen."""
    gpus: list[Gpu]
    features: list[str] | None = None
    """Instruction sets of the processor on which speed or answers depend, in the kernel's names and
    in the order of `toolkit.machine.features.NAMES`; None in a record older than version 4."""


UNNAMED_GPU = "GPU"
"""The name of any GPU in an anonymous record."""
ANONYMOUS = ""
"""The identity of a machine that is not to be known."""


def anonymous(machine: Machine) -> Machine:
    """The machine as one of its kind: nothing is left by which it differs from others of as many
    cores and the same instruction sets, on which speed and answers depend."""
    return Machine(
        identity=ANONYMOUS,
        cpu=platform.machine(),
        cores=machine.cores,
        allowed=[*range(len(machine.allowed))],
        memory=_power_of_two(machine.memory),
        system=platform.system(),
        python=".".join(machine.python.split(".")[:2]),
        governor=None,
        virtual=None if machine.virtual is None else "a hypervisor",
        timer=machine.timer,
        gpus=[
            Gpu(name=UNNAMED_GPU, memory=_power_of_two(gpu.memory), driver="")
            for gpu in machine.gpus
        ],
        features=machine.features,
    )


def _power_of_two(size: Bytes) -> Bytes:
    """The nearest power of two: what the kernel and a container take differs everywhere."""
    return 1 << round(math.log2(size)) if size > 0 else size


ANOTHER_USERS = "another user's process"
"""The name of a process of somebody else: what others run is their business."""
UNNAMED = "another process"
"""The name of any process in an anonymous record: a machine is known by what runs there, too."""


class BusyProcess(Strict, frozen=True, kw_only=True):
    """A process that is not ours and took more than 5 % of a core."""

    name: str
    cores: float
    """CPU time by wall time."""
    core: int
    """The core on which it ran last."""
    pid: int | None = None
    """Its number; None for another user's, in an anonymous record, and in records before version
    7."""


class GpuState(Strict, frozen=True, kw_only=True):
    """A GPU that targets ran on, right after the last block."""

    name: str
    clock: float
    """MHz of its multiprocessors."""
    temperature: float
    """Degrees Celsius."""
    throttled: list[str]
    """The reasons for which its clock was held down; empty: it was not."""
