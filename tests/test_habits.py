"""The commands of the checkout: what make, the hooks and the documents call is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import command
from tests.conftest import FREE

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
HOOKS = ROOT / ".pre-commit-config.yaml"


def targets() -> list[str]:
    return re.findall(r"\S+", MAKEFILE.partition("\n.PHONY:")[2].partition("\n")[0])


def test_the_head_of_the_makefile_explains_every_target() -> None:
    explained = re.findall(r"^# make ([\w-]+) ", MAKEFILE, re.MULTILINE)

    assert sorted(explained) == sorted(targets())


@pytest.mark.process
@pytest.mark.parametrize("target", targets())
def test_a_target_of_the_makefile_can_be_made(target: str) -> None:
    planned = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True
    )

    assert planned.returncode == 0, planned.stderr


def test_the_quick_tests_leave_out_what_the_guard_lets_start_a_process() -> None:
    """make's expression has the marks of the guard's list, and those of many or large cases."""
    (expression,) = re.findall(r'-m "(not [^"]+)"', MAKEFILE)

    left_out = sorted(f"not {mark}" for mark in (*FREE, "kernels", "large"))
    assert sorted(expression.split(" and ")) == left_out


def test_the_hooks_are_tools_of_this_checkout_and_download_nothing() -> None:
    config = yaml.safe_load(HOOKS.read_text())
    (repository,) = config["repos"]
    hooks = {hook["id"]: hook for hook in repository["hooks"]}

    assert repository["repo"] == "local"
    assert {hook["language"] for hook in hooks.values()} == {"system"}
    assert hooks["ruff"]["entry"].startswith(".venv/bin/ruff check")
    assert hooks["ruff-format"]["entry"].startswith(".venv/bin/ruff format")
    assert hooks["check"]["entry"] == "make check"


GUARDED = """
import os
import subprocess

import pytest


@pytest.fixture
def started():
    return subprocess.check_output(["true"])


def test_in_a_fixture(started): ...


def test_past_a_broad_except():
    try:
        os.system("true")
    except Exception:
        pass


def test_without(): ...


@pytest.mark.process
def test_with_its_mark(started): ...
"""


@pytest.mark.process
def test_a_test_that_starts_a_process_without_its_mark_fails(tmp_path: Path) -> None:
    """By the guard of our own conftest, in a fixture and past a broad except too."""
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    process\n")
    (tmp_path / "test_guarded.py").write_text(GUARDED)

    ended = command.started([sys.executable, "-m", "pytest", "--tb=line"], cwd=tmp_path)

    assert "1 failed, 2 passed, 1 error" in ended.out, ended.out
    assert ended.out.count("starts a process without @pytest.mark.process") >= 2


@pytest.mark.process
def test_every_variable_of_the_makefile_is_defined() -> None:
    """An undefined one is empty: what is left of its line may do nothing, and succeed."""
    given = [f"{name}=" for name in ("PYTEST", "LOCKS")]

    done = subprocess.run(
        ["make", "--dry-run", "--warn-undefined-variables", *given, *targets()],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "undefined variable" in line] == []
