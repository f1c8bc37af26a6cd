"""A page in headless Chromium, and what it complains of."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import command, needs
from toolkit.deployment import chromium, served
from toolkit.errors import EnvironmentFault, TargetError

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><link rel="icon" href="data:,"><title>here</title>
<script>%s</script>"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    if not any(map(shutil.which, chromium.NAMES)):
        needs.absent("no Chromium here")
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


def test_a_page_answers(site: Path) -> None:
    (site / "index.html").write_text(PAGE % "")

    with served.folder(site) as address, chromium.page(site.parent / "profile") as page:
        page.open(address)

        assert page.evaluate("Promise.resolve([document.title, 1 + 1])") == ["here", 2]
        assert page.asked[0] == address
        assert (page.complaints, page.strangers) == ([], [])


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("console.error('odd')", "odd"),
        ("throw new Error('odd')", "Error: odd"),
        ("fetch('missing')", "Failed to load resource: the server responded with a status of 404"),
    ],
    ids=["it logs an error", "it throws", "a file is missing"],
)
def test_what_a_page_complains_of_is_heard(site: Path, script: str, complaint: str) -> None:
    (site / "index.html").write_text(PAGE % script)

    with served.folder(site) as address, chromium.page(site.parent / "profile") as page:
        page.open(address)
        page.evaluate("new Promise((done) => setTimeout(done, 300))")

        assert [text for text in page.complaints if text.startswith(complaint)]


def test_what_a_page_asks_of_others_is_seen(site: Path) -> None:
    (site / "index.html").write_text(PAGE % "fetch('http://192.0.2.1/x').catch(() => {})")

    with served.folder(site) as address, chromium.page(site.parent / "profile") as page:
        page.open(address)
        page.evaluate("1")

        assert page.strangers == ["http://192.0.2.1/x"]


def test_a_page_that_throws_is_an_error(site: Path) -> None:
    (site / "index.html").write_text(PAGE % "")

    with served.folder(site) as address, chromium.page(site.parent / "profile") as page:
        page.open(address)
        with pytest.raises(TargetError, match="the page failed: TypeError: no kernel"):
            page.evaluate("Promise.reject(new TypeError('no kernel'))")


def test_without_a_browser_there_is_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EnvironmentFault, match="no Chromium"), chromium.page(tmp_path / "profile"):
        pass


def test_a_proof_says_that_its_browser_had_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert chromium.bare("auto") == "without the browser's sandbox, since root started it"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert chromium.bare("auto") == ""
    assert chromium.bare("off") == "without the browser's sandbox"


WAITING = """
import sys, time
from pathlib import Path
from toolkit.deployment import chromium
with chromium.page(Path(sys.argv[1])) as page:
    page.open("data:text/html,here")
    print("open", flush=True)
    time.sleep(100)
"""


def test_a_killed_parent_leaves_no_browser(site: Path) -> None:
    profile = str(site.parent / "profile")
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, profile], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "open\n"
        assert browsers(profile) != []
        os.kill(parent.pid, signal.SIGKILL)

    command.until(lambda: browsers(profile) == [], seconds=20)


def browsers(profile: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(f"--user-data-dir={profile}" in word for word in process.info["cmdline"] or [])
        and process.pid != os.getpid()
    ]
