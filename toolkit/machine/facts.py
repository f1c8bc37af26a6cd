"""Facts of the machine and of its load, in the form in which a record holds them."""

from __future__ import annotations

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


class BusyProcess(Strict, frozen=True, kw_only=True):
    """A process that is not ours and took more than 5 % of a core."""

    name: str
    cores: float
    """CPU time by wall time."""
    core: int
    """The core on which it ran last."""


class GpuState(Strict, frozen=True, kw_only=True):
    """A GPU that targets ran on, right after the last block."""

    name: str
    clock: float
    """MHz of its multiprocessors."""
    temperature: float
    """Degrees Celsius."""
    throttled: list[str]
    """The reasons for which its clock was held down; empty: it was not."""
