"""The functions of the Python API. Each gives its pipeline to a process that this one watches over.

`timeout` and `memory_limit` are the command's `--timeout` and `--memory-limit`, in seconds and
bytes. Without them a step of finding out what is right may take 60 s and all of them half an hour,
and the process may hold four fifths of the memory that is free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolkit.api import calling
from toolkit.api.tasks import (
    BenchTask,
    CheckTask,
    CompareTask,
    ConformanceTask,
    DeployTask,
    ExportTask,
)
from toolkit.data.request import DataRequest
from toolkit.deployment.verifying import Trusted
from toolkit.errors import InputError
from toolkit.exporter.quiet import Chatter
from toolkit.operatortests.running import Watch as WatchTests
from toolkit.pipelines.compare import ComparedModels
from toolkit.pipelines.conformance import FOLDER, Conformance
from toolkit.pipelines.deploy import Deployment, DeployRequest
from toolkit.pipelines.deploy import Watch as WatchFolders
from toolkit.pipelines.export import Exported, Stage
from toolkit.pipelines.export import Watch as WatchStages
from toolkit.pipelines.request import REFERENCE, BenchRequest, FinishedRun, Watch, as_request
from toolkit.report.decision import Wishes
from toolkit.sources.source import Source
from toolkit.units import Bytes, Seconds
from toolkit.workers.jobs import Patience


def export(
    of: Source | str | None = None,
    out: Path | str | None = None,
    *,
    input: Sequence[str] = (),
    weights: Path | str | None = None,
    opset: int | None = None,
    exporter: str | None = None,
    proof: bool = True,
    stateful: bool = False,
    allow_fixed: bool = False,
    cast_missing: bool = False,
    keep_traces: bool = False,
    force: bool = False,
    sign: Path | str | None = None,
    timeout: Seconds | None = None,
    memory_limit: Bytes | None = None,
    watch: WatchStages = lambda stage: None,
    chatter: Chatter | None = None,
) -> Exported:
    """Exports a module and proves the file; without a source the reference model.

    `input` states inputs as `--input` does. `exporter` pins one of torch's exporters: `dynamo`,
    `dynamo-strict` or `torchscript`; without it the others are tried where the usual one fails.
    `proof=False` compares nothing, and the file's metadata says so. `stateful` makes the buffers
    that forward changes inputs and outputs of the file. `allow_fixed` gives a dimension that
    cannot stay dynamic its traced size, and a note of the result says so. `cast_missing`
    has operators that onnxruntime lacks in float16 or bfloat16 computed in float32. `keep_traces`
    leaves torch's notes in the file, with absolute paths and lines of the source. `force` replaces
    another model's test data beside the file. `sign` is a private key in PEM with which a file that
    is proven right is signed, in NAME.onnx.sig. `timeout` limits the proof. `chatter` gathers what
    torch says, also where this raises. Raises InputError for what the user gave, ExportError where
    torch refuses, NotProven where the file is not the module's function; nothing is written then. A
    source
    `__main__:NAME` exists in the calling process alone, and is exported there, without limits.
    """
    heard = chatter or Chatter()

    def hear(stage: Stage | None, said: str) -> None:
        if stage is None:
            heard.parts.append(said)
        else:
            watch(stage)

    task = ExportTask(
        of=of,
        out=_path(out),
        input=tuple(input),
        weights=_path(weights),
        opset=opset,
        exporter=exporter,
        proof=proof,
        stateful=stateful,
        allow_fixed=allow_fixed,
        cast_missing=cast_missing,
        keep_traces=keep_traces,
        force=force,
        sign=_path(sign),
        timeout=_checked(timeout),
    )
    return calling.run(task, hear, memory_limit=memory_limit)


def check(
    model: str | Path = REFERENCE,
    order: BenchRequest | Sequence[str] = (),
    *,
    verify: Trusted | str | Path | None = None,
    data: DataRequest | str | Path | None = None,
    timeout: Seconds | None = None,
    memory_limit: Bytes | None = None,
    watch: Watch = lambda step, share, text: None,
) -> FinishedRun:
    """Judges a model's answers on targets. The record has verdicts and special values, no times.

    `model` is an .onnx file, or a folder with one, as `deploy` makes it. `order` is a BenchRequest,
    or the targets as they are typed. `data` is labelled data, as `--data` takes it, or a
    DataRequest with metrics of it. `verify` is a public key in PEM: before anything else is read
    the model, or the folder that it lies in, must be as the key's owner signed it. `timeout` limits
    one step of one target, and finding out what is right. Raises InputError for another signature
    or none, and ToolkitError where nothing can be judged; a target that fails is a row with its
    error.
    """
    trusted = verify if verify is None or isinstance(verify, Trusted) else Trusted(Path(verify))
    task = CheckTask(model=Path(model), order=_asked(order, timeout, data), verify=trusted)
    return calling.run(task, watch, memory_limit=memory_limit)


def bench(
    model: str | Path = REFERENCE,
    order: BenchRequest | Sequence[str] = (),
    *,
    reports: str | Path = "reports",
    resume: Path | None = None,
    data: DataRequest | str | Path | None = None,
    timeout: Seconds | None = None,
    memory_limit: Bytes | None = None,
    watch: Watch = lambda step, share, text: None,
) -> FinishedRun:
    """Measures a model on targets; every number stands beside a verdict of the same session.

    `order` is a BenchRequest, or the targets as they are typed:
    `bench("m.onnx", ["onnxruntime:cpu"])`. `resume` is the folder of an unfinished run of the same
    model, targets and feeds. `data` is labelled data, as in `check`. `timeout` limits one step of
    one target, and finding out what is right. A target that fails is a row with its error. Raises
    ToolkitError where nothing can be measured; a run that was interrupted keeps what was measured.
    """
    task = BenchTask(
        model=Path(model),
        order=_asked(order, timeout, data),
        reports=Path(reports),
        resume=_path(resume),
    )
    return calling.run(task, watch, memory_limit=memory_limit)


def compare(
    old: str | Path,
    new: str | Path | None = None,
    order: BenchRequest | Sequence[str] = (),
    *,
    reports: str | Path = "reports",
    wishes: Wishes | None = None,
    data: DataRequest | str | Path | None = None,
    timeout: Seconds | None = None,
    memory_limit: Bytes | None = None,
    watch: Watch = lambda step, share, text: None,
) -> ComparedModels:
    """Compares two model files on every target, side by side in one run; or one file on two
    targets; or two runs, given their folders.

    A new file is fed and judged as the old one: by its oracle. `wishes` say what the decision is
    for: `Wishes(Goal.SIZE)`. `data` is labelled data, as in `check`, which both answer. `timeout`
    limits one step of one target, and finding out what is right. Raises ToolkitError where nothing
    can be compared.
    """
    task = CompareTask(
        old=Path(old),
        new=_path(new),
        order=_asked(order, timeout, data),
        reports=Path(reports),
        wishes=wishes or Wishes(),
    )
    return calling.run(task, watch, memory_limit=memory_limit)


def deploy(
    model: str | Path = REFERENCE,
    to: Sequence[str] = ("onnxruntime",),
    out: str | Path | None = None,
    *,
    request: DeployRequest | None = None,
    timeout: Seconds | None = None,
    memory_limit: Bytes | None = None,
    watch: WatchFolders = lambda name, step: None,
) -> list[Deployment]:
    """Makes a folder for each destination that runs there without toolkit, and proves it.

    The folders come to stand in `out`, default deployed/MODEL. Only one whose client was run and is
    right has the destination's name: NAME-unproven could not be run here, and NAME-failed is kept
    to be looked into; a script that takes deployed/mlp/web never finds either. `request.sign` is a
    private key with which the former are signed. `timeout` limits finding out what is right.
    Raises InputError for a model, a destination, a key or a request that cannot be met, and where
    another folder is in the way.
    """
    request = request or DeployRequest()
    if _checked(timeout) is not None:
        request = replace(request, deadline=timeout)
    task = DeployTask(model=Path(model), to=tuple(to), out=_path(out), request=request)
    return calling.run(task, watch, memory_limit=memory_limit)


def conformance(
    targets: Sequence[str] = (),
    *,
    out: str | Path = FOLDER,
    operators: Sequence[str] = (),
    patience: Patience | None = None,
    watch: WatchTests = lambda share, text: None,
) -> Conformance:
    """Runs the operator tests that the onnx package ships, on the oracle and on targets.

    `targets` are as they are typed; without any, onnxruntime where it is installed. `operators`
    names some, such as 'Conv'. What the ledger in the folder `out` has already is not run again.
    `patience` limits one test, default 20 s. Raises InputError for an operator without a test,
    EnvironmentFault for a target that is not installed, and TargetError for one whose library does
    not start.
    """
    task = ConformanceTask(
        targets=tuple(targets), out=Path(out), operators=tuple(operators), patience=patience
    )
    return calling.run(task, watch)


def _asked(
    order: BenchRequest | Sequence[str],
    timeout: Seconds | None,
    data: DataRequest | str | Path | None,
) -> BenchRequest:
    """The request, with labelled data where it is given, and the limits that `--timeout` sets.
    Raises InputError for a text that is no target."""
    request, timeout = as_request(order), _checked(timeout)
    if data is not None:
        named = data if isinstance(data, DataRequest) else DataRequest(str(data))
        request = replace(request, data=named)
    if timeout is None:
        return request
    return replace(request, patience=Patience(timeout, 10 * timeout), deadline=timeout)


def _checked(timeout: Seconds | None) -> Seconds | None:
    """The timeout. Raises InputError where it is no time."""
    if timeout is not None and not 0 < timeout < math.inf:
        raise InputError(f"timeout={timeout:g}: give a time in seconds, such as 600")
    return timeout


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
