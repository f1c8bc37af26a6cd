"""One word for a concept: the words that docs/design/glossary.md retired stand in no name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RETIRED = {
    "brief": "checked",
    "card": "special values",
    "cards": "special values",
    "caution": "warning",
    "cautions": "warnings",
    "circuit": "setup",
    "course": "run loop",
    "entrant": "target",
    "entrants": "targets",
    "heard": "answers",
    "lane": "target run",
    "lanes": "target runs",
    "marks": "value grids",
    "question": "assignment",
    "questions": "assignments",
    "survey": "size sweep",
    "tap": "intermediate output",
    "tapped": "exposed",
    "taps": "intermediate outputs",
    "terms": "acceptance",
    "witnessed": "with witness",
    "yardstick": "judge",
    "yardsticks": "judges",
}
"""Word → what is said instead."""
FILES = sorted(
    path
    for folder in ("toolkit", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)


def words(name: str) -> list[str]:
    """'run_setup' and 'RunSetup' → ['run', 'setup']."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_")


def names(path: Path) -> Iterator[str]:
    """The file's own name, and those of its classes, functions and arguments."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # A test's name is a sentence.
            if not node.name.startswith("test_"):
                yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg


def retired(path: Path) -> list[str]:
    return [
        f"{name}: {RETIRED[word]}"
        for name in names(path)
        for word in words(name)
        if word in RETIRED
    ]


def test_no_file_class_function_or_argument_has_a_retired_word() -> None:
    found = {str(path.relative_to(ROOT)): retired(path) for path in FILES}

    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "code",
    ["class RunCircuit: ...", "def _lane(): ...", "def f(question): ...", "f = lambda taps: taps"],
)
def test_a_retired_word_is_found(tmp_path: Path, code: str) -> None:
    path = tmp_path / "plain.py"
    path.write_text(code)

    assert len(retired(path)) == 1
