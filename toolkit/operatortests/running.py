"""Runs tests on the oracle and on targets, one worker for many tests, and keeps each outcome."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from toolkit.answers.simulate import Runner, StartRunner
from toolkit.engine import assignment as assignments
from toolkit.engine import conversion, unoptimised
from toolkit.engine.assignment import FeedRequest
from toolkit.errors import TargetError, ToolkitError, WorkerDied
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.operatortests.cases import OperatorTest, as_fed
from toolkit.operatortests.outcome import OperatorOutcome, OutcomeLedger, Result, fault
from toolkit.oracle.evaluator import Evaluator, from_bits
from toolkit.oracle.portable import Unsupported
from toolkit.records import privacy
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target
from toolkit.supervision import progress
from toolkit.tensors import Array
from toolkit.workers import managed
from toolkit.workers.jobs import Hello, WorkerSpec
from toolkit.workers.launch import Launcher, Worker

ORACLE = "oracle"
"""The name of the oracle among the targets."""
Watch = Callable[[float, str], None]
"""Told the share of the tests that is done, and the one that runs."""
Answers = list[dict[str, Array]]
"""Named outputs, one mapping for each set of inputs."""


@dataclass
class ServedTarget:
    """A target with the worker that serves its tests; a new one is started after it died."""

    name: str
    """The target as it is typed, without folders of this machine: so the ledger has it."""
    spec: WorkerSpec
    launcher: Launcher
    worker: Worker | None = None
    hello: Hello | None = None

    def version(self) -> str:
        """The version of its library. Raises TargetError where it does not start, and where it
        takes no .onnx: it would refuse every test for that."""
        _, hello = self._started()
        if hello.starts_from == "source":
            raise TargetError(f"{self.name} starts from a PyTorch source; each test is an .onnx")
        return hello.version

    def answers(self, file: ModelFile, case: OperatorTest) -> Answers:
        """The outputs for each set of inputs. Raises TargetError where it refuses or dies."""
        worker, hello = self._started()
        types = {spec.name: spec.type for spec in file.inputs}
        feeds = [
            {name: as_fed(array, types[name]) for name, array in inputs.items() if name in types}
            for inputs, _ in case.sets
        ]
        try:
            conversion.load(worker, hello, modelfile.program(file), feeds[0])
            return [worker.evaluate(str(n), feed, types) for n, feed in enumerate(feeds)]
        except WorkerDied:
            self.stop()
            raise

    def _started(self) -> tuple[Worker, Hello]:
        if self.worker is None or self.hello is None:
            self.worker = self.launcher.start_importing(self.spec)
            try:
                self.hello = self.worker.hello()
            except BaseException:
                self.stop()
                raise
        return self.worker, self.hello

    def stop(self) -> None:
        """Ends its worker."""
        if self.worker is not None:
            self.worker.stop()
        self.worker = None


@contextlib.contextmanager
def served(targets: Sequence[Target], launcher: Launcher) -> Iterator[list[ServedTarget]]:
    """Gives the targets, each with an environment; their workers end with the block.

    Raises EnvironmentFault for one that is not installed.
    """
    names = privacy.target_names([target.name for target in targets])
    ready = [_served(name, target, launcher) for name, target in zip(names, targets, strict=True)]
    try:
        yield ready
    finally:
        for each in ready:
            each.stop()


def _served(name: str, target: Target, launcher: Launcher) -> ServedTarget:
    entry = listing.find(target.runtime)
    home = managed.home(entry, target.provider, target.version, target.environment)
    spec = WorkerSpec(entry, home, target.provider, target.options)
    return ServedTarget(name, spec, launcher)


def run(
    cases: Sequence[OperatorTest],
    targets: Sequence[ServedTarget],
    ledger: OutcomeLedger,
    watch: Watch,
) -> None:
    """Runs each test on the oracle and on the targets, but for what the ledger has already."""
    known = {
        (each.case, each.target, each.version): each.result
        for each in ledger.read()
        if each.onnx == onnx.__version__
    }
    progress.step("operator tests")  # From here on there is something to keep after ^C.
    versions = {target.name: target.version() for target in targets}
    with contextlib.ExitStack() as stack:
        if targets:  # One worker without optimisations for the simulations of all verdicts.
            code = targets[0].launcher.worker_code
            runner = stack.enter_context(unoptimised.unoptimised(code))
            start: StartRunner = partial(_lent, runner)
        for number, case in enumerate(cases):
            watch(number / len(cases), case.name)
            wanted = [
                target for target in targets
                if (case.name, target.name, versions[target.name]) not in known
            ]  # fmt: skip
            blank = OperatorOutcome(case.name, case.operator, case.opset, ORACLE, onnx.__version__,
                            onnx.__version__, "crashed", "it ended the process",
                            inputs=case.inputs)  # fmt: skip
            right = known.get((case.name, ORACLE, onnx.__version__))
            if right is None:
                with ledger.begun(blank):
                    right, reason = _of_oracle(case)
                    ledger.append(replace(blank, result=right, reason=reason))
            for target in wanted:
                # The oracle judges the precision only where it is right itself.
                judging = start if right == "right" else None
                result, reason, verdict = _of_target(case, target, judging)
                outcome = replace(blank, target=target.name, version=versions[target.name])
                ledger.append(replace(outcome, result=result, reason=reason, verdict=verdict))


@contextlib.contextmanager
def _lent(runner: Runner) -> Iterator[Runner]:
    """Hands out a runner that goes on afterwards."""
    yield runner


def _of_oracle(case: OperatorTest) -> tuple[Result, str]:
    if case.left_out:
        return "left out", case.left_out
    try:
        with progress.bounded():
            evaluator = Evaluator(case.model)
            for inputs, right in case.sets:
                types = case.types
                feed = {name: as_fed(array, types[name]) for name, array in inputs.items()}
                got = evaluator.run(feed)
                if reason := _fault(case, got, right, exact=False):
                    return "wrong", reason
    except Unsupported as error:
        return "refused", error.what
    return "right", ""


def _of_target(
    case: OperatorTest, target: ServedTarget, start: StartRunner | None
) -> tuple[Result, str, str]:
    """The result, the reason and the verdict; without `start` the precision is not judged."""
    if case.left_out:
        return "left out", case.left_out, ""
    # Each in a folder of its own: tinygrad keeps the size of a path that it has read, and refuses
    # what is larger there later.
    with tempfile.TemporaryDirectory(prefix="case-", dir=target.launcher.work) as folder:
        return _of_file(Path(folder) / "case.onnx", case, target, start)


def _of_file(
    path: Path, case: OperatorTest, target: ServedTarget, start: StartRunner | None
) -> tuple[Result, str, str]:
    """The same, by a file that is written there."""
    onnx.save(case.model, path)
    try:
        file = modelfile.read(path)
    except ToolkitError as error:
        return "refused", error.what, ""
    try:
        answers = target.answers(file, case)
    except WorkerDied as error:
        return "crashed", error.what, ""
    except TargetError as error:
        return "refused", error.what, ""
    types = {spec.name: spec.type for spec in file.outputs}
    for (_, right), given in zip(case.sets, answers, strict=True):
        got = {name: from_bits(array, types[name]) for name, array in given.items()}
        if reason := _fault(case, got, right, exact=True):
            return "wrong", reason, ""
    return "right", "", _verdict(case, file, answers, target, start) if start else ""


def _fault(
    case: OperatorTest, got: dict[str, Array], right: Sequence[Array], *, exact: bool
) -> str:
    names = [value.name for value in case.model.graph.output]
    if missing := [name for name in names if name not in got]:
        return f"{missing[0]} is missing"
    ordered = [got[name] for name in names]
    return fault(names, ordered, right, rtol=case.rtol, atol=case.atol, exact=exact)


def _verdict(
    case: OperatorTest, file: ModelFile, answers: Answers, target: ServedTarget, start: StartRunner
) -> str:
    """The precision of right answers by the rule that judges every target; empty where the oracle
    cannot say."""
    feeds = file.path.with_name("case.npz")
    types = {spec.name: spec.type for spec in file.inputs}
    inputs, _ = case.sets[0]
    arrays = {n: as_fed(a, types[n]) for n, a in inputs.items() if n in types}
    np.savez(feeds, **arrays)  # type: ignore[arg-type]
    try:
        asked = assignments.ask(file.path, FeedRequest(inputs=feeds), target.launcher.work, start)
        return asked.judge.verdict(answers[:1]).text
    except ToolkitError:
        return ""
