"""A model's file that changes while a command runs ends the command, and no result is shown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import plugin, small
from tests.deployment import pythons
from toolkit.errors import InputError
from toolkit.measure import schedule
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.pipelines.check import check
from toolkit.pipelines.compare import compare
from toolkit.pipelines.deploy import deploy
from toolkit.records import store
from toolkit.runtimes.target import parse

pytestmark = pytest.mark.process

QUICK = schedule.pace(time=1.0, quick=True)
LONG = schedule.pace(0.01, 600)


def layer(folder: Path, name: str = "layer") -> Path:
    """A layer with its weights beside it, in NAME.data."""
    path, weights = folder / f"{name}.onnx", np.eye(8, dtype=np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    small.save(
        path, [node], {"x": ["n", 8]}, {"y": ["n", 8]}, [numpy_helper.from_array(weights, "w")]
    )
    onnx.save_model(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location=f"{name}.data",
        size_threshold=0,
    )
    return path


def rewrite(file: Path) -> None:
    """Writes the same bytes once more."""
    file.write_bytes(file.read_bytes())


def swap(file: Path) -> None:
    """Puts an identical copy in its place, with the time of the old one."""
    copy = file.with_name("copy")
    shutil.copy2(file, copy)
    copy.replace(file)


def truncate(file: Path) -> None:
    os.truncate(file, 8)


class At:
    """Does something once, when a command tells that it is at a step."""

    def __init__(self, step: str, text: str, act: Callable[[], object]) -> None:
        self.step, self.text, self.act = step, text, act
        self.done = False

    def __call__(self, step: str, share: float | None, text: str) -> None:
        if not self.done and step == self.step and text.startswith(self.text):
            self.done = True
            self.act()


def order(*targets: str, long: bool = False) -> BenchRequest:
    return BenchRequest([*map(parse, targets)], pace=LONG if long else QUICK)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("layer.onnx", rewrite),
        ("layer.onnx", swap),
        ("layer.data", rewrite),
        ("layer.data", swap),
        ("layer.data", truncate),
        ("layer.data", Path.unlink),
    ],
    ids=["rewritten", "swapped", "data rewritten", "data swapped", "data shorter", "data gone"],
)
@pytest.mark.parametrize("step", ["ask", "judge"])
def test_a_check_ends(
    tmp_path: Path, name: str, change: Callable[[Path], object], step: str
) -> None:
    """Between two targets, and before it is found out what is right."""
    model = layer(tmp_path)
    text = {"ask": "", "judge": "fake cpu, us=2"}[step]

    with pytest.raises(InputError, match=f"{name} changed while the command ran: "):
        check(
            model,
            order("fake,us=1", "fake,us=2"),
            watch=At(step, text, lambda: change(tmp_path / name)),
        )


WRITING = """
    from pathlib import Path


    class Theirs(Fake):
        name = "elsewhere"

        def load(self, program, provider, options):
            loaded = super().load(program, provider, options)
            copy = program.model.with_name("copy")
            copy.write_bytes(program.model.read_bytes())
            copy.replace(program.model)
            return loaded
"""


def test_a_model_that_a_worker_replaces_by_a_copy_has_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = layer(tmp_path)
    listed = plugin.package(tmp_path / "site", WRITING)
    monkeypatch.syspath_prepend(plugin.installed(tmp_path / "site", listed))

    with pytest.raises(InputError) as caught:
        check(model, order("elsewhere"))

    assert caught.value.what == (
        f"{model} changed while the command ran: another file was put in its place, "
        "so no result is shown"
    )


def test_a_bench_keeps_the_generations_before_the_change_alone(tmp_path: Path) -> None:
    model = layer(tmp_path)
    reports = tmp_path / "reports"

    with pytest.raises(InputError, match=r"layer\.data changed while"):
        bench(
            model,
            order("fake,us=1000", long=True),
            reports=reports,
            watch=At("measure", "process start 2", lambda: rewrite(tmp_path / "layer.data")),
        )

    (folder,) = (path for path in reports.iterdir() if not path.is_symlink())
    kept = store.read(folder)
    assert (kept.state, len(kept.generations)) == ("failed", 1)
    assert {path.name for path in folder.iterdir()} == {"run.json", "generations"}


def test_a_bench_whose_file_changes_before_anything_is_measured_leaves_no_folder(
    tmp_path: Path,
) -> None:
    model = layer(tmp_path)

    with pytest.raises(InputError, match=r"layer\.onnx changed while"):
        bench(
            model,
            order("fake,us=1000"),
            reports=tmp_path / "reports",
            watch=At("ask", "", lambda: swap(model)),
        )

    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("name", "step"),
    [("old", "ask"), ("old", "judge"), ("old", "measure"), ("new", "judge"), ("new", "measure")],
)
def test_a_comparison_ends_by_either_file(tmp_path: Path, name: str, step: str) -> None:
    old, new = layer(tmp_path, "old"), layer(tmp_path, "new")
    text = {"ask": "", "judge": "", "measure": "process start 1"}[step]

    with pytest.raises(InputError, match=rf"{name}\.data changed while"):
        compare(
            old,
            new,
            order("fake,us=1000"),
            reports=tmp_path / "reports",
            watch=At(step, text, lambda: spoil(tmp_path / f"{name}.data")),
        )


def spoil(file: Path) -> None:
    """Writes other weights."""
    file.write_bytes(file.read_bytes()[::-1])


@pytest.mark.parametrize("step", ["", "packing", "proving"])
def test_a_deployment_leaves_no_folder(tmp_path: Path, step: str) -> None:
    model = layer(tmp_path)
    told: list[str] = []

    def watch(name: str, now: str) -> None:
        told.append(now)
        if (name and now) == step:
            rewrite(tmp_path / "layer.data")

    with pytest.raises(InputError, match=r"layer\.data changed while"):
        deploy(
            model,
            ["onnxruntime"],
            tmp_path / "deployed",
            make_python=pythons.shared,
            watch=watch,
        )

    assert not (tmp_path / "deployed").exists()


def test_a_file_that_nobody_writes_ends_nothing(tmp_path: Path) -> None:
    model = layer(tmp_path)
    (tmp_path / "layer.data").read_bytes()

    done = bench(model, order("fake,us=1000"), reports=tmp_path / "reports")

    assert done.run.state == "done"
