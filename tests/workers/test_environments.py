"""The library that is measured is that of the target's environment, whatever stands around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.conftest import Start
from toolkit.errors import EnvironmentFault
from toolkit.workers import environments

pytestmark = pytest.mark.process


def venv(folder: Path) -> Path:
    """An environment with numpy and no more: that of this Python, by a .pth of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    import numpy

    packages = Path(numpy.__file__).parent.parent
    for name in ("numpy", "numpy.libs"):
        if (packages / name).exists():
            (site / name).symlink_to(packages / name)
    return site


def planted(site: Path, version: str) -> None:
    """An onnxruntime that has nothing but a version."""
    (site / "onnxruntime").mkdir()
    (site / "onnxruntime" / "__init__.py").write_text(f"__version__ = {version!r}\n")


def test_the_environments_own_library_is_measured_and_not_ours(
    start: Start, tmp_path: Path
) -> None:
    planted(venv(tmp_path / "venv"), "1.99.0")
    worker = start("onnxruntime", env=str(tmp_path / "venv"))

    worker.post_hello()

    assert worker.hello().version == "1.99.0"


def test_a_toolkit_torch_or_numpy_in_the_current_folder_hides_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("toolkit", "numpy", "onnxruntime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    environments.ask.cache_clear()

    for runtime in ("onnxruntime", "torch"):
        worker = start(runtime)
        worker.post_hello()
        assert worker.hello().file is not None


def test_a_toolkit_in_the_environment_is_not_the_one_that_runs(
    start: Start, tmp_path: Path
) -> None:
    site = venv(tmp_path / "venv")
    planted(site, "1.99.0")
    (site / "toolkit").mkdir()
    (site / "toolkit" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    worker = start("onnxruntime", env=str(tmp_path / "venv"))

    worker.post_hello()

    assert worker.hello().version == "1.99.0"


def test_a_folder_without_a_python_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        environments.find(str(tmp_path))

    assert caught.value.what == f"env={tmp_path}: there is no Python environment in this folder"


def test_a_folder_that_is_free_for_an_environment_is_named_with_how_to_make_one(
    tmp_path: Path,
) -> None:
    free, full = tmp_path / "at all", tmp_path / "full"
    (full / "docs").mkdir(parents=True)
    cures = []
    for folder in (free, full):
        with pytest.raises(EnvironmentFault) as caught:
            environments.interpreter(str(folder))
        cures.append(caught.value.cures)

    assert cures == [(f"python3 -m venv '{free}'    makes one",), ()]


def test_an_environment_without_numpy_is_refused_with_the_command_that_helps(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)

    with pytest.raises(EnvironmentFault) as caught:
        environments.find(str(tmp_path / "v"))

    assert "has no numpy that can be imported (ModuleNotFoundError" in caught.value.what
    assert caught.value.cures[0].endswith("-m pip install --force-reinstall numpy")


def test_a_broken_numpy_is_told_by_its_own_error(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    site = next((tmp_path / "v").glob("lib/python*/site-packages"))
    (site / "numpy").mkdir()
    (site / "numpy" / "__init__.py").write_text("raise ImportError('libgfortran is gone')\n")

    with pytest.raises(EnvironmentFault, match="ImportError: libgfortran is gone"):
        environments.find(str(tmp_path / "v"))


def test_a_file_of_the_environment_is_shown_without_the_path_of_this_machine() -> None:
    import numpy

    own = environments.find(None)

    assert own.relative(Path(numpy.__file__)) == "numpy/__init__.py"
