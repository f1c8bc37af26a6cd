"""The cache is the user's alone, and who waits for another process is told for whom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import command
from toolkit.errors import EnvironmentFault
from toolkit.workers import cache

pytestmark = pytest.mark.process

HOLDING = """
import sys, time
from pathlib import Path
from toolkit.workers import cache

with cache.locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def rights(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_whatever_the_umask_is_nobody_else_may_look_into_it(home: Path) -> None:
    before = os.umask(0)
    try:
        cache.made(cache.root() / "environments/one", lambda empty: {})
    finally:
        os.umask(before)

    assert {rights(home / "cache"), rights(home / "cache/environments")} == {0o700}
    assert rights(home / "cache/environments/.one.lock") == 0o600


def test_a_cache_that_was_open_to_others_is_closed(home: Path) -> None:
    (home / "cache").mkdir(mode=0o777)
    (home / "cache").chmod(0o777)

    cache.root()

    assert rights(home / "cache") == 0o700


def test_a_cache_of_another_user_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "cache").mkdir()
    owner = (home / "cache").stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)

    with pytest.raises(EnvironmentFault) as caught:
        cache.root()

    assert caught.value.what == (
        f"the cache {home / 'cache'} belongs to another user (id {owner}), who could put code"
        " into it"
    )
    assert caught.value.cures == ("TOOLKIT_CACHE=FOLDER    names a folder of yours",)


def test_a_relative_xdg_cache_home_is_ignored_with_one_warning(home: Path) -> None:
    (home / "home").mkdir()
    done = command.run(
        *("runtimes", "remove", "openvino"),
        cwd=home,
        env={"XDG_CACHE_HOME": "theirs", "TOOLKIT_CACHE": ""},
    )

    assert done.code == 1
    assert done.err.splitlines() == [
        "warning: XDG_CACHE_HOME=theirs is a relative path and is ignored: ~/.cache is used",
        "error: there is no environment openvino to remove",
    ]
    assert not (home / "theirs").exists()


def test_a_lock_of_another_process_is_told_within_a_second_with_that_process(home: Path) -> None:
    folder = home / "cache/environments/openvino-1"
    waiting = [sys.executable, "-c", HOLDING, str(folder)]
    with (
        subprocess.Popen(waiting, stdout=subprocess.PIPE, text=True) as holder,
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys; from toolkit.cli import _told; import warnings;"
                "warnings.showwarning = _told(warnings.showwarning);"
                f"sys.argv.append({str(folder)!r});"
                "sys.stdin.readline();" + HOLDING,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as waiter,
    ):
        assert holder.stdout is not None
        assert waiter.stdin is not None
        assert waiter.stderr is not None
        assert waiter.stdout is not None
        try:
            assert holder.stdout.readline() == "held\n"
            waiter.stdin.write("go\n")
            waiter.stdin.flush()
            told = waiter.stderr.readline()
            assert holder.poll() is None
            holder.kill()
            assert waiter.stdout.readline() == "held\n"
        finally:
            holder.kill()
            waiter.kill()

    shape = rf"warning: waiting for process {holder.pid} \(.*\), which is at work on openvino-1 in"
    assert re.match(shape, told)


def test_a_holder_is_called_by_its_command(home: Path) -> None:
    """The file of a lock tells the process that has it, by the command that the user typed."""
    lock = home / "lock"
    with subprocess.Popen(
        ["/bin/sh", "-c", "sleep 60; true", str(home / "bin/toolkit"), "runtimes", "install", "x"]
    ) as process:
        lock.write_text(str(process.pid))
        descriptor = os.open(lock, os.O_RDONLY)
        try:
            end = time.monotonic() + 10
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"/bin/sh"):
                assert time.monotonic() < end
            shown = cache._holder(descriptor)
        finally:
            os.close(descriptor)
            process.kill()

    assert shown == f"process {process.pid} (toolkit runtimes install x)"


@pytest.mark.parametrize("text", ["", "nobody", "4999999"], ids=["empty", "no number", "gone"])
def test_a_holder_that_is_not_known_is_another_process(home: Path, text: str) -> None:
    (home / "lock").write_text(text)
    descriptor = os.open(home / "lock", os.O_RDONLY)
    try:
        assert cache._holder(descriptor) == "another process"
    finally:
        os.close(descriptor)
