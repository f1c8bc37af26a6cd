"""What is free, within the limits of a container too."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from toolkit.machine import memory

NOWHERE = Path("/nowhere")


def group(folder: Path, limit: str, used: int, files: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {files}\n")


def test_without_a_control_group_the_machine_is_the_limit() -> None:
    free = psutil.virtual_memory().available
    assert memory.available(NOWHERE, NOWHERE) == pytest.approx(free, rel=0.2)


def test_the_tightest_group_above_this_process_is_the_limit(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text("0::/outer/inner\n")
    root = tmp_path / "fs/cgroup"
    group(root / "outer", "1000000", 400_000, files=50_000)
    group(root / "outer/inner", "max", 300_000)
    assert memory.available(tmp_path, tmp_path) == 650_000


def test_a_group_above_its_limit_has_no_room_left(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text("0::/\n")
    group(tmp_path / "fs/cgroup", "1000", 5000)
    assert memory.available(tmp_path, tmp_path) == 0
