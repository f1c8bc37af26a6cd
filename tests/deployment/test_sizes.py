"""What a form cannot hold is refused by its size, before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests import large
from toolkit.deployment import listing, operators
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.pipelines.deploy import deploy, each
from toolkit.units import THIN, Bytes

pytestmark = pytest.mark.large

MIB, GIB = 1 << 20, 1 << 30

ONE_FILE = "the one .onnx file with all weights, which its converter reads, ends at 2 GiB"
REASONS = {
    "iree": ONE_FILE,
    "ncnn": ONE_FILE,
    "mnn": ONE_FILE,
    "litert": "a .tflite, which is one flatbuffer, ends at 2 GiB",
    "web": "the memory of WebAssembly, in which weights and tensors lie, ends at 4 GiB",
}
TAKES = ("onnxruntime", "openvino", "cpp", "node", "executorch")


@pytest.fixture(scope="module")
def beyond_two(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return modelfile.read(large.sparse(tmp_path_factory.mktemp("two") / "m.onnx", 2 * GIB))


def as_large(file: ModelFile, size: Bytes) -> ModelFile:
    """The facts of a file of another size: to hash four gibibytes takes 10 s."""
    return replace(file, inlined=size)


@pytest.mark.parametrize("name", ["iree", "ncnn", "mnn", "litert"])
def test_a_form_that_ends_at_two_is_refused_with_those_that_do_not(
    name: str, beyond_two: ModelFile
) -> None:
    assert operators.refusal(listing.load(name), beyond_two) == (
        f"m.onnx has 2.15{THIN}GB, and {REASONS[name]};"
        " onnxruntime, openvino, cpp, node, web can take it"
    )


@pytest.mark.parametrize("name", REASONS)
def test_a_form_that_ends_at_four_is_refused_too(name: str, beyond_two: ModelFile) -> None:
    assert operators.refusal(listing.load(name), as_large(beyond_two, 4 * GIB)) == (
        f"m.onnx has 4.29{THIN}GB, and {REASONS[name]};"
        " onnxruntime, openvino, cpp, node can take it"
    )


@pytest.mark.parametrize("name", TAKES)
def test_a_form_without_a_limit_takes_it(name: str, beyond_two: ModelFile) -> None:
    assert operators.refusal(listing.load(name), as_large(beyond_two, 400 * GIB)) == ""


def test_a_small_model_beside_the_weights_of_others_is_no_large_one(tmp_path: Path) -> None:
    file = modelfile.read(large.sparse(tmp_path / "m.onnx", MIB, file=64 * MIB))

    assert file.size > 64 * MIB
    assert MIB < file.inlined < 2 * MIB


def test_nothing_is_asked_of_a_model_that_no_destination_takes(
    beyond_two: ModelFile, tmp_path: Path
) -> None:
    """No feed is drawn, no worker is started: this test may start no process."""
    told: list[str] = []

    deployments = deploy(
        beyond_two.path,
        ["mnn", "litert"],
        tmp_path / "deployed",
        watch=lambda name, step: told.append(step),
    )

    assert [(each.name, each.proof.outcome) for each in deployments] == [
        ("mnn", "failed"),
        ("litert", "failed"),
    ]
    assert told == []
    assert not (tmp_path / "deployed").exists()


def test_a_refusal_comes_before_the_work_for_the_others(
    beyond_two: ModelFile, tmp_path: Path
) -> None:
    steps = each(beyond_two.path, ["onnxruntime", "ncnn"], tmp_path)

    assert next(steps).name == "ncnn"  # The work for the others begins when the next is asked for.
