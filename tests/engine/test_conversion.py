"""A converted form is kept for later runs only where nothing hidden can change it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests import needs, small
from toolkit.engine import conversion
from toolkit.errors import EnvironmentFault, InputError
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.records.schema import Conversion
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.sources.source import Source
from toolkit.tensors import Feed
from toolkit.workers import cache, environments, managed, recipes
from toolkit.workers.environments import PythonEnvironment
from toolkit.workers.jobs import Hello, WorkerSpec
from toolkit.workers.launch import Worker

HELLO = Hello("1.0", None, "3.11.7", 0.0, "float32", ("cpu",), "model", 50.0, True)
PLAIN = Program(None, (), ())


def job(runtime: str, python: Path, name: str) -> WorkerSpec:
    home = PythonEnvironment(name, python, (3, 11, 7), ())
    return WorkerSpec(listing.find(runtime), home, "cpu", {})


@pytest.mark.parametrize(
    ("runtime", "place", "starts_from", "factory", "kept"),
    [
        ("mnn", "managed", "model", "", True),
        ("mnn", "users", "model", "", False),
        ("mnn", "own", "model", "", False),
        ("torch", "own", "source", "toolkit.sources.relu:alone", True),
        ("torch", "own", "source", "net:Net", False),
        ("torch", "users", "source", "toolkit.sources.relu:alone", False),
    ],
    ids=["pinned", "env=", "beside toolkit", "our source", "a user's source", "another torch"],
)
def test_a_form_is_kept_where_all_that_it_depends_on_is_in_its_key(
    runtime: str, place: str, starts_from: str, factory: str, kept: bool
) -> None:
    pythons = {
        "managed": job(runtime, recipes.folder() / "mnn-1" / "bin" / "python", "mnn-1"),
        "users": job(runtime, Path("/opt/venv/bin/python"), "/opt/venv"),
        "own": job(runtime, Path("/usr/bin/python3"), environments.OWN),
    }
    hello = replace(HELLO, starts_from=starts_from)
    program = replace(PLAIN, source=Source(factory) if factory else None)

    assert conversion._is_pinned(pythons[place], hello, program) is kept


def test_an_environment_of_another_lock_has_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its converter may be another, though the runtime's version and our code are the same."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    facts = {"name": "mnn", "runtime": "mnn", "version": "1.0", "size": 0}
    for name, lock in (("mnn-a", "a"), ("mnn-b", "b"), ("mnn-again", "a")):
        (recipes.folder() / name).mkdir(parents=True)
        mark = recipes.folder() / name / cache.MARK
        mark.write_text(json.dumps({**facts, "lock": lock}))

    first, second, third = (
        conversion._key(
            job("mnn", recipes.folder() / name / "bin" / "python", name), HELLO, PLAIN, None, {}
        )
        for name in ("mnn-a", "mnn-b", "mnn-again")
    )

    assert first == third
    assert first != second


class Rewriting:
    """A worker that converts, while somebody writes other weights into the model."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec

    def convert(self, program: Program, first: Feed, types: object, folder: Path) -> float:
        assert program.model is not None
        small.mlp(program.model, seed=1)
        (folder / "form").write_bytes(b"of another file")
        return 1.0


def test_a_form_of_a_file_that_changed_meanwhile_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept, it would be the form of the first file for all later runs."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    program = small.mlp_program(small.mlp(tmp_path / "mlp.onnx"))
    spec = job("mnn", recipes.folder() / "mnn-1" / "bin" / "python", "mnn-1")
    worker = cast(Worker, Rewriting(spec))

    with pytest.raises(InputError, match=r"mlp\.onnx changed while the command ran"):
        conversion.converted(worker, HELLO, program, {})

    assert [*managed.conversions().glob("[!.]*")] == []


def converted(model: Path) -> Conversion:
    (record,) = check(model, BenchRequest([parse("mnn")])).run.records
    assert record.verdict is not None
    assert record.verdict.right
    assert record.conversion is not None
    return record.conversion


@pytest.mark.process
def test_a_kept_form_is_found_again_and_one_that_was_damaged_is_made_anew(tmp_path: Path) -> None:
    try:
        managed.home(listing.find("mnn"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")
    # Of weights that no run before this had: what is kept outlives the test.
    model = small.mlp(tmp_path / "mlp.onnx", seed=int.from_bytes(os.urandom(4)))
    before = {*managed.conversions().glob("mnn-*")}
    first = converted(model)
    again = converted(model)
    own = {*managed.conversions().glob("mnn-*")} - before
    for file in (file for folder in own for file in folder.glob("model/*")):
        file.write_bytes(file.read_bytes()[:50])
    repaired = converted(model)

    for folder in own:
        cache.remove(folder)
    assert (first.kept, again.kept, repaired.kept) == (False, True, False)
    assert first.size == repaired.size


def test_what_is_kept_can_be_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    for name in ("a", "b"):
        folder = managed.conversions() / name
        cache.made(folder, lambda place: {"size": (place / "x").write_text("12345")})

    count, size = managed.clear()

    assert (count, size > 10) == (2, True)
    assert [*managed.conversions().glob("[!.]*")] == []
