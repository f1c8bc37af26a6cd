"""Every block of the documents runs: what they show is what a user gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import publish
from tests.command import quiet

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"(?:<!-- file: (\S+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"\d[\d,.]*(?:e[+−-]?\d+)?")


@dataclass(frozen=True)
class Command:
    """A command of a console block and the lines that are shown below it."""

    line: str
    shown: tuple[str, ...]


def commands(block: str) -> list[Command]:
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [Command(lines[0], tuple(lines[1:])) for part in parts if (lines := part.splitlines())]


def plain(line: str) -> str:
    """Without what differs from run to run: figures, and the spaces that align them."""
    return " ".join(NUMBER.sub("N", line).split())


def passages(shown: tuple[str, ...]) -> list[str]:
    """What is shown without a gap: … stands for any text, and an empty line for any space.

    Lines are joined, since figures of another width break a paragraph elsewhere.
    """
    text = "\n".join(shown)
    return [plain(part) for part in re.split(r"…|\n\s*\n", text) if part.strip()]


def missing(shown: tuple[str, ...], output: str) -> list[str]:
    """The passages that are not in the output, in their order."""
    text, absent = plain(output), []
    for passage in passages(shown):
        _, here, behind = text.partition(passage)
        if here:
            text = behind
        else:
            absent.append(passage)
    return absent


@pytest.mark.parametrize(
    ("shown", "absent"),
    [
        (("took 2.5 s", "…", "then 3 more"), []),
        (("took 2.5 s and", "was done"), []),
        (("took 2.5 s", "then 3 more"), ["took N s then N more"]),
        (("then 3 more", "…", "took 2.5 s"), ["took N s"]),
        (("took …",), []),
    ],
    ids=["a gap", "broken elsewhere", "no gap is said", "another order", "a beginning"],
)
def test_what_is_shown_is_looked_for_in_its_order(
    shown: tuple[str, ...], absent: list[str]
) -> None:
    output = "took 11.25 s\nand was   done\n\nthen 14 more\n"

    assert missing(shown, output) == absent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader of the README works, with the files that it shows."""
    made = tmp_path_factory.mktemp("reader")
    for name, _, text in BLOCK.findall(README):
        if name:
            (made / name).write_text(text)
    return made


def run(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Runs a line as a reader types it; errors come behind the results, without the progress that a
    slow machine tells."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=280,
    )
    done.stdout += quiet(done.stderr)
    return done


CONSOLE = [
    command
    for _, kind, text in BLOCK.findall(README)
    if kind == "console"
    for command in commands(text)
]


SHORTER = {
    "toolkit run": "--precision 50%",
    "toolkit compare models/mlp/mlp.onnx int8.onnx --target onnxruntime": "--precision 50%",
}
"""What is added to a command. Alone on a machine it ends after ten process starts; beside other
tests it would go on for the whole minute that it has, and show the same."""


@pytest.mark.process
@pytest.mark.parametrize("command", CONSOLE, ids=lambda command: command.line[:50])
def test_a_command_of_the_readme_shows_what_the_readme_shows(
    folder: Path, command: Command
) -> None:
    """In the order of the README: `toolkit run` makes what the later ones use."""
    done = run(folder, f"{command.line} {SHORTER.get(command.line, '')}")

    fails = any(line.startswith("error:") for line in command.shown)
    assert done.returncode == (1 if fails else 0), done.stdout
    assert missing(command.shown, done.stdout) == [], done.stdout


@pytest.mark.process
def test_the_python_of_the_readme_runs(folder: Path) -> None:
    programs = [text for name, kind, text in BLOCK.findall(README) if kind == "python" and not name]

    for program in programs:
        done = run(folder, f"python - <<'PROGRAM'\n{program}\nPROGRAM")
        assert done.returncode == 0, done.stdout
        assert "float32 True" in done.stdout


@pytest.mark.process
def test_the_make_targets_of_the_readme_are_there() -> None:
    named = re.findall(r"^make (\w+)", README, re.MULTILINE)

    done = subprocess.run(["make", "--dry-run", *named], cwd=ROOT, capture_output=True, text=True)

    assert named == ["run", "test"]
    assert done.returncode == 0, done.stderr


@pytest.mark.process
def test_the_install_line_of_the_readme_can_be_resolved(tmp_path: Path) -> None:
    """Against what is installed here: no package index is asked."""
    line = next(li for li in README.splitlines() if li.startswith("pip install"))
    arguments = line.split("#")[0].replace("'", "").split()[2:]

    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps",
         "--no-build-isolation", *arguments],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", publish.DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_of_a_document_are_those_of_the_committed_results(path: Path) -> None:
    """`python -m benchmarks.publish` writes them."""
    document = path.read_text()

    assert publish.filled(document, publish.DOCUMENTS[path]) == document


def cells(line: str) -> list[str]:
    return [" ".join(cell.split()) for cell in line.strip().strip("|").split("|")]


def tables(text: str) -> list[list[dict[str, str]]]:
    """The Markdown tables of a text, each row by its heads."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    rows = [[cells(line) for line in table.splitlines()] for table in found]
    return [[dict(zip(head, row, strict=True)) for row in body] for head, _, *body in rows]


TABLE = re.compile(r"<!-- table: (\S+) -->\n((?:\|.*\n)+)")


def test_every_table_that_names_a_report_is_held_to_it() -> None:
    assert len(TABLE.findall(README)) == README.count("<!-- table:") > 0


@pytest.mark.parametrize(("place", "shown"), TABLE.findall(README), ids=lambda text: text[:40])
def test_a_table_of_the_readme_stands_in_the_report_that_it_names(place: str, shown: str) -> None:
    report = (ROOT / place / "report.md").read_text()
    (rows,) = tables(shown)

    assert any([{head: row[head] for head in rows[0]} for row in table] == rows
               for table in tables(report) if rows[0].keys() <= table[0].keys())  # fmt: skip


def parent(file: Path) -> str:
    return file.parent.name


@pytest.mark.parametrize("file", sorted((ROOT / "reports").glob("example-*/run.json")), ids=parent)
def test_a_committed_run_names_no_folder_of_the_machine_that_made_it(file: Path) -> None:
    folders = re.findall(
        r'(?<![\w./:])/(?:home|root|work|tmp|opt|usr|srv|mnt)/[^\s"]+', file.read_text()
    )

    assert folders == []


DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if "_build" not in path.parts
)


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for name in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
            assert ((ROOT / name).parent / target).exists(), f"{name} links to {target}"


def test_no_message_offers_the_package_of_somebody_else() -> None:
    """The distribution is not called toolkit; that name belongs to others."""
    files = [*ROOT.glob("*.md"), *(ROOT / "toolkit").rglob("*.py")]

    assert not [f for f in files if re.search(r"pip install ['\"]?toolkit\b", f.read_text())]
