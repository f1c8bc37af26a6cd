"""Programs that are run for a proof."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolkit.deployment import headers, programs
from toolkit.errors import EnvironmentFault, TargetError

pytestmark = pytest.mark.process


def test_a_client_gets_nothing_of_this_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("SECRET", "1")

    printed = programs.run(
        [sys.executable, "-c", "import os; print(*sorted(os.environ))"],
        tmp_path,
        tmp_path / "home",
        MORE="1",
    )

    assert set(printed.split()) - {"LC_CTYPE"} == {"HOME", "LANG", "MORE", "PATH"}


@pytest.mark.parametrize(
    ("program", "ending"),
    [
        ("print('ValueError: no kernel'); print('bye'); exit(3)", "ended with code 3: ValueError"),
        ("import os; os.abort()", "crashed with SIGABRT: it printed nothing"),
        ("import os; os.kill(os.getpid(), 35)", "crashed with signal 35: it printed nothing"),
    ],
    ids=["an exit code", "a signal", "a signal without a name"],
)
def test_a_client_that_fails_is_quoted(program: str, ending: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=f"the client {ending}"):
        programs.run([sys.executable, "-c", program], tmp_path, tmp_path / "home")


def test_a_client_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "RUN", 0.5)

    with pytest.raises(TargetError, match=r"was stopped after 0\.5 s without an end"):
        programs.run(["sh", "-c", "sleep 60 & sleep 60"], tmp_path, tmp_path / "home")


def test_an_installation_that_fails_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "pip", "install", "-r", "missing.txt"]

    with pytest.raises(EnvironmentFault, match="pip install ended with code 1: ERROR: Could not"):
        programs.prepare(command, tmp_path)


def test_the_archive_of_the_headers_is_the_one_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "SOURCES", tmp_path)
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\nURIs: http://a.example/debian-security\nSuites: x-security\n\n"
        "Types: deb\n# near\nURIs: http://b.example/debian\nSuites: x x-updates\n"
        "Signed-By: /k.gpg\n"
    )

    assert headers._stanza() == (
        "Types: deb\nURIs: http://b.example/debian\nSuites: trixie\nComponents: main\n"
        "Signed-By: /k.gpg\n"
    )


def test_without_an_archive_there_are_no_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headers, "SOURCES", tmp_path)

    with pytest.raises(EnvironmentFault, match="apt has no archive of Debian here"):
        headers._stanza()
