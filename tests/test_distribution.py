"""The sdist and the wheel hold all that the package needs, nothing else, and run by themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import toolkit
from tests import command

ROOT = Path(__file__).parent.parent
HIDDEN = shutil.ignore_patterns("__pycache__", "*.pyc")

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.score(x))
"""


@dataclass(frozen=True)
class Built:
    """What `make build` leaves in dist/."""

    sdist: Path
    wheel: Path

    @property
    def in_sdist(self) -> set[str]:
        """The files, by their paths below the folder of name and version."""
        with tarfile.open(self.sdist) as archive:
            names = [member.name for member in archive.getmembers() if member.isfile()]
        return {name.partition("/")[2] for name in names}

    @property
    def in_wheel(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Builds from a copy, so that no folder of the checkout changes, as `make build` does."""
    folder = tmp_path_factory.mktemp("distribution")
    copy = folder / "source"
    for name in ("toolkit", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=HIDDEN)
    for file in ROOT.iterdir():
        if file.is_file() and not file.is_symlink():
            shutil.copyfile(file, copy / file.name)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", copy],
        check=True,
        capture_output=True,
        text=True,
    )
    (sdist,), (wheel,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    return Built(sdist, wheel)


def files() -> set[str]:
    """Every file of the package: modules, templates, assets, JavaScript, locks, py.typed."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / "toolkit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.process
def test_the_wheel_has_every_file_of_the_package_and_no_other(built: Built) -> None:
    """Hidden files too, which no pattern takes by itself."""
    named = {name for name in built.in_wheel if ".dist-info/" not in name}

    assert named == files()
    assert {"toolkit/py.typed", "toolkit/deployment/templates/node/.npmrc"} <= named


@pytest.mark.process
def test_the_wheel_has_the_version_and_the_licence(built: Built) -> None:
    info = f"onnx_verdict-{toolkit.__version__}.dist-info"

    assert built.wheel.name == f"onnx_verdict-{toolkit.__version__}-py3-none-any.whl"
    assert {f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= built.in_wheel


@pytest.mark.process
def test_the_sdist_has_every_file_of_the_package_its_documents_and_no_test(built: Built) -> None:
    inside = built.in_sdist

    assert files() <= inside
    assert {"README.md", "LICENSE", "CHANGELOG.md", "METHODOLOGY.md", "constraints.txt"} <= inside
    assert [name for name in inside if name.startswith(("tests/", "benchmarks/"))] == []


@pytest.fixture(scope="module")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment that holds the wheel and what it requires; its folder of programs."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet",
         "--constraint", ROOT / "constraints.txt", f"{built.wheel}[cpu]"],
        check=True,
    )  # fmt: skip
    return folder / "bin"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_wheel_runs_in_a_bare_environment(bare: Path, tmp_path: Path) -> None:
    """Another Python, an empty folder, and a PATH on which no other toolkit stands before it."""
    (tmp_path / "net.py").write_text(NET)
    alone = {"PATH": f"{bare}{os.pathsep}{os.defpath}", "PYTHONPATH": "", "VIRTUAL_ENV": ""}

    def run(*words: str | Path) -> command.Ended:
        return command.started([bare / "toolkit", *words], cwd=tmp_path, env=alone)

    version = run("--version")
    exported = run("export", "net.py:Net", "--input", "x:float32[batch,8]", "-o", "net.onnx")
    checked = run("check", "net.onnx", "--target", "onnxruntime:cpu", "--target", "reference")
    module = command.started([bare / "python", "-m", "toolkit", "doctor"], cwd=tmp_path, env=alone)

    assert version == command.Ended(0, f"toolkit, version {toolkit.__version__}\n", "")
    assert (exported.code, exported.err) == (0, ""), exported
    assert "same function" in exported.out
    assert (checked.code, checked.err) == (0, ""), checked
    assert "float32" in checked.out
    assert module.code == 0, module.out
