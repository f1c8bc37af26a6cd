"""A full disk is called a full disk, by name and place: no model and no library has its fault."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import command, needs, small
from toolkit.errors import DiskFull, InputError, full_disk

FULL = OSError(errno.ENOSPC, "No space left on device", "/tmp/x/part.npy")


def behind(cause: Exception) -> Exception:
    try:
        try:
            raise cause
        except Exception as error:
            raise InputError("the PyTorch module refuses it") from error
    except InputError as error:
        return error


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (FULL, "/tmp/x/part.npy cannot be written: the disk is full"),
        (behind(FULL), "/tmp/x/part.npy cannot be written: the disk is full"),
        (OSError(errno.EDQUOT, "x", "a.npy"), "a.npy cannot be written: the disk quota is used up"),
        (behind(InputError("run.json: the disk is full")), "run.json: the disk is full"),
    ],
    ids=["itself", "behind another", "a quota", "told before"],
)
def test_a_full_disk_is_told_by_the_file(error: Exception, what: str) -> None:
    told = full_disk(error)

    assert told is not None
    assert told.what == what


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EACCES, "Permission denied", "a"), ValueError("full"), behind(KeyError("disk"))],
    ids=["another error of a file", "words", "behind another"],
)
def test_what_is_no_full_disk_is_not_called_one(error: Exception) -> None:
    assert full_disk(error) is None


def test_a_library_that_says_so_in_words_is_understood() -> None:
    told = full_disk(RuntimeError("open file failed: No space left on device"))

    assert isinstance(told, DiskFull)
    assert told.what.endswith("cannot be written: the disk is full")
    assert told.cures[0].startswith("df -h")


# On a disk that is full

FILL = 'mount -t tmpfs -o size="$1" tmpfs "$2" || exit 77; shift 2; exec "$@"'


def on_small_disk(
    disk: Path, size: str, *words: str | Path, cwd: Path, **env: str
) -> command.Ended:
    """Runs a command while a disk of a few hundred kilobytes is mounted in a folder."""
    disk.mkdir(exist_ok=True)
    alone = [needs.program("unshare"), "--map-root-user", "--mount", "--propagation", "private"]
    done = command.started(
        [*alone, "/bin/sh", "-c", FILL, "sh", size, str(disk), *words], cwd=cwd, env=env
    )
    if done.code == 77 or done.err.startswith("unshare:"):
        needs.absent("no disk may be mounted here")
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small.layer(tmp_path / "layer.onnx")
    return tmp_path


@pytest.mark.process
def test_reports_that_find_no_room_are_named(folder: Path) -> None:
    disk = folder / "disk"

    done = on_small_disk(
        disk,
        "64k",
        *(command.TOOLKIT, "bench", "layer.onnx", "--target", "fake", "-o", "disk/reports"),
        *command.QUICK,
        cwd=folder,
    )

    assert done.code == 1
    assert len(done.errors) == 1
    assert done.errors[0].startswith("error: disk/reports/")
    assert done.errors[0].endswith(": the disk is full")


@pytest.mark.process
def test_temporary_files_that_find_no_room_are_named_with_the_cure(folder: Path) -> None:
    disk = folder / "disk"

    done = on_small_disk(
        disk,
        "64k",
        *(command.TOOLKIT, "check", "layer.onnx", "--target", "fake"),
        cwd=folder,
        TMPDIR=str(disk),
    )

    assert done.code == 1
    assert len(done.errors) == 1
    assert done.errors[0].startswith(f"error: {disk}")
    assert done.errors[0].endswith(": the disk is full")
    assert any(line.startswith("  TMPDIR=FOLDER") for line in done.err.splitlines())


WRITING = """
import tempfile

import torch
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(4 << 20))
            file.flush()
        return torch.relu(x)
"""


@pytest.mark.export
def test_a_module_that_finds_no_room_is_not_blamed(folder: Path) -> None:
    disk = folder / "disk"
    (folder / "net.py").write_text(WRITING)

    done = on_small_disk(
        disk,
        "900k",
        *(command.TOOLKIT, "export", "net.py:Net", "--input", "x:float32[batch,8]"),
        cwd=folder,
        TMPDIR=str(disk),
    )

    assert done.code == 1
    assert len(done.errors) == 1
    assert done.errors[0].startswith(f"error: {disk}/")
    assert done.errors[0].endswith(" cannot be written: the disk is full")
    assert "net.py" not in done.err


INSTALL = """
from toolkit.errors import ToolkitError
from toolkit.workers import managed
from toolkit.workers.recipes import Recipe

try:
    managed.install(Recipe("tiny", "openvino", ("cpu",), ("tiny==1.0",), "MIT"))
except ToolkitError as error:
    print(type(error).__name__, error.what, *error.cures, sep="\\n")
"""


@pytest.mark.process
def test_an_installation_says_why_it_failed(folder: Path) -> None:
    """venv by itself says that ensurepip returned non-zero exit status 1."""
    disk = folder / "disk"

    done = on_small_disk(
        disk, "2m", sys.executable, "-c", INSTALL, cwd=folder, TOOLKIT_CACHE=str(disk)
    )

    kind, what, *cures = done.out.splitlines()
    assert kind == "DiskFull"
    assert what.startswith("tiny@1.0 was not installed: no venv could be made: ")
    assert what.endswith(" cannot be written: the disk is full")
    assert str(disk) in what
    assert cures[-1].startswith("TOOLKIT_CACHE=FOLDER")


@pytest.mark.process
def test_a_python_without_ensurepip_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.errors import EnvironmentFault
    from toolkit.workers import guard, managed
    from toolkit.workers.recipes import Recipe

    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    run = guard.run

    def lacking(words: list[str], **given: Any) -> subprocess.CompletedProcess[str]:
        """As Debian's Python without python3-venv."""
        program = "raise SystemExit('No module named ensurepip')"
        return run([sys.executable, "-c", program] if "ensurepip" in words else words, **given)

    monkeypatch.setattr(guard, "run", lacking)

    with pytest.raises(EnvironmentFault) as caught:
        managed.install(Recipe("tiny", "openvino", ("cpu",), ("tiny==1.0",), "MIT"))

    assert caught.value.what == (
        "tiny@1.0 was not installed: no venv could be made: No module named ensurepip"
    )
    assert caught.value.cures == ("apt install python3-venv    brings Python's ensurepip",)


def test_whoever_calls_from_python_gets_it_too() -> None:
    from toolkit.sources import running

    def writing() -> None:
        raise FULL

    with pytest.raises(DiskFull, match=r"^/tmp/x/part\.npy cannot be written: the disk is full$"):
        running.result("net.py:Net", writing)
