"""The tasks that a process can be asked for, each a pipeline with its arguments.

There are these and no others. The signature of a task's `run` says which types cross: those of
`watch` are told while it works, and its result comes back.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from toolkit.deployment.verifying import Trusted
from toolkit.exporter.quiet import Chatter
from toolkit.operatortests.running import Watch as WatchTests
from toolkit.pipelines.bench import bench
from toolkit.pipelines.check import check
from toolkit.pipelines.compare import ComparedModels, compare
from toolkit.pipelines.conformance import Conformance, conformance
from toolkit.pipelines.deploy import Deployment, DeployRequest, deploy
from toolkit.pipelines.deploy import Watch as WatchFolders
from toolkit.pipelines.export import Exported, Stage, export
from toolkit.pipelines.request import BenchRequest, FinishedRun, Watch
from toolkit.report.decision import Wishes
from toolkit.sources.source import Source
from toolkit.strict import Strict
from toolkit.units import Seconds
from toolkit.workers.jobs import Patience

R_co = TypeVar("R_co", covariant=True)

WatchExport: TypeAlias = Callable[[Stage | None, str], None]
"""Told the stage that begins; or, with None, a part of what torch said."""


class Task(Protocol[R_co]):
    """A pipeline with its arguments."""

    @property
    def factory(self) -> str:
        """The source whose code it runs, as its text; empty where there is none."""

    def run(self, watch: Any) -> R_co:
        """Runs the pipeline in this process. Raises as it does."""


class ExportTask(Strict, frozen=True, tag=True):
    """`pipelines.export`, whose chatter is told when it has ended, also where it raises."""

    of: Source | str | None
    out: Path | None
    input: tuple[str, ...]
    weights: Path | None
    opset: int | None
    exporter: str | None
    proof: bool
    stateful: bool
    allow_fixed: bool
    cast_missing: bool
    keep_traces: bool
    force: bool
    sign: Path | None
    timeout: Seconds | None

    @property
    def factory(self) -> str:
        return self.of.factory if isinstance(self.of, Source) else self.of or ""

    def run(self, watch: WatchExport) -> Exported:
        chatter = Chatter()
        try:
            return export(
                self.of,
                self.out,
                input=self.input,
                weights=self.weights,
                opset=self.opset,
                exporter=self.exporter,
                proof=self.proof,
                stateful=self.stateful,
                allow_fixed=self.allow_fixed,
                cast_missing=self.cast_missing,
                keep_traces=self.keep_traces,
                force=self.force,
                sign=self.sign,
                timeout=self.timeout,
                watch=lambda stage: watch(stage, ""),
                chatter=chatter,
            )
        finally:
            for part in chatter.parts:
                watch(None, part)


class CheckTask(Strict, frozen=True, tag=True):
    """`pipelines.check`."""

    model: Path
    order: BenchRequest
    verify: Trusted | None

    @property
    def factory(self) -> str:
        return _factory(self.order.source)

    def run(self, watch: Watch) -> FinishedRun:
        return check(self.model, self.order, verify=self.verify, watch=watch)


class BenchTask(Strict, frozen=True, tag=True):
    """`pipelines.bench`."""

    model: Path
    order: BenchRequest
    reports: Path
    resume: Path | None

    @property
    def factory(self) -> str:
        return _factory(self.order.source)

    def run(self, watch: Watch) -> FinishedRun:
        return bench(self.model, self.order, reports=self.reports, resume=self.resume, watch=watch)


class CompareTask(Strict, frozen=True, tag=True):
    """`pipelines.compare`."""

    old: Path
    new: Path | None
    order: BenchRequest
    reports: Path
    wishes: Wishes

    @property
    def factory(self) -> str:
        return _factory(self.order.source)

    def run(self, watch: Watch) -> ComparedModels:
        return compare(
            self.old, self.new, self.order, reports=self.reports, wishes=self.wishes, watch=watch
        )


class DeployTask(Strict, frozen=True, tag=True):
    """`pipelines.deploy`."""

    model: Path
    to: tuple[str, ...]
    out: Path | None
    request: DeployRequest

    @property
    def factory(self) -> str:
        return _factory(self.request.source)

    def run(self, watch: WatchFolders) -> list[Deployment]:
        return deploy(self.model, self.to, self.out, request=self.request, watch=watch)


class ConformanceTask(Strict, frozen=True, tag=True):
    """`pipelines.conformance`."""

    targets: tuple[str, ...]
    out: Path
    operators: tuple[str, ...]
    patience: Patience | None

    @property
    def factory(self) -> str:
        return ""

    def run(self, watch: WatchTests) -> Conformance:
        return conformance(
            self.targets,
            out=self.out,
            operators=self.operators,
            patience=self.patience,
            watch=watch,
        )


AnyTask: TypeAlias = ExportTask | CheckTask | BenchTask | CompareTask | DeployTask | ConformanceTask


def result_type(task: type[Task[R_co]]) -> type[R_co]:
    """The type of what the task's `run` returns."""
    kind: type[R_co] = typing.get_type_hints(task.run)["return"]
    return kind


def event_type(task: type[Task[object]]) -> Any:
    """The type of what the task's `run` tells at once: a tuple of the arguments of its `watch`."""
    arguments = typing.get_args(typing.get_type_hints(task.run)["watch"])[0]
    return tuple[tuple(arguments)]  # type: ignore[misc]


def is_only_here(task: Task[object]) -> bool:
    """Says whether a task runs the code of a module that this process alone has: a notebook's, or
    one that was made while a program ran."""
    head = task.factory.rpartition(":")[0]
    module = sys.modules.get(head)
    return module is not None and (head == "__main__" or module.__spec__ is None)


def _factory(source: Source | None) -> str:
    return "" if source is None else source.factory
