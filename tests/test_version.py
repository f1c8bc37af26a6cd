"""The version has one home, and every way to ask for it gives the same."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

import toolkit
from tests import command

ROOT = Path(__file__).parent.parent
HOME = Path(toolkit.__file__)


def test_the_version_is_a_literal_that_setuptools_reads_without_an_import() -> None:
    literals = [
        node.value.value
        for node in ast.parse(HOME.read_text()).body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == "__version__"
        and isinstance(node.value, ast.Constant)
    ]
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert literals == [toolkit.__version__]
    assert config["metadata"]["version"] == "attr: toolkit.__version__"


def test_no_other_file_holds_the_version() -> None:
    literal = re.compile(rf"[\"']{re.escape(toolkit.__version__)}[\"']")

    homes = [path for path in HOME.parent.rglob("*.py") if literal.search(path.read_text())]

    assert homes == [HOME]


def test_the_installed_distribution_has_the_version_of_the_code() -> None:
    assert importlib.metadata.version("onnx-verdict") == toolkit.__version__


def test_the_changelog_has_a_section_for_the_version() -> None:
    headings = re.findall(r"^## \[?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == toolkit.__version__


@pytest.mark.process
@pytest.mark.parametrize("words", [["-m", "toolkit"], ["-P", "-m", "toolkit"]], ids=" ".join)
def test_python_runs_the_command_as_a_module(words: list[str], tmp_path: Path) -> None:
    script = command.run("--version", cwd=tmp_path)
    module = command.started([sys.executable, *words, "--version"], cwd=tmp_path)

    assert script.out == f"toolkit, version {toolkit.__version__}\n"
    assert module == script


@pytest.mark.process
def test_a_module_ends_with_the_exit_code_and_the_name_of_the_command(tmp_path: Path) -> None:
    script = command.run("benhc", cwd=tmp_path)
    module = command.started([sys.executable, "-m", "toolkit", "benhc"], cwd=tmp_path)

    assert script.code == 2
    assert module == script
