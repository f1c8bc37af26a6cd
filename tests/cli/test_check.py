"""toolkit check, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import command, small
from tests.workers.test_environments import planted, venv
from toolkit.records.schema import Run

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("check")
    small.layer(path / "layer.onnx")
    return path


def check(folder: Path, *words: str) -> command.Ended:
    return command.run("check", "layer.onnx", *words, cwd=folder)


def test_by_default_every_runtime_that_can_run_the_file_judges_it(folder: Path) -> None:
    done = check(folder, "--json")

    assert (done.code, done.err) == (0, "")
    json.loads(done.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    run = msgspec.json.decode(done.out, type=Run)
    assert [target.name for target in run.plan.targets] == ["onnxruntime:cpu", "reference:cpu"]
    assert [record.verdict and record.verdict.text for record in run.records] == ["float32"] * 2
    assert not any(record.timings for record in run.records)


def test_the_relu_of_each_runtime_is_shown_for_special_values(folder: Path) -> None:
    done = check(folder, "--target", "onnxruntime", "--target", "reference")

    assert done.code == 0
    for value in ("NaN", "−Inf", "+Inf", "−0.0", "smallest subnormal", "largest float32"):
        assert any(line.strip().startswith(value) for line in done.out.splitlines())


def test_a_coarse_target_is_named_and_the_command_fails(folder: Path) -> None:
    done = check(folder, "--target", "fake,compute=float16", "--target", "fake")

    assert done.code == 1
    assert "float16" in done.out
    assert done.errors == [
        "error: 1 of 2 targets was not judged with right answers: fake cpu, compute=float16."
    ]


REFUSED = {
    "fake,uss=1": "no option of fake is called 'uss'; there are: at, compute, fault, seed, spread,",
    "fake,compute=int8": "no value of fake's option compute is called 'int8'; there are: bfloat16,",
    "fake:cuda": "no provider of fake is called 'cuda'; there are: cpu.",
    "reference:cuda": "no provider of reference is called 'cuda'; there are: cpu.",
    "onnxruntime:gpu": "no provider of onnxruntime is called 'gpu'; there are: cpu, cuda.",
    "torch": "torch starts from the PyTorch source, which is not known",
    "fake,env=.": "env=.: there is no Python environment in this folder",
    "onnxruntime,env=bare": "env=bare has no numpy that can be imported (ModuleNotFoundError: ",
    "onnxruntime,env=old": "onnxruntime 1.23.2 does not tell where its nodes run; 1.24 or newer",
    "fake,fault=crash,at=answer": "crashed with SIGSEGV while running the model",
    "fake,fault=kill,at=bind": "crashed with SIGKILL while taking the feed",
    "fake,fault=exit,at=load": "ended by itself with exit code 0 while loading the model",
    "fake,fault=nonsense,at=hello": "answered nonsense: '\\x00 not a message'",
}


def test_every_target_that_cannot_be_judged_says_why_and_costs_no_other_row(
    tmp_path: Path,
) -> None:
    small.layer(tmp_path / "layer.onnx")
    bare = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")]
    subprocess.run(bare, check=True)
    planted(venv(tmp_path / "old"), "1.23.2")
    words = [word for target in [*REFUSED, "fake"] for word in ("--target", target)]

    done = check(tmp_path, *words, "--json")

    *rows, well = msgspec.json.decode(done.out, type=Run).records
    assert done.code == 1
    assert len(rows) == len(REFUSED)
    for row, beginning in zip(rows, REFUSED.values(), strict=True):
        assert row.failure is not None
        assert row.failure.what.startswith(beginning)
        assert row.verdict is None
    assert well.verdict is not None
    assert well.verdict.right


def test_nothing_is_written_into_the_folder(folder: Path) -> None:
    check(folder, "--target", "fake")

    assert [path.name for path in folder.iterdir()] == ["layer.onnx"]


def test_an_interrupt_leaves_no_process_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.layer(tmp_path / "layer.onnx")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))

    seen: set[Path] = set()

    def is_second(process: object) -> bool:
        """The second worker is the target's: the first one ran the simulations, and is gone."""
        seen.update(scratch.glob("toolkit-*/tmp/toolkit-*/worker-*"))
        return len(seen) == 2

    ended = command.interrupted(
        *("check", "layer.onnx", "--target", "fake,fault=hang,at=answer"),
        cwd=tmp_path,
        when=is_second,
    )

    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "interrupted")
    # A worker that was just being started dies by the signal for its parent's end, a moment later.
    command.until(lambda: not command.workers(scratch), 10)
    assert [path.name for path in scratch.iterdir()] == []


def test_a_file_that_holds_at_one_size_only_is_not_what_it_declares(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    shape = numpy_helper.from_array(np.array([1, 4]), "shape")
    small.save(tmp_path / "one.onnx", nodes, {"x": ["n", 4]}, {"y": [1, 4]}, [shape])

    declared = command.run("check", "one.onnx", "--target", "onnxruntime", cwd=tmp_path)
    stated = command.run(
        "check", "one.onnx", "--target", "onnxruntime", "--dim", "n=1", cwd=tmp_path
    )

    assert declared.code == 1
    assert declared.err.splitlines() == [
        "error: the file declares sizes at which it does not run: not judged at 2 of 3 sizes, "
        "which the model refuses: n 7; n 3",
        "  --dim n=1    judges at that size",
    ]
    assert stated.code == 0
    assert "not judged at 2 of 3 sizes" in " ".join(stated.out.split())


def test_what_is_not_shown_ends_with_1_and_is_taken_where_the_user_says_so(folder: Path) -> None:
    """A softmax of constants: every class has the same share, whatever is fed."""
    flat = numpy_helper.from_array(np.full((8, 4), 0.5, np.float32), "flat")
    nodes = [
        helper.make_node("MatMul", ["x", "flat"], ["a"]),
        helper.make_node("Softmax", ["a"], ["y"]),
    ]
    small.save(folder / "flat.onnx", nodes, {"x": ["n", 8]}, {"y": ["n", 4]}, [flat])
    words = ("check", "flat.onnx", "--target", "onnxruntime")

    checked = command.run(*words, cwd=folder)
    taken = command.run(*words, "--accept", "undecided", cwd=folder)
    twice = command.run(*words, "--accept", "int8", "--accept", "float16", cwd=folder)

    assert (checked.code, taken.code, taken.err, twice.code) == (1, 0, "", 2)
    assert "onnxruntime cpu  not shown" in checked.out
    assert "onnxruntime cpu: its values are the same whatever is fed;" in checked.out
    assert "--accept undecided" in checked.out
    assert "int8 or finer" in taken.out
    assert "--accept takes one precision, not int8 and float16" in twice.err


def test_the_table_of_relu_is_shown_where_the_model_has_one_or_it_is_asked_for(
    tmp_path: Path,
) -> None:
    layer = small.layer(tmp_path / "relu.onnx")
    model = onnx.load(layer)
    model.graph.node[1].op_type = "Sigmoid"
    onnx.save(model, tmp_path / "sigmoid.onnx")
    names = ("relu.onnx",), ("sigmoid.onnx",), ("sigmoid.onnx", "--relu")

    plain, without, asked = (
        command.run("check", *words, "--target", "onnxruntime", cwd=tmp_path).out for words in names
    )

    note = "The model has no Relu; --relu shows"
    assert ["Relu of" in out for out in (plain, without, asked)] == [True, False, True]
    assert [note in " ".join(out.split()) for out in (plain, without, asked)] == [
        False,
        True,
        False,
    ]
