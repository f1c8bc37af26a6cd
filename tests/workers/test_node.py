"""Environments of npm packages, and that nothing of their workers stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from tests import needs
from tests.javascript import NODE, WEB, WEB_IN_NODE, Way, installed, loaded, options, started
from tests.small import mlp
from tests.workers.conftest import Start
from toolkit.errors import EnvironmentFault, WorkerDied
from toolkit.runtimes import listing
from toolkit.workers import environments, managed, node, recipes

pytestmark = pytest.mark.process


def planted(folder: Path, name: str, script: str) -> None:
    """A program of that name."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def packages(folder: Path) -> str:
    (folder / "node_modules").mkdir(parents=True)
    return str(folder)


def test_a_folder_without_packages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        environments.of(listing.find("onnxruntime-node"), str(tmp_path))

    assert caught.value.what == f"env={tmp_path}: there are no npm packages in this folder"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo v18.20.0", "node is Node 18; a worker needs 20 or newer"),
        ("echo hello", "is no Node: it says its version is 'hello"),
        ("exit 3", "does not start"),
    ],
    ids=["old", "another program", "broken"],
)
def test_a_node_that_cannot_carry_a_worker_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    planted(tmp_path / "bin", "node", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)

    with pytest.raises(EnvironmentFault) as caught:
        node.find(packages(tmp_path / "env"), "mine")

    assert said in caught.value.what


def test_a_machine_without_node_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EnvironmentFault) as caught:
        node.find(packages(tmp_path / "env"), "mine")

    assert caught.value.what == "there is no node on the PATH"
    assert caught.value.cures == ("apt install nodejs",)


def test_npms_last_words_are_kept_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs.program("setpriv")
    said = (
        'echo "npm error code E404"; echo "npm error 404 Not Found - no such package"; '
        'echo "npm error A complete log of this run can be found in: /x/_logs/1.log"'
    )
    planted(tmp_path / "bin", "npm", f"({said}) >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "new").mkdir()

    with pytest.raises(EnvironmentFault) as caught:
        node.install(tmp_path / "new", "onnxruntime-node", str(tmp_path))

    assert caught.value.what == (
        "npm could not install the packages: 404 Not Found - no such package"
    )


@pytest.mark.parametrize("runtime", listing.JAVASCRIPT)
def test_the_lock_file_holds_what_the_runtime_requires_and_names_no_host(runtime: str) -> None:
    lock = (node.LOCKS / runtime / "package-lock.json").read_text("utf-8")
    asked = json.loads((node.LOCKS / runtime / "package.json").read_text("utf-8"))["dependencies"]
    locked = json.loads(lock)["packages"]
    facts = listing.facts(listing.find(runtime))

    assert facts is not None
    assert {f"{name}=={version}" for name, version in asked.items()} == set(facts.requirements)
    assert all(locked[f"node_modules/{name}"]["version"] == v for name, v in asked.items())
    assert all("integrity" in row for place, row in locked.items() if place)
    assert "://" not in lock


def test_a_version_that_is_not_locked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))

    with pytest.raises(EnvironmentFault) as caught:
        managed.install(recipes.parse("onnxruntime-node@1.0.0"))

    assert caught.value.what == "onnxruntime-node@1.0.0: toolkit's lock file has 1.30.0 only"


def test_a_package_of_a_folder_above_is_not_taken(start: Start, tmp_path: Path) -> None:
    """As Node itself would look for it."""
    needs.program("node")
    above = tmp_path / "node_modules" / "onnxruntime-node"
    above.mkdir(parents=True)
    (above / "package.json").write_text('{"name": "onnxruntime-node", "version": "9.9.9"}')
    (above / "index.js").write_text("")
    worker = start("onnxruntime-node", env=packages(tmp_path / "env"))
    worker.post_hello()

    with pytest.raises(Exception, match="onnxruntime-node is not installed in this environment"):
        worker.hello()


def processes(named: Path) -> list[psutil.Process]:
    """Those that have this folder in their command line, and all below them."""
    found = {p for p in psutil.process_iter(["cmdline"]) if str(named) in _command(p)}
    return [*found.union(*(p.children(recursive=True) for p in found))]


def _command(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or [])


@pytest.mark.parametrize("way", [NODE, WEB_IN_NODE, WEB], ids=["native", "wasm", "browser"])
def test_a_kill_of_the_parent_in_the_middle_of_a_block_leaves_no_process(
    tmp_path: Path, way: Way
) -> None:
    installed(way)
    script = textwrap.dedent(f"""
        from pathlib import Path
        import numpy as np
        from tests import small
        from toolkit.runtimes import listing
        from toolkit.workers import environments, managed
        from toolkit.workers.jobs import Patience, WorkerSpec
        from toolkit.workers.launch import Worker
        folder = Path({str(tmp_path)!r})
        rooms = environments.lay(folder / "rooms", [])
        listed = listing.find({way[0]!r})
        job = WorkerSpec(listed, managed.home(listed, {way[1]!r}), {way[1]!r}, {options(way)!r})
        worker = Worker(job, rooms, patience=Patience())
        worker.post_hello(); worker.hello()
        worker.post_load(small.mlp_program(small.mlp(folder / "mlp.onnx"))); worker.load()
        worker.bind("a", {{"input": np.zeros((1, 64), np.float32)}}, {{"input": "float32"}})
        print("ready", flush=True)
        worker.sample("a", 10_000_000)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        time.sleep(0.3)
        running = processes(tmp_path / "rooms")
        assert running
        os.kill(parent.pid, signal.SIGKILL)
    alive = psutil.wait_procs(running, timeout=10)[1]

    assert alive == []
    assert processes(tmp_path) == []


def test_a_browser_ends_with_its_worker(start: Start, tmp_path: Path) -> None:
    worker = started(start, WEB)
    running = psutil.Process(worker.pid).children(recursive=True)
    assert running

    worker.stop()

    assert psutil.wait_procs(running, timeout=10)[1] == []


def test_a_page_that_crashes_is_told_and_nothing_hangs(start: Start, tmp_path: Path) -> None:
    worker = started(start, WEB)
    computing = loaded(worker, mlp(tmp_path / "mlp.onnx")).computes
    for process in map(psutil.Process, computing):
        process.kill()

    with pytest.raises(WorkerDied) as caught:
        worker.answer("a")

    assert caught.value.what.startswith("ended by itself with exit code 1")
    assert "the page crashed" in caught.value.last_words
