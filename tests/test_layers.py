"""The rooms: a module imports only from its own or from one above it.

Rules, cited below:

L1  The order of ROOMS, at every depth of a file, also inside functions.
L2  `report` shows records: it never imports runtimes, workers or engine.
L3  The rooms that a worker gets import at module level only the standard library and numpy.
L4  `cli` alone imports click, prints or exits.
L5  Starting up is light: no torch, onnxruntime or rich before they are needed.
L6  No module imports itself through others, at any depth: an import that hides in a function or is
    for the type checker alone means all the same that two files must be read to know one. The
    package itself stands aside: it hands out the Python API, and every room reads its version.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import toolkit
from toolkit.workers import environments

PACKAGE = Path(toolkit.__file__).parent
TEMPLATES = PACKAGE / "deployment" / "templates"
"""Programs that are copied into deployed folders: no modules of ours."""
ROOMS = (
    "errors",
    "units",
    "tensors",
    "sources",
    "runtimes",
    "workers",
    "sbom",
    "strict",
    "plaintext",
    "machine",
    "supervision",
    "onnxfiles",
    "feeds",
    "oracle",
    "answers",
    "exporter",
    "measure",
    "data",
    "records",
    "doctor",
    "engine",
    "operatortests",
    "deployment",
    "report",
    "pipelines",
    "api",
    "cli",
    "__main__",
)
OF_A_WORKER = ROOMS[: ROOMS.index("workers") + 1]


@dataclass(frozen=True)
class Import:
    """One import in one file."""

    importer: str
    """The module's full name."""
    imported: str
    """toolkit's modules by their full name, others by their top-level name."""
    line: int
    at_top: bool
    """Runs when the module is imported."""

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules() -> dict[str, Path]:
    """Every module of the package by its full name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(TEMPLATES):
            continue
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@functools.cache
def trees() -> Mapping[str, ast.Module]:
    """Every module of the package, parsed: not at import, since every process of the tests collects
    this file."""
    return {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def imports(
    name: str, *, typing: bool = True, among: Mapping[str, ast.Module] | None = None
) -> Iterator[Import]:
    """All imports of a module; with `typing` also those for the type checker alone."""
    yield from _of(name, (among or trees())[name].body, top=True, typing=typing)


def _of(name: str, body: list[ast.stmt], *, top: bool, typing: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, _whole(alias.name), node.lineno, top)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: a relative import"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(name, full if full in MODULES else _whole(base), node.lineno, top)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            if typing:
                yield from _of(name, node.body, top=False, typing=typing)
            yield from _of(name, node.orelse, top=top, typing=typing)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list):
                    yield from _of(name, block, top=top and not inside, typing=typing)
            # Those of `try` and of `match`.
            for branch in (*getattr(node, "handlers", []), *getattr(node, "cases", [])):
                yield from _of(name, branch.body, top=top and not inside, typing=typing)


def _whole(name: str) -> str:
    return name if name.split(".")[0] == "toolkit" else name.split(".")[0]


def room(module: str) -> str:
    """'toolkit.answers.rule' → 'answers'; '' for the package itself."""
    return module.partition(".")[2].split(".")[0]


def test_every_file_lies_in_a_room_of_the_order() -> None:
    assert {room(name) for name in MODULES} - {""} == set(ROOMS)


def test_no_room_hides_a_function_of_the_api() -> None:
    """Importing a room gives the package an attribute of its name."""
    assert set(toolkit.__all__) & set(ROOMS) == set()


def test_the_architectures_table_has_the_rooms_in_their_order() -> None:
    page = (PACKAGE.parent / "docs/design/architecture.md").read_text("utf-8")
    table = page[page.index("| room |") :].split("\n\n")[0]
    heads = [line.split("|")[1] for line in table.splitlines()[2:]]

    named = [name for head in heads for name in re.findall(r"`(\w+)", head)]

    assert named == list(ROOMS)


def test_a_module_imports_from_its_own_room_or_from_one_above() -> None:  # L1
    wrong = [
        str(found)
        for name in MODULES
        if room(name)
        for found in imports(name)
        if room(found.imported)
        and found.imported.startswith("toolkit")
        and ROOMS.index(room(found.imported)) > ROOMS.index(room(name))
    ]

    assert wrong == []


def test_the_report_knows_records_and_no_runtime() -> None:  # L2
    wrong = [
        str(found)
        for name in MODULES
        if room(name) == "report"
        for found in imports(name)
        if room(found.imported) in ("runtimes", "workers", "engine")
    ]

    assert wrong == []


def test_what_a_worker_gets_imports_the_standard_library_and_numpy_alone() -> None:  # L3
    allowed = {*sys.stdlib_module_names, "numpy", "toolkit"}
    wrong = [
        str(found)
        for name in MODULES
        if room(name) in OF_A_WORKER
        for found in imports(name, typing=False)
        if found.at_top and found.imported.split(".")[0] not in allowed
    ]

    assert wrong == []
    assert {name.removesuffix(".py") for name in environments.ROOMS} == set(OF_A_WORKER)


def test_the_command_line_alone_imports_click() -> None:  # L4
    assert {
        room(name) for name in MODULES for found in imports(name) if found.imported == "click"
    } == {"cli"}


# These programs run in a process of their own, whose end and output they are.
PROGRAMS = {
    "toolkit.__main__",
    "toolkit.api.child",
    "toolkit.workers.child",
    "toolkit.workers.keeper",
    "toolkit.runtimes.fake",
    "toolkit.doctor.inside",
}


def test_the_command_line_alone_prints_or_exits() -> None:  # L4
    wrong = [
        f"{name}:{node.lineno} calls {ast.unparse(node.func)}"
        for name, tree in trees().items()
        if room(name) != "cli" and name not in PROGRAMS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "exit", "quit", "sys.exit", "os._exit")
    ]

    assert wrong == []


HEAVY = ("torch", "onnxruntime", "rich", "onnx", "numpy", "altair", "sklearn", "msgspec")


@pytest.mark.process
@pytest.mark.parametrize(
    "code",
    ["import toolkit", "from toolkit.cli import root; root(['--help'], standalone_mode=False)"],
    ids=["import toolkit", "toolkit --help"],
)
def test_starting_up_is_light(code: str) -> None:  # L5
    look = f"{code}\nimport sys\nprint(*(n for n in {HEAVY} if n in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == ""


@pytest.mark.process
@pytest.mark.parametrize(
    "command", ["train", "export", "check", "bench", "deploy", "report", "doctor"]
)
def test_the_help_of_a_command_imports_nothing_heavy(command: str) -> None:  # L5
    look = (
        f"import sys\nfrom toolkit.cli import root\n"
        f"root([{command!r}, '--help'], standalone_mode=False)\n"
        f"print(*(n for n in {HEAVY[:3]} if n in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    assert done.stderr.strip() == ""
    assert "Examples" in done.stdout or "Example" in done.stdout


def cycle(among: Mapping[str, ast.Module]) -> list[str]:
    """A way from a module back to itself, which is named at both ends; empty: there is none."""
    graph = {
        name: {found.imported for found in imports(name, among=among) if found.imported in among}
        - {name, "toolkit"}
        for name in among
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        way: list[str] = error.args[1]
        return way
    return []


def test_no_module_imports_itself_through_others() -> None:  # L6
    assert cycle(trees()) == []


HIDDEN = {
    "at the top": "from toolkit.errors import EnvironmentFault",
    "in a function": "def f():\n    from toolkit import errors",
    "in a method": "class C:\n    def f(self):\n        import toolkit.errors",
    "for the type checker": "if TYPE_CHECKING:\n    from toolkit.errors import EnvironmentFault",
    "in a match": "def f(x):\n    match x:\n        case 1:\n            import toolkit.errors",
}


@pytest.mark.parametrize("code", HIDDEN.values(), ids=HIDDEN)
def test_a_cycle_is_found_wherever_its_import_hides(code: str) -> None:  # L6
    """toolkit.units is made to import toolkit.errors, and that one to import it."""
    planted = {
        "toolkit.units": ast.parse(code),
        "toolkit.errors": ast.parse("from toolkit.units import Seconds"),
    }

    assert set(cycle({**trees(), **planted})) == {*planted}
