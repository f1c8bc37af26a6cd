from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.doctor.conftest import Planted
from toolkit.doctor import probe
from toolkit.doctor.probe import EnvironmentFacts
from toolkit.errors import EnvironmentFault
from toolkit.workers import environments

pytestmark = pytest.mark.process


def test_our_own_environment_is_told_from_another(own: EnvironmentFacts, planted: Planted) -> None:
    assert own.own
    assert not planted.facts().own


def test_a_file_of_the_users_folder_is_not_taken_for_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "torch", "onnxruntime", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong file')")
    monkeypatch.chdir(tmp_path)
    facts = probe.ask(environments.interpreter(None))
    assert not any("error" in answer for answer in facts.libraries.values())


def test_nothing_of_the_environment_is_imported_here() -> None:
    code = (
        "import sys; from toolkit.doctor.examination import examine; examine();"
        "print([name for name in ('torch', 'onnxruntime') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
        ("import os; os._exit(3)", "ended with exit code 3"),
        ("print('x' * 100_000); raise SystemExit('no licence')", "SystemExit: no licence"),
        ("raise ImportError('first line\\nsecond line')", "ImportError: first line"),
        ("import sys, os; sys.stderr.write('lost'); sys.stderr.flush(); os._exit(0)", "lost"),
    ],
    ids=["crash", "exit", "chatter", "exception", "quiet end"],
)
def test_whatever_an_import_does_is_an_answer(planted: Planted, source: str, error: str) -> None:
    planted.write({"torch/__init__.py": source})
    assert probe.query(planted.python, "imported", "torch") == {"error": error}


def test_a_python_that_does_not_run_is_named(tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text("#!/nowhere/python\n")
    python.chmod(0o755)
    with pytest.raises(EnvironmentFault) as error:
        probe.ask(environments.interpreter(str(tmp_path)))
    assert error.value.what == f"{python} does not run: No such file or directory"


def test_a_command_line_is_as_short_as_it_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "my env/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    monkeypatch.setenv("HOME", "/nowhere")
    assert probe.shown(python) == f"'{python}'"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert probe.shown(python) == "~/'my env/bin/python'"
    monkeypatch.chdir(tmp_path)
    assert probe.shown(python) == "'my env/bin/python'"
    monkeypatch.setenv("PATH", str(python.parent) + os.pathsep + os.environ["PATH"])
    assert probe.shown(python) == "python"


def test_an_environment_without_pip_gets_one_first(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(planted.folder)
    assert planted.facts().install("numpy") == (
        "bin/python -m ensurepip && bin/python -m pip install numpy"
    )


def test_the_systems_own_python_is_left_alone(own: EnvironmentFacts) -> None:
    system = replace(own, python=Path("/usr/bin/python3"), managed=True)
    assert system.install("numpy") == (
        "/usr/bin/python3 -m venv .venv && .venv/bin/python -m pip install numpy"
    )


def test_an_environment_of_its_own_is_not_the_systems(
    own: EnvironmentFacts, planted: Planted
) -> None:
    assert not own.managed
    assert not planted.facts().managed
