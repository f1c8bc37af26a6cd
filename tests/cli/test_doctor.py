from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

TOOLKIT = Path(sys.executable).with_name("toolkit")


def doctor(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOOLKIT), "doctor", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An environment without anything in it: numpy is missing, a fault."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True
    )
    return tmp_path


def test_a_fault_stands_first_with_its_cure_and_ends_with_1(empty: Path) -> None:
    done = doctor("--env", "venv", cwd=empty)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0] == "fault    numpy        numpy is not installed: toolkit can run no model here"
    assert lines[1].strip() == (
        "venv/bin/python -m ensurepip && venv/bin/python -m pip install numpy"
    )
    assert lines[-1].strip().startswith("1 fault, ")
    assert done.stderr == ""


def test_a_sound_installation_ends_with_0_and_tells_all_topics() -> None:
    done = doctor("--json")
    printed = json.loads(done.stdout)
    assert (done.returncode, printed["version"]) == (0, 1)
    by_topic = {finding["topic"]: finding for finding in printed["findings"]}
    assert by_topic["torch"]["severity"] == by_topic["packages"]["severity"] == "ok"
    assert set(by_topic["python"]) == {"topic", "severity", "what", "cures"}


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores, to take one away")
@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
def test_one_allowed_core_is_told() -> None:
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        ["taskset", "-c", str(core), str(TOOLKIT), "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    (finding,) = [f for f in json.loads(done.stdout)["findings"] if f["topic"] == "cores"]
    assert finding["severity"] == "note"
    assert finding["what"].startswith(f"1 of {os.cpu_count()} cores is allowed")
    assert finding["cures"][0].startswith("taskset -cp 0-")


def test_an_environment_that_is_none_is_an_error(tmp_path: Path) -> None:
    done = doctor("--env", "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "error: env=nowhere: there is no Python environment in this folder\n"
        "  python3 -m venv nowhere    makes one\n"
    )


def test_the_help_has_an_example() -> None:
    assert "Example: toolkit doctor --env ~/venvs/gpu" in doctor("--help").stdout
