"""The GitHub action: its steps are run as a runner does, with a `gh` that keeps its calls."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from tests import small

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")
PATHS = [str(Path(sys.executable).parent), os.environ["PATH"]]
GH = '#!/bin/sh\nprintf "%s\\n" "$@" > "$CALLS"\ncat > "$CALLS.stdin"\n'


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def spoil(file: Path) -> None:
    model = onnx.load(file)
    weight = model.graph.initializer[0]
    doubled = 2 * onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(doubled, weight.name))
    onnx.save(model, file)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository of models, whose branch makes one wrong, adds one, moves one and leaves one."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("layer", "moved", "same"):
        small.layer(folder / f"{name}.onnx")
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    git(folder, "checkout", "-b", "change")
    spoil(folder / "layer.onnx")
    small.layer(folder / "added.onnx")
    (folder / "moved.onnx").rename(folder / "mövéd.onnx")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "second")
    return folder


@dataclass(frozen=True)
class Ran:
    """A step of the action, as it ended."""

    code: int
    out: str
    folder: Path

    @property
    def comment(self) -> str:
        return (self.folder / "comment.md").read_text()


def step(name: str, models: Path, **inputs: str) -> Ran:
    """Runs one step with its `env`, whose expressions are filled in as GitHub does."""
    runner = models.parent / "runner"
    runner.mkdir(exist_ok=True)
    tools = models.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    defaults = {f"inputs.{key}": str(value["default"]) for key, value in ACTION["inputs"].items()}
    values = {
        **defaults,
        "inputs.base": "main",
        "inputs.time": "1s",
        **{f"inputs.{key}": value for key, value in inputs.items()},
        "github.action_path": str(ROOT),
        "github.repository": "acme/models",
        "github.event.pull_request.number": "7",
        "steps.models.outputs.folder": str(runner / "onnx-verdict"),
    }
    done = subprocess.run(
        ["bash", "-c", STEPS[name]["run"]],
        cwd=models,
        env={
            **os.environ,
            **filled(STEPS[name]["env"], values),
            "PATH": os.pathsep.join([str(tools), *PATHS]),
            "RUNNER_TEMP": str(runner),
            "GITHUB_OUTPUT": str(runner / "output"),
            "GITHUB_STEP_SUMMARY": str(runner / "summary.md"),
            "CALLS": str(runner / "calls"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Ran(done.returncode, done.stdout, runner / "onnx-verdict")


def filled(env: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """Raises KeyError for an expression that nobody gives."""
    return {
        key: EXPRESSION.sub(lambda found: values[found[1]], str(text)) for key, text in env.items()
    }


def test_a_wrong_model_fails_a_new_one_is_checked_and_the_decision_is_commented(
    models: Path,
) -> None:
    ran = step("Models", models, gates="--quick --fail-if-worse")

    assert ran.code == 1, ran.out
    assert "Do not ship: wrong" in ran.comment
    assert ran.comment.count("### A new file") == 2
    assert "    check    added.onnx" in ran.comment
    assert "same.onnx" not in ran.out
    assert "<failure" in (ran.folder / "1.xml").read_text()
    assert (ran.folder.parent / "summary.md").read_text() == ran.comment
    assert (ran.folder.parent / "output").read_text() == f"folder={ran.folder}\n"
    assert not (ran.folder / "before").exists()
    assert [*(ran.folder / "reports").glob("*/report.html")]

    told = step("Comment", models)

    assert told.code == 0, told.out
    calls = (ran.folder.parent / "calls").read_text().split()
    assert calls == ["pr", "comment", "7", "--body-file", "-", "--edit-last", "--create-if-none"]
    assert (ran.folder.parent / "calls.stdin").read_text() == ran.comment


def test_external_data_that_changed_alone_is_a_changed_model(models: Path) -> None:
    git(models, "checkout", "main")
    model = onnx.load(models / "same.onnx")
    onnx.save(
        model, models / "big.onnx", save_as_external_data=True, location="big.onnx.data",
        size_threshold=0,
    )  # fmt: skip
    git(models, "add", ".")
    git(models, "commit", "-m", "big")
    data = bytearray((models / "big.onnx.data").read_bytes())
    data[3] ^= 0x40
    (models / "big.onnx.data").write_bytes(data)
    git(models, "commit", "-am", "another weight")

    ran = step("Models", models, base="HEAD^", gates="--quick --fail-if-worse")

    assert ran.code == 1, ran.out
    assert "big.onnx" in ran.comment
    assert "added.onnx" not in ran.comment


def test_a_name_that_looks_like_an_option_is_a_file(models: Path) -> None:
    """A stranger's pull request may have any names: none of them is to run code."""
    small.layer(models / "--source=evil.py:build.onnx")
    (models / "evil.py").write_text("open('evil', 'w').close()")
    git(models, "add", ".")
    git(models, "commit", "-m", "third")

    ran = step("Models", models, base="HEAD^")

    assert ran.code == 0, ran.out
    assert "check    --source=evil.py:build.onnx" in ran.out
    assert not (models / "evil").exists()


def test_without_a_model_that_differs_nothing_is_commented(models: Path) -> None:
    ran = step("Models", models, base="HEAD")

    assert (ran.code, ran.out.strip()) == (0, "no .onnx file differs from HEAD")
    assert step("Comment", models).code == 0
    assert not (ran.folder.parent / "calls").exists()


def test_a_base_that_git_does_not_know_is_one_line(models: Path) -> None:
    ran = step("Models", models, base="origin/nowhere")

    assert ran.code == 2
    assert "::error::git knows no origin/nowhere here" in ran.out


def test_the_package_that_is_installed_is_that_of_the_action(tmp_path: Path) -> None:
    """Against what is installed here: no package index is asked."""
    offline = {"PIP_NO_INDEX": "1", "PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1"}
    done = subprocess.run(
        ["bash", "-c", STEPS["Install"]["run"]],
        cwd=tmp_path,
        env={
            **os.environ,
            **offline,
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads the switch as it is named: no.
            "PATH": os.pathsep.join(PATHS),
            "SOURCE": str(ROOT),
            "INSTALL": "",
        },
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr


def test_the_workflow_of_the_documents_gives_inputs_that_there_are() -> None:
    page = (ROOT / "docs/ci.md").read_text()
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    workflow = yaml.safe_load(text)
    steps = workflow["jobs"]["compare"]["steps"]
    (ours,) = (each for each in steps if "onnx-verdict" in each.get("uses", ""))

    assert set(ours["with"]) <= set(ACTION["inputs"])
    assert workflow["permissions"]["pull-requests"] == "write"
    assert "steps.models.outputs.folder" in text
    assert ours["id"] == "models"
