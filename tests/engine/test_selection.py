"""The targets of a run are selected, and with them what the others are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests import small
from toolkit.answers import simulate
from toolkit.engine import selection
from toolkit.engine.assignment import Assignment, FeedRequest, ask
from toolkit.engine.setup import ReadyTarget
from toolkit.errors import InputError
from toolkit.machine import describe
from toolkit.machine.facts import Gpu, Machine
from toolkit.records import schema
from toolkit.records.schema import Failure
from toolkit.runtimes import base
from toolkit.runtimes.base import Provider
from toolkit.runtimes.fake import Fake
from toolkit.runtimes.target import Target, parse

GPU = Gpu(name="one", memory=1, driver="1")


@pytest.fixture(scope="module")
def here() -> Machine:
    return msgspec.structs.replace(describe.describe(), gpus=[])


def labels(targets: Sequence[Target]) -> list[str]:
    return [target.label for target in selection.settled(targets)]


def test_by_default_every_provider_is_run_both_ways_and_pytorch_where_it_is_known(
    here: Machine,
) -> None:
    bare = selection.default(here, source=False)
    known = selection.default(here, source=True)

    assert labels(bare) == ["onnxruntime cpu", "onnxruntime cpu, bound"]
    assert labels(known) == [*labels(bare), "torch cpu"]
    assert not any(target.asked for target in known)


def test_cuda_is_a_default_on_a_machine_with_a_gpu_alone(here: Machine) -> None:
    targets = selection.default(msgspec.structs.replace(here, gpus=[GPU]), source=True)

    assert labels(targets) == [
        "onnxruntime cpu",
        "onnxruntime cpu, bound",
        "onnxruntime cuda",
        "onnxruntime cuda, bound",
        "torch cpu",
        "torch cuda",
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ["fake", "fake:cpu"],
        ["fake,us=1,seed=2", "fake,seed=2,us=1"],
        ["fake,env=/a", "onnxruntime", "fake,env=/a"],
    ],
)
def test_a_target_that_is_named_twice_is_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match=r"^the target fake.* is named twice$"):
        selection.settled([parse(text) for text in texts])


def shown(*texts: str) -> list[schema.PlannedTarget]:
    return [selection.recorded(target) for target in selection.settled([*map(parse, texts)])]


def test_several_numbers_of_threads_make_as_many_targets_of_each() -> None:
    targets = selection.crossed([parse("fake:cpu"), parse("fake:cpu,us=1,threads=2")], (1, 2))

    assert [(target.name, target.label) for target in targets] == [
        ("fake:cpu,threads=1", "fake cpu, 1 thread"),
        ("fake:cpu,threads=2", "fake cpu, 2 threads"),
        ("fake:cpu,us=1,threads=2", "fake cpu, us=1, 2 threads"),
    ]


@pytest.mark.parametrize(
    ("texts", "threads", "said"),
    [
        (["fake", "fake:cpu,threads=1"], (1, 2), "the target fake:cpu,threads=1 is named twice"),
        (["fake:cpu,threads=640"], (1,), "fake:cpu,threads=640: there are "),
    ],
    ids=["twins", "more than cores"],
)
def test_a_senseless_crossing_is_one_clear_line(
    texts: list[str], threads: tuple[int, ...], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        selection.crossed([parse(text) for text in texts], threads)

    assert caught.value.what.startswith(said)


def test_a_target_on_a_gpu_has_no_number_of_threads() -> None:
    (made,) = selection.crossed([parse("onnxruntime:cuda")], (1, 2))

    assert made.name == "onnxruntime:cuda"


@pytest.mark.parametrize("present", [False, True])
def test_a_new_accelerator_is_seen_by_the_files_that_its_runtime_names(
    here: Machine, tmp_path: Path, present: bool
) -> None:
    class Accelerated(Fake):
        providers = (
            base.CPU,
            Provider("npu", accelerator="other", device_files=(f"{tmp_path}/accel*",)),
        )

    if present:
        (tmp_path / "accel0").touch()

    assert selection.usable(Accelerated, here) == (["cpu", "npu"] if present else ["cpu"])


def test_the_baseline_is_named_without_its_threads() -> None:
    targets = selection.crossed([parse("fake:cpu,us=1"), parse("fake:cpu,us=2")], (1, 2))
    shown = [selection.recorded(target) for target in targets]

    assert selection.baseline(shown, "fake:cpu,us=2", range(4)) == 2


def test_one_number_of_threads_is_that_of_the_run() -> None:
    (made,) = selection.crossed([parse("fake:cpu")], (2,))

    assert (made.name, selection.recorded(made, 2).threads) == ("fake:cpu", 2)
    assert selection.recorded(parse("fake:cpu,threads=3"), 2).threads == 3


def test_the_baseline_is_pytorch_else_the_first_that_can_be_measured() -> None:
    targets = shown("fake", "onnxruntime", "torch")

    assert selection.baseline(targets, None, [0, 1, 2]) == 2
    assert selection.baseline(targets, None, [1, 0]) == 1
    assert selection.baseline(targets, None, []) == 0


@pytest.mark.parametrize(
    "asked",
    [
        "onnxruntime",
        "onnxruntime:cpu,io=bound",
        "onnxruntime,io=bound",
        "onnxruntime cpu, bound",
    ],
)
def test_the_baseline_is_named_as_the_target_is_typed_or_shown(asked: str) -> None:
    assert selection.baseline(shown("fake", "onnxruntime,io=bound"), asked, [0]) == 1


def test_an_unknown_baseline_is_refused_with_the_choices() -> None:
    with pytest.raises(InputError) as caught:
        selection.baseline(shown("fake", "onnxruntime"), "torch", [0])

    assert caught.value.what == (
        "--baseline torch: no target of this run; there are: fake:cpu, onnxruntime:cpu"
    )


def test_a_record_holds_the_name_of_an_environment_and_not_its_place() -> None:
    planned = selection.recorded(replace(parse("fake"), environment="/home/anna/venvs/gpu/"))

    assert planned.environment == "gpu"
    assert selection.recorded(parse("fake")).environment == "own"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    folder = tmp_path_factory.mktemp("asked")
    return ask(small.layer(folder / "layer.onnx"), FeedRequest(), folder, simulate.reference_runner)


def test_an_environment_that_cannot_carry_a_worker_is_a_failure_and_no_crash(
    asked: Assignment, tmp_path: Path
) -> None:
    entered = selection.enter(0, parse(f"fake,env={tmp_path}"), asked)

    assert isinstance(entered, Failure)
    assert entered.verb == "start"
    assert entered.what == f"env={tmp_path}: there is no Python environment in this folder"


@pytest.mark.process
def test_a_target_may_run_another_file_of_the_model(asked: Assignment, tmp_path: Path) -> None:
    other = small.layer(tmp_path / "other.onnx")
    target = parse(f"fake,model={other}")

    entered = selection.enter(0, target, asked)
    recorded = selection.recorded(target)

    assert isinstance(entered, ReadyTarget)
    assert entered.program.model == other.resolve()
    assert recorded.label.endswith(", other.onnx")
    assert recorded.model is not None
    assert recorded.model.name == "other.onnx"


def test_a_file_of_another_model_is_a_failure_that_shows_both(
    asked: Assignment, tmp_path: Path
) -> None:
    entered = selection.enter(0, parse(f"fake,model={small.mlp(tmp_path / 'mlp.onnx')}"), asked)

    assert isinstance(entered, Failure)
    assert entered.what.startswith(
        "mlp.onnx is no variant of this model: its inputs are input:float"
    )
