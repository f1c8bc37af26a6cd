"""Labelled data through judged targets: the metrics of each, and old against new.

The rules, cited in the code:

P1  A target answers examples in a fresh worker, as in any process start. Its answers at the timed
    cases are held to the border of its verdict before the first example and after the last: the
    session that a metric is of was judged.
P2  All targets of a pass are alive together and get the same batches, so that each pair is of the
    same examples, however early the pass ends. Where the memory does not hold all of them, each
    pair is a pass of its own.
P3  No output is kept: of each example only what its metrics need (metrics M1).
P4  What is wrong has its metrics too, beside that verdict: other weights are wrong by the old
    file's oracle, and may be worth as much. The reference evaluator, which is slow, has none unless
    it is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from onnx import ModelProto

from toolkit.data import examples as reading
from toolkit.data import labellings, metrics
from toolkit.data.examples import Batch, Examples
from toolkit.data.labellings import Labelling
from toolkit.data.looks import Looks
from toolkit.data.looks import decided as looks_decided
from toolkit.data.metrics import Metric
from toolkit.data.request import DataRequest
from toolkit.engine.assignment import Assignment
from toolkit.engine.failures import failure
from toolkit.engine.metricpairs import Column, Flips, drops, values
from toolkit.engine.setup import ReadyTarget, RunSetup
from toolkit.errors import InputError, ShapeRefused, TargetError
from toolkit.machine import memory
from toolkit.measure import schedule
from toolkit.records.metrics import LabelledData, MetricDrop, MetricValue, Stopped, span_of
from toolkit.records.schema import Failure, Run
from toolkit.tensors import Array, TensorSpec
from toolkit.workers.launch import Worker

FEED = "examples"
"""The name of every batch in a worker: each takes the place of the one before."""

Watch = Callable[[float | None, str], None]


@dataclass
class _DataRun:
    """One target while it answers examples."""

    target: ReadyTarget
    worker: Worker
    column: Column
    rows: int = 0
    """The rows of a batch that it takes; 0: as many as are given."""
    failure: Failure | None = None


@dataclass
class _Pass:
    """One pass over the examples."""

    setup: RunSetup
    runs: list[_DataRun]
    pairs: Sequence[tuple[int, int]]
    """(old, new), indices of targets of this pass."""
    asked: DataRequest
    examples: Examples
    model: ModelProto
    anonymous: bool
    inputs: Sequence[TensorSpec]
    labelling: Labelling | None = None
    metrics: list[Metric] = field(default_factory=list)
    flips: Flips = field(default_factory=Flips)
    indices: list[Array] = field(default_factory=list)

    @property
    def alive(self) -> list[_DataRun]:
        return [run for run in self.runs if run.failure is None]

    @property
    def used(self) -> int:
        return sum(map(len, self.indices))

    def attempt(self, run: _DataRun, step: Callable[[_DataRun], None]) -> None:
        """Does a step, or the target leaves the pass with its error."""
        if run.failure is not None:
            return
        try:
            step(run)
        except TargetError as error:
            run.failure = failure(error)
            run.worker.stop()


def measure(
    run: Run,
    setup: RunSetup,
    assignment: Assignment,
    examples: Examples,
    asked: DataRequest,
    model: ModelProto,
    watch: Watch,
    *,
    anonymous: bool = False,
) -> Run:
    """The run with the metrics of its targets on these examples.

    `setup` has the targets that were judged. Raises InputError for data that does
    not fit the model. A target that cannot answer it has a failure in the record.
    """
    named = {index for index, target in enumerate(run.plan.targets) if target.asked}
    targets = [
        target
        for target in setup.targets
        if target.spec.entry.name != "reference" or target.index in named  # P4
    ]
    if any(target.spec.entry.name == "reference" for target in targets):
        assignment.program_of("reference")  # Its file went when all were judged.
    indices = [target.index for target in targets]
    base = run.plan.baseline if run.plan.baseline in indices else next(iter(indices), -1)
    wanted = asked.pairs or [(base, index) for index in indices if index != base]
    pairs = [(old, new) for old, new in wanted if {old, new} <= {*indices}]
    done = [
        _passed(
            _Pass(setup, [], of_pass, asked, examples, model, anonymous, assignment.file.inputs),
            [target for target in targets if target.index in group],
            len(pairs),
            watch,
        )
        for group, of_pass in _groups(targets, pairs)
    ]
    return _recorded(run, done)


def _groups(
    targets: Sequence[ReadyTarget], pairs: Sequence[tuple[int, int]]
) -> list[tuple[set[int], list[tuple[int, int]]]]:
    """The targets that are alive together, with their pairs (P2)."""
    everyone = {target.index for target in targets}
    held = sum(target.resident for target in targets)
    if len(targets) <= schedule.MOST_ALIVE and held <= schedule.ROOM * memory.available():
        return [(everyone, [*pairs])]
    groups = [({*pair}, [pair]) for pair in pairs]
    alone = everyone - {index for pair in pairs for index in pair}
    return [*groups, *(({index}, []) for index in sorted(alone))]


@dataclass(frozen=True)
class _Result:
    """What one pass gave."""

    data: LabelledData
    columns: Mapping[int, Column]
    metrics: Sequence[Metric]
    failures: Mapping[int, Failure]
    drops: Sequence[MetricDrop]


def _passed(this: _Pass, targets: Sequence[ReadyTarget], pairs: int, watch: Watch) -> _Result:
    """Feeds every target all examples, or as many as it takes; `pairs` are those of all passes."""
    began = time.monotonic()
    gated = this.asked.drop is not None and bool(this.pairs)
    looks = Looks(this.examples.count, gated, max(1, pairs))
    watch(None, "starting the workers")
    try:
        for target in targets:
            worker = this.setup.launcher.start(target.spec, 0)
            this.runs.append(_DataRun(target, worker, Column(target.index)))
        for run in this.runs:
            this.attempt(run, lambda run: run.worker.post_hello())
        for run in this.runs:
            this.attempt(run, lambda run: _begin(this, run))  # P1
        stopped: Stopped = "all"
        found: list[MetricDrop] = []
        for batch in _batches(this, looks):
            _answer(this, batch)
            total = this.examples.count
            share = None if total is None else this.used / total
            watch(share, f"{this.used:,} examples")
            late = this.asked.time is not None and time.monotonic() - began > this.asked.time
            if not this.alive or late:
                stopped = "time" if late and this.used != total else "all"
                break
            if looks.due(this.used) and this.used != total:
                found = _drops(this, looks.alpha(this.used, last=False))
                if found and _decided(found, this.asked.drop):
                    stopped = "decided"
                    break
        if not this.used and this.alive:
            raise InputError(f"{this.examples.name} has no examples")
        if stopped != "decided":
            found = _drops(this, looks.alpha(this.used, last=True))
        for run in this.runs:
            this.attempt(run, lambda run: _judge(this, run))  # P1
    finally:
        for run in this.runs:
            run.worker.stop()
    failed = {run.target.index: run.failure for run in this.runs if run.failure is not None}
    return _Result(
        _data(this, looks, stopped),
        {run.target.index: run.column for run in this.alive},
        this.metrics,
        failed,
        [drop for drop in found if not {drop.old, drop.new} & {*failed}],
    )


def _begin(this: _Pass, run: _DataRun) -> None:
    """Loads the program and holds its answers to the verdict's border (P1)."""
    run.worker.hello()
    run.worker.load_program(run.target.program)
    _judge(this, run)


def _judge(this: _Pass, run: _DataRun) -> None:
    for index, case in enumerate(this.setup.cases):
        outputs = run.worker.evaluate(case.name, case.arrays, case.types)
        if reason := this.setup.check(run.target.index, index, outputs):
            raise TargetError(f"its answers changed after the verdict: {reason}")


def _batches(this: _Pass, looks: Looks) -> Iterator[Batch]:
    """The examples in a random order, where there is a choice (looks L5). None goes beyond the next
    look; between one and the next their user has the targets answer."""
    count = this.examples.count
    order = None if count is None else np.random.default_rng(this.asked.seed).permutation(count)
    first = next(this.examples.read(None if order is None else order[:1].tolist()), None)
    if first is None:
        return
    rows = reading.batch_size(this.inputs, first[1])
    places = None if order is None else order.tolist()

    def size() -> int:
        return rows.until(looks.next_place - this.used) if looks.next_place else rows.now

    for batch in reading.batches(this.examples, places, this.inputs, size):
        began = time.monotonic()
        yield batch
        rows.quicker((time.monotonic() - began) / max(1, len(this.alive)))


def _answer(this: _Pass, batch: Batch) -> None:
    """Has every target answer a batch, and keeps of it what the metrics need (P3)."""
    this.indices.append(batch.indices)
    for run in this.alive:
        this.attempt(run, lambda run: _keep(this, run, batch))
    this.flips.look(
        batch.indices, batch.labels, [run.column for run in this.alive], this.pairs, this.metrics,
        this.examples, this.labelling, anonymous=this.anonymous,
    )  # fmt: skip


def _keep(this: _Pass, run: _DataRun, batch: Batch) -> None:
    outputs = _outputs(this, run, batch)
    if not this.metrics:
        _settle(this, outputs, batch.labels)
    if this.labelling is not None:
        if this.labelling.output not in outputs:
            raise TargetError(f"it gives no output {this.labelling.output!r}")
        labellings.demand_labels(this.labelling, batch.labels, batch.indices)
    kept = [metric.rows(outputs, batch.labels) for metric in this.metrics]
    for metric, rows in zip(this.metrics, kept, strict=True):
        if not run.column.rows:
            metrics.demand_room(metric.name, rows, this.examples.count)
    run.column.add(kept)


def _outputs(this: _Pass, run: _DataRun, batch: Batch) -> dict[str, Array]:
    """The outputs of a batch, without the rows that only fill it."""
    types, count = this.setup.cases[0].types, len(batch.indices)
    rows = len(next(iter(batch.feed.values())))
    if not run.rows:
        try:
            outputs = run.worker.evaluate(FEED, batch.feed, types)
            return {name: _rows_of(name, array, rows)[:count] for name, array in outputs.items()}
        except ShapeRefused:
            # One that takes some shapes only takes those at which it was judged.
            run.rows = next((len(a) for a in this.setup.cases[0].arrays.values() if a.ndim), 1)
            if run.rows > rows:
                raise
    parts = []
    for start in range(0, count, run.rows):
        taken = np.minimum(np.arange(start, start + run.rows), count - 1)
        feed = {name: array[taken] for name, array in batch.feed.items()}
        parts.append(run.worker.evaluate(FEED, feed, types))
    return {
        name: np.concatenate([_rows_of(name, part[name], run.rows) for part in parts])[:count]
        for name in parts[0]
    }


def _rows_of(name: str, array: Array, rows: int) -> Array:
    """An output, one row an example; without any, where it has another number of rows."""
    return array if array.ndim and len(array) == rows else np.empty((rows, 0), array.dtype)


def _settle(this: _Pass, outputs: Mapping[str, Array], labels: Array) -> None:
    """Finds the labelling and its metrics by the first batch."""
    named = this.asked.metrics
    if not named or any(name in metrics.NAMES for name in named):
        this.labelling = labellings.find(outputs, labels, this.model)
    names = named or ([metrics.usual(this.labelling.kind)] if this.labelling else [])
    this.metrics = [metrics.metric(name, this.labelling) for name in names]


def _drops(this: _Pass, alpha: float) -> list[MetricDrop]:
    columns = {run.target.index: run.column for run in this.alive}
    indices = np.concatenate(this.indices) if this.indices else np.empty(0, np.int64)
    pairs = [pair for pair in this.pairs if {*pair} <= {*columns}]
    return drops(columns, pairs, this.metrics, indices, this.flips, alpha, this.asked.seed)


def _decided(found: Sequence[MetricDrop], limit: float | None) -> bool:
    """Says whether the gate, which is on the first metric, is decided for every pair."""
    assert limit is not None
    first = [drop for drop in found if drop.metric == found[0].metric]
    return all(looks_decided(span_of(drop), limit) for drop in first)


def _data(this: _Pass, looks: Looks, stopped: Stopped) -> LabelledData:
    asked = this.asked
    return LabelledData(
        name=this.examples.name,
        labelling="" if this.labelling is None else str(this.labelling.kind),
        available=this.examples.count,
        used=this.used,
        classes=[*this.examples.classes],
        preprocess=asked.preprocess or "",
        seed=None if this.examples.count is None else asked.seed,
        stopped=stopped,
        limit=asked.drop,
        looks=looks.taken,
    )


def _recorded(run: Run, results: Sequence[_Result]) -> Run:
    """The run with what its passes gave."""
    if not results:
        return run
    found: dict[int, list[MetricValue]] = {}
    failures: dict[int, Failure] = {}
    for result in results:
        failures |= result.failures
        for index, column in result.columns.items():
            found.setdefault(index, values(column, result.metrics))
    records = [
        msgspec.structs.replace(
            record,
            metrics=found.get(record.target, []),
            failure=record.failure or failures.get(record.target),
        )
        for record in run.records
    ]
    data = msgspec.structs.replace(
        results[0].data,
        used=max(result.data.used for result in results),
        drops=[drop for result in results for drop in result.drops],
    )
    return msgspec.structs.replace(run, records=records, data=data)
