"""One word for a concept, one concept for a word: docs/design/glossary.md is the code's."""

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
GLOSSARY = (ROOT / "docs/design/glossary.md").read_text("utf-8")
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


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables below a heading of the glossary and those that follow it."""
    text = GLOSSARY[GLOSSARY.index(heading) :]
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_glossary_says_what_replaced_each_retired_word() -> None:
    listed = {word for row in rows("## Words that were retired")[1:] for word in row[0].split(", ")}

    singular = {word.rstrip("s").removesuffix("ped") for word in RETIRED}

    assert singular - {word.rstrip("s") for word in listed} == set()


def defined() -> set[str]:
    """Every name that the package defines: modules, classes, functions, fields and constants."""
    found = set()
    for path in FILES:
        if not path.is_relative_to(ROOT / "toolkit"):
            continue
        found.add(path.stem)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def is_there(name: str, names: set[str]) -> bool:
    """A path below toolkit/ (or the checkout), or a dotted name of which each part is defined."""
    if "/" in name:
        return (ROOT / "toolkit" / name).exists() or (ROOT / name).exists()
    rooms = {path.name for path in (ROOT / "toolkit").iterdir()}
    return all(part in names | rooms for part in name.split("."))


FILES_OF_A_RUN = {"run.json", "samples.npz"}


def test_every_name_of_the_glossarys_last_column_is_in_the_code() -> None:
    end = GLOSSARY.index("## Words that were retired")
    tables = [line for line in GLOSSARY[:end].splitlines() if line.startswith("|")]
    cells = [line.strip("|").split("|")[-1] for line in tables]
    named = {name for cell in cells for name in re.findall(r"`([\w./]+)`", cell)} - FILES_OF_A_RUN
    names = defined()

    assert len(named) > 80
    assert sorted(name for name in named - {"card", "witness"} if not is_there(name, names)) == []


def test_no_class_of_the_package_shares_its_name_with_another() -> None:
    places: dict[str, list[str]] = {}
    for path in FILES:
        inside = path.relative_to(ROOT).parts
        # The clients of deployed folders, and the operators, which bear ONNX's own names.
        if inside[0] != "toolkit" or {"templates", "operators"} & set(inside):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))

    assert {name: files for name, files in places.items() if len(files) > 1} == {}
