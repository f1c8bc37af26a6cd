"""A run, operator tests and a deployment below a folder with a telling name: it stands in no file
that they write."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests import command, small
from toolkit.machine import facts
from toolkit.records import store
from toolkit.records.schema import Run

pytestmark = pytest.mark.process

TELLING = "jane-doe-acme"
TARGETS = (
    "fake,us=1000",
    "fake,fault=raise,at=bind",
    "fake,env=../venvs/gone",
    "fake,env=../venvs/bad",
    "fake,model=../models/new.onnx",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a model, feeds and an environment that has no Python, and a project beside."""
    folder = tmp_path_factory.mktemp("homes") / TELLING
    for name in ("models", "project", "venvs/bad/bin"):
        (folder / name).mkdir(parents=True)
    small.layer(folder / "models/layer.onnx")
    small.layer(folder / "models/new.onnx")
    np.savez(folder / "models/feeds.npz", x=np.ones((2, 8), np.float32))
    python = folder / "venvs/bad/bin/python"
    python.write_text('#!/bin/sh\necho "no module in $0" >&2\nexit 1\n')
    python.chmod(0o755)
    return folder


def ran(home: Path, *words: str) -> tuple[command.Ended, Path]:
    """A bench in the project, and the folder of its run."""
    targets = [word for target in TARGETS for word in ("--target", target)]
    done = command.run(
        *("bench", str(home / "models/layer.onnx"), *targets),
        *("--inputs", "../models/feeds.npz", *words, *command.QUICK),
        cwd=home / "project",
        env={"HOME": str(home), "TOOLKIT_CACHE": str(home / "cache")},
    )
    return done, store.newest(home / "project/reports")


@pytest.fixture(scope="module")
def bench(home: Path) -> tuple[command.Ended, Path]:
    return ran(home)


def contents(run: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a run, and what is packed in it."""
    for file in run.rglob("*"):
        if file.is_file():
            yield file.name, file.read_bytes()
        if file.suffix == ".npz":
            with zipfile.ZipFile(file) as archive:
                yield from (
                    (f"{file.name}/{name}", archive.read(name)) for name in archive.namelist()
                )


def test_no_file_of_a_run_has_the_telling_name(bench: tuple[command.Ended, Path]) -> None:
    done, run = bench
    assert done.code == 1
    files = dict(contents(run))

    assert {"run.json", "samples.npz", "report.md", "report.html"} <= {*files}
    assert [name for name, data in files.items() if TELLING.encode() in data] == []


def test_what_stands_there_is_relative_or_a_bare_name(bench: tuple[command.Ended, Path]) -> None:
    run = store.read(bench[1])

    assert run.command[:3] == ["toolkit", "bench", "layer.onnx"]
    assert "feeds.npz" in run.command
    assert [target.name for target in run.plan.targets][2:] == [
        "fake:cpu,env=gone",
        "fake:cpu,env=bad",
        "fake:cpu,model=new.onnx",
    ]
    assert run.plan.targets[2].label == "fake cpu, in gone"
    failures = {record.target: record.failure for record in run.records if record.failure}
    assert set(failures) == {1, 2, 3}
    assert failures[3].what.startswith("env=bad: its Python does not start")


FLEX = "ai.onnx.preview.FlexAttention"
"""An operator that onnxruntime has not, which it says with the path of the file."""
OWN = "import sys; sys.path += {path!r}"
"""Lets an environment see the packages of the tests' own."""


def test_no_file_of_the_operator_tests_has_the_telling_name(home: Path) -> None:
    """Neither by the target as it was typed nor by the words of a library."""
    own = home / "venvs/own"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", own], check=True)
    (packages,) = own.glob("lib/python*/site-packages")
    (packages / "own.pth").write_text(OWN.format(path=[sysconfig.get_path("purelib")]) + "\n")
    scratch = home / "my tmp"
    scratch.mkdir()
    asked = ("conformance", "--operator", FLEX, "-o", "kept")
    targets = ("--target", f"fake,env={own}", "--target", "onnxruntime")
    env = {"HOME": str(home), "TOOLKIT_CACHE": str(home / "cache"), "TMPDIR": str(scratch)}

    done = command.run(*asked, *targets, cwd=home / "project", env=env)
    ledger = home / "project/kept/ledger.jsonl"
    lines = ledger.read_text().splitlines()
    again = command.run(*asked, *targets, "--json", cwd=home / "project", env=env)

    assert (done.code, again.code) == (0, 0), done.err
    files = dict(contents(home / "project/kept"))
    assert {*files} == {"ledger.jsonl", "report.md", "report.html"}
    assert [name for name, data in files.items() if TELLING.encode() in data] == []
    assert TELLING not in done.out + again.out
    assert "fake:cpu,env=own" in {each["target"] for each in json.loads(again.out)}
    assert "case.onnx failed" in ledger.read_text()
    assert ledger.read_text().splitlines() == lines  # All that was there is found again.


def test_no_file_of_a_deployed_folder_has_the_telling_name(home: Path) -> None:
    """Its client could not be installed, and pip says which file it wants."""
    missing = home / "pins/acme.txt"
    env = {"HOME": str(home), "TOOLKIT_CACHE": str(home / "cache"), "PIP_CONSTRAINT": str(missing)}

    done = command.run(
        *("deploy", str(home / "models/layer.onnx"), "--to", "onnxruntime", "--json"),
        cwd=home / "project",
        env=env,
    )

    assert done.code == 1
    folder = home / "project/deployed/layer/onnxruntime-unproven"
    files = dict(contents(folder))
    assert "acme.txt" in files["deploy.json"].decode()
    assert [name for name, data in files.items() if TELLING.encode() in data] == []
    assert TELLING not in done.out


def test_the_terminal_shows_the_folder_of_what_failed(
    bench: tuple[command.Ended, Path], home: Path
) -> None:
    assert "fake cpu, in bad" in bench[0].err


def test_a_run_goes_on_by_what_the_users_cache_keeps(home: Path, tmp_path: Path) -> None:
    """The model lies in another folder, which the record does not tell."""
    copied = tmp_path / TELLING
    shutil.copytree(home / "models", copied / "models")
    (copied / "project").mkdir()
    begun = interrupted(copied)

    assert TELLING not in (begun / "run.json").read_text()
    lost = resume(copied, "elsewhere")
    kept = resume(copied, "cache")

    assert lost.code == 1
    assert lost.err.splitlines() == [
        f"error: layer.onnx, the model of reports/{begun.name}, is not in this folder, and no"
        " cache of yours says where it lies",
        f"  toolkit bench M.onnx --resume reports/{begun.name}    names it",
    ]
    assert (kept.code, kept.err) == (0, "")
    assert store.read(begun).state == "done"
    assert not [*(copied / "cache/runs").iterdir()]


def test_a_run_goes_on_where_its_model_is_named(home: Path, tmp_path: Path) -> None:
    copied = tmp_path / TELLING
    shutil.copytree(home / "models", copied / "models")
    (copied / "project").mkdir()
    begun = interrupted(copied)

    done = resume(copied, "elsewhere", "../models/layer.onnx")

    assert (done.code, done.err) == (0, "")
    assert store.read(begun).state == "done"


def interrupted(home: Path, model: str = "../models/layer.onnx") -> Path:
    """The folder of a run that was interrupted after a generation, in the project."""

    def measured(process: object) -> bool:
        return bool([*home.glob("project/reports/*/generations/*.npz")])

    ended = command.interrupted(
        *("bench", model, "--target", "fake,us=1000", "--time", "600s", "--quick"),
        cwd=home / "project",
        when=measured,
        env={"TOOLKIT_CACHE": str(home / "cache")},
    )
    assert ended.code == 130
    begun = store.newest(home / "project/reports")
    # What is left of it takes one process start, however slow this machine is.
    for file in (begun / "run.json", *home.glob("cache/runs/*")):
        file.write_bytes(file.read_bytes().replace(b"600s", b"1s"))
    return begun


def resume(home: Path, cache: str, *words: str) -> command.Ended:
    return command.run(
        *("bench", *words, "--resume"),
        cwd=home / "project",
        env={"TOOLKIT_CACHE": str(home / cache)},
    )


def test_nothing_is_kept_of_a_run_whose_record_tells_all(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    small.layer(tmp_path / "project/layer.onnx")

    begun = interrupted(tmp_path, "layer.onnx")

    assert store.read(begun).state == "interrupted"
    assert not (tmp_path / "cache").exists()


def test_an_anonymous_record_has_no_more_of_the_machine_than_its_kind(home: Path) -> None:
    done = command.run(
        *("bench", "../models/layer.onnx", "--target", "fake,us=1000", "--anonymous", "--json"),
        *command.QUICK,
        cwd=home / "project",
        env={"TOOLKIT_CACHE": str(home / "cache")},
    )

    run = msgspec.json.decode(done.out, type=Run)
    assert run.machine == facts.anonymous(run.machine)
    assert run.machine.identity == ""
    assert {busy.name for generation in run.generations for busy in generation.busy} <= {
        facts.UNNAMED
    }
    here = json.loads(done.out)["machine"]
    assert {here["cpu"], here["system"]} == {"x86_64", "Linux"}
