"""Every console block of the guides shows what a user gets, from the first command to the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_documents import BLOCK, commands, missing, run

DOCS = Path(__file__).parent.parent / "docs"
GUIDES = ("getting-started", *sorted(f"guides/{p.stem}" for p in (DOCS / "guides").glob("*.md")))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", GUIDES)
def test_the_commands_of_a_guide_show_what_it_shows(name: str, tmp_path: Path) -> None:
    """In an empty folder that has the files which the guide shows, and in the guide's order."""
    blocks = BLOCK.findall((DOCS / f"{name}.md").read_text())
    for file, _, text in blocks:
        if file:
            (tmp_path / file).write_text(text)

    shown = [command for _, kind, text in blocks if kind == "console" for command in commands(text)]

    assert shown
    for command in shown:
        done = run(tmp_path, command.line)
        fails = any(line.startswith("error:") for line in command.shown)
        assert done.returncode == (1 if fails else 0), done.stdout
        assert missing(command.shown, done.stdout) == [], done.stdout
