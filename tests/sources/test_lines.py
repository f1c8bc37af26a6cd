"""Which files are the user's, in a stack of hundreds of frames."""

from __future__ import annotations

import json
import os
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch

from toolkit.sources import lines


@pytest.mark.parametrize(
    "file",
    [json.__file__, os.__file__, torch.nn.__file__, np.__file__, lines.__file__, "<string>"],
    ids=["a package of Python", "a file of Python", "torch", "numpy", "toolkit", "no file"],
)
def test_a_line_of_a_library_tells_a_user_nothing(file: str) -> None:
    assert not lines.theirs(file)


def test_a_file_of_the_users_and_a_library_of_models_are_theirs(tmp_path: Path) -> None:
    packages = Path(sysconfig.get_path("purelib"))

    assert lines.theirs(str(tmp_path / "net.py"))
    assert lines.theirs(str(packages / "transformers/models/bert.py"))
    assert lines.theirs(str(packages / "torchvision/models.py"))  # Not below torch/.


def test_the_folders_of_the_libraries_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To list Python's own folder for each frame took 20 ms each time."""
    lines.theirs("net.py")
    monkeypatch.setattr(os, "listdir", lambda folder: pytest.fail(f"{folder} is listed again"))

    assert lines.theirs("another.py")
