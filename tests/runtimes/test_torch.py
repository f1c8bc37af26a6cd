"""torch.compile and AOTInductor: made once, for all sizes, in their own folder, in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import needs, small
from tests.workers.conftest import Start, program, start
from toolkit.errors import ShapeRefused, TargetError
from toolkit.measure import schedule
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.records.schema import TargetRecord
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.sources.source import Source
from toolkit.tensors import Array, TensorSpec
from toolkit.workers.launch import Worker

__all__ = ["program", "start"]

pytestmark = [pytest.mark.timeout(600), pytest.mark.process]

NETS = """
import torch
from torch import nn


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Linear(4, 3)

    def forward(self, x):
        found = self.score(x)
        return found.sum(1) if x.shape[1] > 12 else found.mean(1)


class Printing(nn.Module):
    def forward(self, x):
        print(float(x.sum()))
        return torch.relu(x)


class Writing(nn.Module):
    def forward(self, x):
        return x.add_(1) * 2


class Clamping(nn.Module):
    def forward(self, x):
        return x.clamp_(0, 6) * 2
"""
X = (TensorSpec("x", "float32", ("batch", "seq", 4)),)
Y = (TensorSpec("y", "float32", None),)
COMPILED = pytest.mark.parametrize("mode", ["compile", "aoti"])


def net(folder: Path, name: str) -> Program:
    file = folder / "nets.py"
    file.write_text(NETS)
    return Program(None, X, Y, Source(f"{file}:{name}", None, folder))


def feed(batch: int, seq: int) -> dict[str, Array]:
    draw = np.random.default_rng(batch * 100 + seq)
    return {"x": draw.normal(size=(batch, seq, 4)).astype(np.float32)}


def converted(worker: Worker, whole: Program, folder: Path, first: dict[str, Array]) -> Program:
    worker.post_hello()
    worker.hello()
    folder.mkdir()
    worker.convert(whole, first, {}, folder)
    return replace(whole, converted=folder)


def loaded(worker: Worker, whole: Program) -> Worker:
    worker.post_load(whole)
    worker.load()
    return worker


def right(whole: Program, given: dict[str, Array]) -> Array:
    import torch

    from toolkit.sources import factory

    assert whole.source is not None
    with torch.no_grad():
        answer: Array = factory.build(whole.source)(torch.from_numpy(given["x"])).numpy()
    return answer


@pytest.mark.slow
def test_compile_meets_any_number_of_sizes(start: Start, tmp_path: Path) -> None:
    """torch gives up after 8 recompilations, and then there is no answer."""
    needs.program("g++")
    whole = net(tmp_path, "Branch")
    worker = start("torch", mode="compile")
    loaded(worker, converted(worker, whole, tmp_path / "made", feed(1, 16)))

    for batch, seq in [(1, 16), (1, 5), *((n, 3 * n) for n in range(2, 14))]:
        worker.bind("a", feed(batch, seq), {})
        found, _ = worker.answer("a")
        np.testing.assert_allclose(found["y"], right(whole, feed(batch, seq)), atol=1e-5)


@pytest.mark.slow
def test_aoti_refuses_sizes_of_another_branch_and_goes_on(start: Start, tmp_path: Path) -> None:
    needs.program("g++")
    whole = net(tmp_path, "Branch")
    worker = start("torch", mode="aoti")
    loaded(worker, converted(worker, whole, tmp_path / "made", feed(1, 16)))

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", feed(2, 12), {})

    assert caught.value.what == "dimension 1 of 'x' may be 13 to any size, the feed has 12"
    for batch, seq in [(1, 13), (5, 40)]:
        worker.bind("a", feed(batch, seq), {})
        found, _ = worker.answer("a")
        np.testing.assert_allclose(found["y"], right(whole, feed(batch, seq)), atol=1e-5)


def test_a_module_that_writes_into_its_input_is_told_to_do_so(tmp_path: Path) -> None:
    """Its first answer is right, each later one is that to another input."""
    one = numpy_helper.from_array(np.ones(1, np.float32), "one")
    nodes = [helper.make_node("Add", ["x", "one"], ["t"]), helper.make_node("Add", "tt", ["y"])]

    record = measured(tmp_path, "Writing", nodes, [one])

    assert record.verdict is not None
    assert record.verdict.right
    assert record.failure is not None
    assert record.failure.what.startswith(
        "its answers changed after the verdict, since its calls write into their input 'x': "
    )
    assert not record.timings


def test_a_module_that_writes_into_its_input_what_alters_no_answer_is_timed(
    tmp_path: Path,
) -> None:
    bounds = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("l", 0), ("h", 6))]
    nodes = [helper.make_node("Clip", "xlh", ["t"]), helper.make_node("Add", "tt", ["y"])]

    record = measured(tmp_path, "Clamping", nodes, bounds)

    assert record.failure is None
    assert record.timings


def measured(
    folder: Path, name: str, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]
) -> TargetRecord:
    """torch's row of a bench of a module and the file that was made from it."""
    shape: list[int | str] = ["batch", "seq", 4]
    file = small.save(folder / "net.onnx", nodes, {"x": shape}, {"y": shape}, weights)
    pace = schedule.pace(time=1.0, quick=True)
    order = BenchRequest([parse("torch")], source=net(folder, name).source, pace=pace)
    return bench(file, order, reports=folder / "reports").run.records[0]


@COMPILED
@pytest.mark.slow
def test_all_files_lie_in_the_folder_of_the_converted_form(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    needs.program("g++")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    worker = start("torch", mode=mode)
    ready = converted(worker, net(tmp_path, "Branch"), tmp_path / "made", feed(3, 16))
    loaded(worker, ready)
    worker.bind("a", feed(3, 16), {})
    worker.answer("a")

    worker.stop()

    assert [*(tmp_path / "temporary").iterdir()] == []
    assert [*(tmp_path / "made").rglob("*.so" if mode == "compile" else "*.pt2")] != []


@pytest.mark.slow
def test_a_later_process_finds_the_compiled_code(start: Start, tmp_path: Path) -> None:
    needs.program("g++")
    first = start("torch", mode="compile")
    ready = converted(first, net(tmp_path, "Branch"), tmp_path / "made", feed(1, 16))
    before = set((tmp_path / "made").rglob("*.so"))
    second = start("torch", mode="compile")
    second.post_hello()
    second.hello()
    loaded(second, ready)

    for batch, seq in [(1, 16), (7, 37)]:
        second.bind("a", feed(batch, seq), {})
        second.answer("a")

    assert set((tmp_path / "made").rglob("*.so")) == before


@COMPILED
def test_no_compiler_is_told_in_one_line(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("CXX", "no-compiler")

    with pytest.raises(TargetError) as caught:
        converted(
            start("torch", mode=mode), net(tmp_path, "Branch"), tmp_path / "made", feed(1, 16)
        )

    assert caught.value.what == "torch compiles C++ with no-compiler, which is not on the PATH"


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("compile", "torch.compile refuses the module: "),
        ("aoti", "torch.export refuses the module: "),
    ],
)
def test_a_module_that_cannot_be_compiled_whole_is_refused_in_one_line(
    start: Start, tmp_path: Path, mode: str, said: str
) -> None:
    needs.program("g++")

    with pytest.raises(TargetError) as caught:
        converted(
            start("torch", mode=mode), net(tmp_path, "Printing"), tmp_path / "made", feed(2, 16)
        )

    assert caught.value.what.startswith(said)
    assert "\n" not in caught.value.what


@COMPILED
def test_a_bare_file_is_no_start(start: Start, program: Program, tmp_path: Path, mode: str) -> None:
    first = {"input": np.ones((2, 64), np.float32)}

    with pytest.raises(TargetError) as caught:
        converted(start("torch", mode=mode), program, tmp_path / "made", first)

    assert caught.value.what == "torch starts from the PyTorch source, which is not known"


def test_the_modes_are_known_by_a_word() -> None:
    assert parse("torch:cpu,mode=aoti").label == "torch cpu, aoti"
    assert parse("torch,mode=compile").label == "torch, compile"
