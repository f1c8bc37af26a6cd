"""Makes records of runs as the engine writes them: seeded, whole, of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from toolkit.answers.formats import Precision
from toolkit.answers.specialvalues import SpecialValue
from toolkit.answers.verdict import Answer, Limits, Name, OutputVerdict, Verdict
from toolkit.machine.facts import Machine
from toolkit.records.schema import (
    VERSION,
    Case,
    ColdStart,
    Failure,
    Generation,
    Library,
    Memory,
    Model,
    Plan,
    PlannedTarget,
    RecordedPlacement,
    Run,
    Series,
    State,
    TargetRecord,
    Tensor,
    Timing,
    Warning,
    WarningKind,
)
from toolkit.tensors import Array
from toolkit.units import Number, number

BANDS: dict[Precision, tuple[float, float]] = {
    "float32": (0.0, 10.0),
    "tf32": (180.0, 2_100.0),
    "float16": (160.0, 1_300.0),
    "bfloat16": (900.0, 14_000.0),
    "int8": (3_300.0, 61_000.0),
}


@dataclass(frozen=True)
class Row:
    """A target as a run shall find it."""

    label: str
    latency: float
    """Seconds a call at the first case; later cases take longer with their batch."""
    verdict: Name = "float32"
    right: bool = True
    shown: bool = True
    """False: the answers are not shown, with `reason` as the cause."""
    reason: str = ""
    factor: float = 1.3
    failure: Failure | None = None
    judged: bool = True
    runtime: str = ""
    provider: str = "cpu"
    copies: str = ""
    moves: bool = False
    """Its runtime tells its copies: 100 ns in, 50 ns out."""
    start: float = 0.2
    """Seconds of its import."""
    tail: float = 0.05
    placement: RecordedPlacement | None = None
    warnings: tuple[Warning, ...] = ()
    relu: tuple[SpecialValue, ...] = ()
    """Special values that its Relu was asked for."""
    file: int = 0
    """The bytes of a file of its own, which is compared with the row before; 0: the run's."""
    declared: Precision = "float32"
    resident: int = 0
    """The bytes that it holds more than its row's place gives it."""
    changes: tuple[int, int] | None = None
    """Rows in which another class is the largest, and all rows."""

    @property
    def library(self) -> str:
        return self.runtime or self.label.split(" ")[0]


@dataclass(frozen=True)
class Shape:
    """The size of a run, and how it ended."""

    starts: int = 14
    rounds: int = 20
    calls: int = 50
    batches: Sequence[int] = (1,)
    seed: int = 0
    state: State = "done"
    model: str = "mlp.onnx"
    baseline: int = -1
    warnings: tuple[Warning, ...] = ()
    not_counted: frozenset[int] = field(default_factory=frozenset)


def make(rows: Sequence[Row], shape: Shape | None = None) -> tuple[Run, dict[str, Array]]:
    """A run and its samples. Each process start has its own speed (SD 1.2 %), each core state its
    own (a third of the starts run 1.5 times slower), and each call its own tail."""
    shape = shape or Shape()
    random = np.random.default_rng(shape.seed)
    states = np.where(random.random(shape.starts) < 0.3, 1.5, 1.0)
    samples: dict[str, Array] = {}
    records = []
    for index, row in enumerate(rows):
        timings = []
        for case in range(len(shape.batches) if row.failure is None else 0):
            times, calls = timing(row, case, shape, states, random)
            timings.append(times)
            samples |= {f"{index}/{case}/{start}": block for start, block in enumerate(calls)}
        records.append(record(index, row, timings, shape, random))
    run = Run(
        version=VERSION,
        toolkit="0.1.0",
        state=shape.state,
        started="2026-11-23T10:45:01Z",
        command=["toolkit", "bench", f"models/mlp/{shape.model}", "--batch", "1"],
        plan=plan(rows, shape),
        machine=MACHINE,
        records=records,
        generations=[generation(start, shape, random) for start in range(shape.starts)],
        warnings=list(shape.warnings),
        seconds=1.7 * shape.starts,
    )
    return run, samples


def timing(
    row: Row, case: int, shape: Shape, states: Array, random: np.random.Generator
) -> tuple[Timing, list[Array]]:
    """The times of a target at one case, and its calls: int64 ns, (rounds, calls) a start."""
    series, calls = [], []
    for start in range(shape.starts):
        own = states[start] * np.exp(random.normal(0, 0.012))
        jitter = random.gamma(2.0, row.tail / 2, (shape.rounds, shape.calls))
        typical = row.latency * shape.batches[case] ** 0.6 * own
        block = (typical * (1 + jitter) * 1e9).astype(np.int64)
        calls.append(block)
        series.append(blocks(start, case, block, random))
    copied = [50.0] * shape.starts if row.moves else []
    times = Timing(
        case=case,
        calls=shape.calls,
        empty=50.0,
        series=series,
        into=[2 * ns for ns in copied],
        out=copied,
    )
    return times, calls


def blocks(start: int, case: int, block: Array, random: np.random.Generator) -> Series:
    """The blocks of one process start, as its worker reports them."""
    rounds = len(block)
    return Series(
        generation=start,
        starts=[round(start * 1.7 + 0.6 + case * 0.4 + 0.02 * r, 4) for r in range(rounds)],
        medians=[float(m) for m in np.median(block, axis=1)],
        means=[round(float(m), 1) for m in block.mean(axis=1)],
        switches=[int(s) for s in random.poisson(0.3, rounds)],
    )


def record(
    index: int, row: Row, timings: list[Timing], shape: Shape, random: np.random.Generator
) -> TargetRecord:
    """The record of one target."""
    if row.failure is not None:
        return TargetRecord(target=index, failure=row.failure, warnings=list(row.warnings))

    def around(value: float) -> list[float]:
        return [float(v) for v in value * np.exp(random.normal(0, 0.05, shape.starts))]

    return TargetRecord(
        target=index,
        library=Library(
            runtime=row.library,
            version="1.32.0",
            file=f"{row.library}/__init__.py",
            python="3.11.2",
        ),
        placement=row.placement
        or RecordedPlacement(nodes={row.provider: 4}, elsewhere={}, copies=0, asked=row.provider),
        verdict=verdict(row) if row.judged else None,
        card=list(row.relu),
        timings=timings,
        cold=ColdStart(
            imported=around(row.start),
            loaded=around(0.03),
            first_call=around(row.latency * 40),
            new_shape=around(row.latency * 12) if len(shape.batches) > 1 else [],
            steady_after=around(0.05),
        ),
        memory=Memory(
            idle=[40_000_000 + index * 1_000_000] * shape.starts,
            resident=[
                52_000_000 + index * 2_500_000 + row.resident + 4096 * i
                for i in range(shape.starts)
            ],
            peak=[55_000_000 + index * 2_500_000 + 8192 * i for i in range(shape.starts)],
        ),
        warnings=list(row.warnings),
    )


def verdict(row: Row) -> Verdict:
    """A verdict with one output."""
    error: Number = number(row.factor * 3e-8)
    answer: Answer = "right" if row.right else "wrong" if row.verdict == "wrong" else "less precise"
    if not row.shown:
        answer = "not shown"
    return Verdict(
        text=row.verdict if row.shown else "not shown",
        answer=answer,
        right=row.right and row.shown,
        reason=row.reason,
        declared=row.declared,
        outputs=(
            OutputVerdict(
                output="labels",
                names=(row.verdict,),
                answer=answer,
                reason=row.reason,
                evidence="within 10 times the plain float32 error" if row.right else "by its grid",
                elements=1280,
                factor=number(row.factor),
                max_abs=number(row.factor * 9e-8),
                rms=error,
                worst=(17, 1),
                got=0.50012,
                expected=0.5,
                bands=dict(BANDS),
                top1_changes=row.changes[0] if row.changes else None,
                rows=row.changes[1] if row.changes else None,
            ),
        ),
        feeds=8,
        oracle="torch in float64",
    )


FILE = 38_213
"""The bytes of the model."""


def model(name: str, size: int) -> Model:
    """A file of the reference model's form."""
    return Model(
        name=name,
        sha256=("5f2b" if size == FILE else "a07c") * 16,
        size=size,
        opset=20,
        ir_version=10,
        producer="pytorch 2.13.0",
        operators={"Gemm": 2, "Relu": 1, "Sigmoid": 1},
        inputs=[Tensor(name="pixels", type="float32", shape=["batch", 64])],
        outputs=[Tensor(name="labels", type="float32", shape=["batch", 2])],
        metadata={},
        parameters=8578,
    )


def plan(rows: Sequence[Row], shape: Shape) -> Plan:
    """The plan of the run."""
    targets = [
        PlannedTarget(
            name=f"{row.library}:{row.provider},row={index}",
            label=row.label,
            runtime=row.library,
            provider=row.provider,
            options={},
            environment="own",
            asked=True,
            copies_inside=row.copies,
            model=model("new.onnx", row.file) if row.file else None,
        )
        for index, row in enumerate(rows)
    ]
    return Plan(
        model=model(shape.model, FILE),
        targets=targets,
        baseline=shape.baseline % len(rows),
        cases=[
            Case(
                name=f"batch {batch}",
                dims={"batch": batch},
                shapes={"pixels": [batch, 64]},
                origin="digits",
                bytes_in=256 * batch,
                bytes_out=8 * batch,
            )
            for batch in shape.batches
        ],
        seed=0,
        threads=1,
        precision=0.01,
        time=60.0,
        looks=[10, 14, 20, 28, 40, 56, 80],
        alpha=0.04,
        limits=Limits(),
        rounds=shape.rounds,
    )


def generation(start: int, shape: Shape, random: np.random.Generator) -> Generation:
    """The machine during one process start."""
    return Generation(
        number=start,
        cores=[start % 2],
        driver=[1 - start % 2],
        started=start * 1.7 + 0.5,
        ended=start * 1.7 + 1.6,
        steal=round(float(random.gamma(1, 0.004)), 5),
        others=round(float(random.gamma(1, 0.2)), 4),
        counted=start not in shape.not_counted,
    )


MACHINE = Machine(
    identity="9d1c",
    cpu="AMD EPYC 9B14",
    cores=2,
    allowed=[0, 1],
    memory=8_200_000_000,
    system="Linux 6.1 x86_64, Debian 12",
    python="3.11.2",
    governor=None,
    virtual="KVM",
    timer=2e-8,
    gpus=[],
)

RELU = (
    SpecialValue("NaN", "nan", "nan", "nan", "nan", False),
    SpecialValue("−Inf", "-inf", 0.0, 0.0, 0.0, False),
    SpecialValue("+Inf", "inf", "inf", "inf", "inf", False),
    SpecialValue("−0.0", -0.0, 0.0, 0.0, 0.0, False),
    SpecialValue("smallest subnormal", 1.4e-45, 1.4e-45, 1.4e-45, 1.4e-45, False),
)
BENT_RELU = (
    SpecialValue("NaN", "nan", "nan", 0.0, 0.0, True),
    *RELU[1:4],
    SpecialValue("smallest subnormal", 1.4e-45, 1.4e-45, 0.0, 0.0, True, "flushed to zero"),
)
MISSING_CUDA = Failure(
    verb="load",
    what="libcublasLt.so.13 is missing",
    cures=["toolkit doctor"],
)

TWO = (
    Row("onnxruntime cpu", 6.5e-6, copies="every call copies 264 bytes", relu=RELU),
    Row("torch cpu", 24.1e-6, start=1.9, copies="none: the tensors stay where they are"),
)
MIXED = (
    Row("onnxruntime cpu, bound", 3.9e-6, copies="none: buffers of the runtime", relu=RELU),
    Row("onnxruntime cpu", 6.5e-6, copies="every call copies 264 bytes", moves=True, relu=RELU),
    Row(
        "openvino cpu",
        3.1e-6,
        verdict="bfloat16",
        right=False,
        reason="declares float32, computes bfloat16",
        factor=4100,
        relu=BENT_RELU,
    ),
    Row(
        "tract cpu",
        5.2e-6,
        verdict="wrong",
        right=False,
        reason="wrong: 3 elements are far off",
        factor=2.4e6,
    ),
    Row("onnxruntime cuda", 1e-5, provider="cuda", failure=MISSING_CUDA),
    Row("torch cpu", 24.1e-6, start=1.9, copies="none: the tensors stay where they are"),
)
TIMER = Warning(kind=WarningKind.TIMER_SHARE, detail="50 ns of 3.9 µs, 1.3 %")
EARLY = Warning(kind=WarningKind.STOPPED_EARLY, detail="after 14 of at most 80 process starts")
RUNTIMES = (
    "onnxruntime", "torch", "openvino", "iree", "tvm", "tract", "ncnn", "mnn", "opencv", "litert",
    "executorch", "candle", "burn", "tinygrad", "jax", "mlx", "reference",
)  # fmt: skip


def many(count: int = 17) -> tuple[Row, ...]:
    """So many right targets of as many runtimes."""
    return tuple(
        Row(f"{name} cpu", 4e-6 * 1.2**rank, factor=0.8 + rank / 8, relu=RELU)
        for rank, name in enumerate(RUNTIMES[:count])
    )


SWEEP = (
    Row("onnxruntime cpu", 6.5e-6, relu=RELU),
    Row("openvino cpu", 6.52e-6, relu=RELU),
    Row("torch cpu", 24.1e-6, start=1.9, warnings=(TIMER,)),
)
"""The first two cannot be told apart."""
