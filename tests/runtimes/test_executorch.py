"""ExecuTorch: from the source alone, within the sizes that memory is planned for, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import needs
from tests.workers.conftest import Start, program, start, starting
from toolkit.errors import EnvironmentFault, ShapeRefused, TargetError
from toolkit.machine import threads
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.sources.source import Source
from toolkit.tensors import Array, TensorSpec
from toolkit.workers import managed
from toolkit.workers.launch import Worker

__all__ = ["program", "start"]

pytestmark = [pytest.mark.timeout(600), pytest.mark.process]

NETS = '''
import torch
from torch import nn


class Ids(nn.Module):
    """Two inputs, one of them by name; two outputs."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, ids, *, scale):
        found = self.table(ids)
        return {"scaled": found * scale, "mean": found.mean(1)}


class Bessel(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


class Sort(nn.Module):
    def forward(self, x):
        return torch.sort(x, -1).values


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3))

    def forward(self, x):
        return self.layers(x)
'''


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        managed.home(listing.find("executorch"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker for all that executorch refuses to convert: its import takes seconds."""
    with starting(tmp_path_factory.mktemp("refusing")) as start:
        worker = start("executorch")
        worker.post_hello()
        worker.hello()
        yield worker


def source(folder: Path, name: str) -> Source:
    file = folder / "nets.py"
    file.write_text(NETS)
    return Source(f"{file}:{name}", None, folder)


def loaded(worker: Worker, program: Program, feed: dict[str, Array], folder: Path) -> Worker:
    worker.post_hello()
    worker.hello()
    convert(worker, program, feed, folder)
    worker.post_load(replace(program, converted=folder))
    worker.load()
    return worker


def convert(worker: Worker, program: Program, feed: dict[str, Array], folder: Path) -> None:
    folder.mkdir()
    worker.convert(program, feed, {}, folder)


def answer(worker: Worker, **feed: Array) -> dict[str, Array]:
    worker.bind("a", feed, {})
    return worker.answer("a")[0]


def test_inputs_by_name_and_several_outputs_find_their_places(start: Start, tmp_path: Path) -> None:
    import torch

    from toolkit.sources import factory

    inputs = (
        TensorSpec("scale", "float32", ("batch", "seq", 1)),
        TensorSpec("ids", "int64", ("batch", "seq")),
    )
    outputs = (TensorSpec("scaled", "float32", None), TensorSpec("mean", "float32", None))
    ours = source(tmp_path, "Ids")
    program = Program(None, inputs, outputs, ours)
    first: dict[str, Array] = {
        "ids": np.zeros((1, 5), np.int64),
        "scale": np.ones((1, 5, 1), np.float32),
    }
    worker = loaded(start("executorch"), program, first, tmp_path / "made")
    ids = np.random.default_rng(0).integers(0, 10, (3, 7))
    scale = np.random.default_rng(1).normal(size=(3, 7, 1)).astype(np.float32)
    with torch.no_grad():
        right = factory.build(ours)(torch.from_numpy(ids), scale=torch.from_numpy(scale))

    found = answer(worker, ids=ids, scale=scale)

    for name in ("scaled", "mean"):
        np.testing.assert_allclose(found[name], right[name].numpy(), atol=1e-6)


def test_a_size_that_no_memory_is_planned_for_is_refused_and_the_session_goes_on(
    start: Start, tmp_path: Path
) -> None:
    x = (TensorSpec("x", "float32", ("batch", 1, 8, 8)),)
    program = Program(None, x, (TensorSpec("y", "float32", None),), source(tmp_path, "Conv"))
    feed = {"x": np.ones((1, 1, 8, 8), np.float32)}
    worker = loaded(start("executorch", max="9"), program, feed, tmp_path / "made")

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("b", {"x": np.ones((10, 1, 8, 8), np.float32)}, {})

    assert caught.value.what == "dimension 0 of 'x' may be 1 to 9, the feed has 10"
    assert caught.value.cures == ("--target executorch,max=10    plans memory for larger sizes",)
    assert answer(worker, x=np.ones((9, 1, 8, 8), np.float32))["y"].shape == (9, 64, 4, 4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Bessel", "executorch cannot lower this model (aten.special_bessel_j0.default): "),
        ("Sort", "executorch has no kernel for aten::sort.values"),
    ],
    ids=["operator", "kernel"],
)
def test_what_cannot_be_made_is_told_in_one_line(
    refusing: Worker, tmp_path: Path, name: str, said: str
) -> None:
    x = (TensorSpec("x", "float32", ("batch", 1, 8, 8)),)
    program = Program(None, x, (TensorSpec("y", "float32", None),), source(tmp_path, name))

    with pytest.raises(TargetError) as caught:
        convert(refusing, program, {"x": np.ones((2, 1, 8, 8), np.float32)}, tmp_path / "made")

    assert caught.value.what.startswith(said)
    assert "\n" not in caught.value.what


def test_an_option_that_is_no_size_is_told_in_one_line(start: Start, tmp_path: Path) -> None:
    x = (TensorSpec("x", "float32", ("batch", 1, 8, 8)),)
    program = Program(None, x, (TensorSpec("y", "float32", None),), source(tmp_path, "Conv"))
    worker, feed = start("executorch", max="many"), {"x": np.ones((2, 1, 8, 8), np.float32)}

    with pytest.raises(TargetError) as caught:
        loaded(worker, program, feed, tmp_path / "made")

    assert caught.value.what == "executorch's option max is a size of 2 or more, not 'many'"


def test_a_bare_file_is_no_start(refusing: Worker, program: Program, tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        convert(refusing, program, {"input": np.ones((2, 64), np.float32)}, tmp_path / "made")

    assert caught.value.what == "executorch starts from the PyTorch source, which is not known"


@pytest.mark.parametrize("asked", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_so_many_threads_compute_as_were_asked_for(
    start: Start, tmp_path: Path, asked: int
) -> None:
    x = (TensorSpec("x", "float32", ("batch", 1, 64, 64)),)
    outputs = (TensorSpec("y", "float32", None),)
    whole = Program(None, x, outputs, source(tmp_path, "Conv"), threads=asked)
    feed = {"x": np.ones((2, 1, 64, 64), np.float32)}
    worker = loaded(start("executorch"), whole, feed, tmp_path / "made")
    worker.bind("a", feed, {})
    before = threads.of(worker.pid)

    worker.sample("a", 100)

    assert len(threads.used(before, threads.of(worker.pid))) == asked
