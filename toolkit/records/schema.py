"""The record of a run, as it stands in run.json.

History of VERSION (a new shape brings a new number, an upgrade step and a golden file):
1  first.
2  a record's conversion, the copies of a timing, the model of a target.
3  the threads of a target; calls that are discarded, and how long a block's threads waited; busy
   processes and GPUs.
4  the features of the processor; the warnings that 8-bit products may saturate, and that a run was
   resumed.
5  the lock that a library's environment was made from, and what had no hash in it.
6  the answer of a verdict and of each of its outputs, with the reason; what is exact; the limit
   that takes what is not shown.
7  the kernels that run of a quantized file; the number of a busy process; labelled data: the
   metrics of a target, and old against new; the limit of latency and the price of an hour that the
   user gave.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import field

from toolkit.answers.specialvalues import SpecialValue
from toolkit.answers.verdict import Limits, Verdict
from toolkit.machine.facts import BusyProcess, GpuState, Machine
from toolkit.records.metrics import LabelledData, MetricValue
from toolkit.strict import Strict
from toolkit.units import Bytes, Number, Seconds

VERSION = 7

State = Literal["running", "done", "interrupted", "failed"]


class Tensor(Strict, frozen=True, kw_only=True):
    """An input or output of the model; the shape is None where its rank is unknown."""

    name: str
    type: str
    shape: list[int | str | None] | None


class Model(Strict, frozen=True, kw_only=True):
    """Facts of the .onnx file."""

    name: str
    """The file's name without its folder."""
    sha256: str
    """The digest of the file and of its external data."""
    size: Bytes
    opset: int
    ir_version: int
    producer: str
    operators: dict[str, int]
    """Operator (with its domain where that is not ONNX's own) → how many nodes are one."""
    inputs: list[Tensor]
    outputs: list[Tensor]
    metadata: dict[str, str]
    parameters: int | None = None


class Case(Strict, frozen=True, kw_only=True):
    """One feed that is timed."""

    name: str
    """'batch 1'; 'fixed shape' for a model without dynamic dimensions."""
    dims: dict[str, int]
    shapes: dict[str, list[int]]
    origin: str
    """'digits', 'drawn with seed 0', 'feeds.npz' …"""
    bytes_in: Bytes
    bytes_out: Bytes
    sha256: str = ""
    """The digest of the arrays, in the order of the inputs: a run that goes on is fed the same."""


class PlannedTarget(Strict, frozen=True, kw_only=True):
    """One target as it was asked for. `name` is canonical and unique in a run."""

    name: str
    label: str
    """The name that people read: 'onnxruntime cpu, bound'."""
    runtime: str
    provider: str
    options: dict[str, str]
    environment: str
    """'own', the name of a managed environment, or the user's folder."""
    asked: bool
    """The user named it: if it fails, the command fails."""
    copies_inside: str = ""
    """The copies that the timed call holds, in words."""
    model: Model | None = None
    """Another file than the run's, judged by the same oracle; None: the run's own."""
    threads: int = 1


class Plan(Strict, frozen=True, kw_only=True):
    """All that the run sets out to do, complete before anything is measured."""

    model: Model
    targets: list[PlannedTarget]
    baseline: int
    """Index into `targets`."""
    cases: list[Case]
    seed: int
    threads: int
    """The threads of a target that names no number of its own."""
    precision: float | None
    """The half-width at which the run may stop early; None: one look, at the end."""
    time: Seconds | None
    """The ceiling on the wall time of the measurement; None: until `precision`."""
    looks: list[int]
    alpha: float
    limits: Limits
    source: str | None = None
    """The PyTorch source as it was named, where it is known."""
    source_sha256: str | None = None
    """The digest of its code and its weights."""
    source_files: dict[str, str] = field(default_factory=dict)
    """The digest of each of their files, by its name below the source's folder: a run that goes on
    holds them against what is there before it imports any; empty in older records."""
    timeout: Seconds = 60.0
    rounds: int = 20
    quick: bool = False
    latency_limit: Seconds | None = None
    """The p50 that a target may have at most to be chosen; None: any."""
    price: float | None = None
    """What an hour of this machine costs, in the user's currency; None: not known."""


class Library(Strict, frozen=True, kw_only=True):
    """The runtime that really ran."""

    runtime: str
    version: str
    file: str
    """Relative to its environment: no path of this machine stands in a record."""
    python: str
    lock: str = ""
    """The SHA-256 of the lock that its environment was made from; '' where toolkit made none."""
    unhashed: list[str] = field(default_factory=list)
    """The packages of that environment, as pins, that were installed by their version alone."""


class RecordedPlacement(Strict, frozen=True, kw_only=True):
    """The provider on which each node of the model ran."""

    nodes: dict[str, int]
    """Provider → how many nodes ran there."""
    elsewhere: dict[str, list[str]]
    """Provider that was not asked for → the operators that ran there, one entry a node."""
    copies: int | None
    """Copies between the providers in one call; None where the runtime does not tell."""
    asked: str
    """The provider that was asked for."""
    shape_only: bool = True
    """Nothing but shape arithmetic ran elsewhere: the row keeps its provider's name."""


class WarningKind(StrEnum):
    """The kinds of warning. report/ says what to do about each."""

    NEVER_STEADY = "never steady"
    MORE_THREADS = "more threads than asked"
    FEWER_THREADS = "fewer threads than asked"
    LITTLE_MEMORY = "little memory"
    LEFT_CORE = "left its core"
    ONE_CORE = "one core for all"
    MIXED_VERSIONS = "mixed versions"
    TIMER_SHARE = "timer share"
    BINDING_SHARE = "binding share"
    PLACEMENT = "not all nodes on its provider"
    NOISY = "noisy machine"
    STOPPED_EARLY = "stopped early"
    NO_INTERVAL = "too few process starts"
    TOO_MANY_PAIRS = "too few process starts for the pairs"
    WIDE = "wider than asked"
    TRY_THREADS = "one thread"
    LATE_WARM_UP = "slower at first"
    UNJUDGED = "generation not judged right"
    FEWER_SHAPES = "not judged at every shape"
    DISPUTED = "the oracle is disputed"
    SATURATES = "8-bit products may saturate"
    NOT_LOOKED_AT = "not looked at"
    MADE_UP = "made-up times"
    RESUMED = "resumed"


class Warning(Strict, frozen=True, kw_only=True):
    """One thing that a reader must know; `detail` holds its figures, in words, for one line."""

    kind: WarningKind
    detail: str


class Failure(Strict, frozen=True, kw_only=True):
    """The reason why a target has no numbers."""

    verb: str
    """The step at which it failed: 'start', 'hello', 'load', 'bind', 'answer', 'sample' …"""
    what: str
    """One line."""
    cures: list[str]
    last_words: list[str] = field(default_factory=list)
    """The end of its log."""


class Series(Strict, frozen=True, kw_only=True):
    """The blocks of one target and one case in one generation; one entry a round, in order."""

    generation: int
    starts: list[Seconds]
    """The start of each block, since the run began."""
    medians: list[float]
    """The median of each block, in nanoseconds a call."""
    means: list[float]
    """The mean of each block, in nanoseconds a call."""
    switches: list[int]
    """Involuntary context switches within the block."""
    waited: list[Seconds] = field(default_factory=list)
    """The time around each block in which a thread of the worker was ready to run while other
    processes had its core; 0 where the kernel does not tell."""


class Timing(Strict, frozen=True, kw_only=True):
    """All that was measured of one target at one case. The samples stand in samples.npz under
    '<target index>/<case index>/<generation>', int64 nanoseconds, shape (rounds, calls)."""

    case: int
    calls: int
    """The calls of a block that count."""
    discarded: int = 0
    """The calls before them in each block, which do not count; 0 too where an older record does not
    tell."""
    empty: float
    """Nanoseconds that an empty interval shows in this worker; they are inside every sample."""
    series: list[Series]
    into: list[float] = field(default_factory=list)
    """Nanoseconds that the copies of the inputs take when they are made alone, after the blocks;
    one entry a generation. Empty: the runtime cannot make them apart from the call."""
    out: list[float] = field(default_factory=list)
    """Nanoseconds of the copies of the outputs, likewise."""


class ColdStart(Strict, frozen=True, kw_only=True):
    """The times of a target's process starts: one entry a generation, in seconds."""

    imported: list[Seconds] = field(default_factory=list)
    loaded: list[Seconds] = field(default_factory=list)
    first_call: list[Seconds] = field(default_factory=list)
    new_shape: list[Seconds] = field(default_factory=list)
    """The first call at another shape than the first; empty for one shape."""
    steady_after: list[Seconds] = field(default_factory=list)
    """The part of the warm-up in which the latency was not yet steady."""


class Memory(Strict, frozen=True, kw_only=True):
    """The memory of a target's workers: one entry a generation."""

    idle: list[Bytes] = field(default_factory=list)
    """Resident after the import and before the load."""
    resident: list[Bytes] = field(default_factory=list)
    """Resident after the last block."""
    peak: list[Bytes] = field(default_factory=list)
    """The most that was ever resident."""


class Conversion(Strict, frozen=True, kw_only=True):
    """The form of the model that the runtime made for itself, once for all process starts."""

    seconds: Seconds
    """The time that it took when it was made."""
    size: Bytes
    kept: bool
    """It was in the cache, made by an earlier run."""


class Kernels(Strict, frozen=True, kw_only=True):
    """The operators of a quantized file as the runtime's optimizer leaves them."""

    operators: dict[str, int]
    """Operator → how many nodes are one."""
    unfused: dict[str, int] = field(default_factory=dict)
    """Operator → how many of its nodes multiply floats, though the file asks for integers: what
    stands around them was not fused with them."""


class TargetRecord(Strict, frozen=True, kw_only=True):
    """All that one target did in one run."""

    target: int
    """Index into the plan's targets."""
    library: Library | None = None
    placement: RecordedPlacement | None = None
    conversion: Conversion | None = None
    kernels: Kernels | None = None
    """None where the file is not quantized, or its runtime does not tell."""
    verdict: Verdict | None = None
    card: list[SpecialValue] = field(default_factory=list)
    """The special values of Relu."""
    timings: list[Timing] = field(default_factory=list)
    cold: ColdStart = field(default_factory=ColdStart)
    memory: Memory = field(default_factory=Memory)
    metrics: list[MetricValue] = field(default_factory=list)
    """What it is worth on labelled data, measured in a session whose outputs were judged."""
    warnings: list[Warning] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def right(self) -> bool:
        """The target ran and its answers are right: only then has it a rank."""
        return self.failure is None and self.verdict is not None and self.verdict.right

    @property
    def agrees(self) -> bool:
        """The target ran and its answers are right, or not shown to be less: only then has it a
        ratio."""
        if self.failure is not None or self.verdict is None:
            return False
        return not self.verdict.refuted

    @property
    def may_be_timed(self) -> bool:
        """Its latency is worth knowing: that of answers that are only coarse is, that of wrong ones
        is not."""
        if self.failure is not None or self.verdict is None:
            return False
        return self.verdict.answer != "wrong"

    def timing(self, case: int) -> Timing | None:
        """The measurements at one case; None where there are none."""
        return next((timing for timing in self.timings if timing.case == case), None)


class Generation(Strict, frozen=True, kw_only=True):
    """One set of freshly started workers, and the machine while they were measured."""

    number: int
    cores: list[int]
    """The cores of the workers."""
    driver: list[int]
    """The cores of the parent."""
    started: Seconds
    """The start of its first block, since the run began."""
    ended: Seconds
    """The end of its last block, since the run began."""
    steal: Number
    """The share of the cores' time that the hypervisor took."""
    others: Number
    """CPU time of processes that are not ours, in cores."""
    frequency: list[float] = field(default_factory=list)
    """MHz of the workers' cores at the end, where they can be read."""
    busy: list[BusyProcess] = field(default_factory=list)
    """Processes of others that computed meanwhile, the busiest first."""
    devices: list[GpuState] = field(default_factory=list)
    """The GPUs that targets ran on, right after the last block."""
    counted: bool = True
    """False: its outputs were not right, so its times do not count."""


class Run(Strict, frozen=True, kw_only=True):
    """The whole record, as run.json holds it."""

    version: int
    toolkit: str
    state: State
    started: str
    """UTC, ISO 8601."""
    command: list[str]
    plan: Plan
    machine: Machine
    records: list[TargetRecord]
    generations: list[Generation]
    warnings: list[Warning] = field(default_factory=list)
    seconds: Seconds = 0.0
    """Wall time of the whole run so far."""
    data: LabelledData | None = None

    @property
    def counted_starts(self) -> list[int]:
        """The numbers of the generations whose times count: all that was judged there was right."""
        return [generation.number for generation in self.generations if generation.counted]
