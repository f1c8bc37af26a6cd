"""Real environments with faults planted in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolkit.doctor import probe, requirements
from toolkit.doctor.probe import EnvironmentFacts

SITE = Path(sysconfig.get_path("purelib"))
CONTENT = "x" * 100
"""The content of a planted binary."""

ORT = """
__version__ = {version!r}
def get_available_providers():
    return {providers!r}
"""


@dataclass(frozen=True)
class Planted:
    """A virtual environment of the real Python, without pip and with nothing in it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def site(self) -> Path:
        return (
            self.folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        )

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self.site / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def distribution(
        self, name: str, version: str, record: Mapping[str, int] | None = None
    ) -> None:
        """Writes what pip writes beside a package: its metadata, and its files with their sizes."""
        folder = f"{name.replace('-', '_')}-{version}.dist-info"
        lines = [f"{file},,{size}" for file, size in (record or {}).items()]
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        self.write({f"{folder}/METADATA": metadata, f"{folder}/RECORD": "\n".join(lines) + "\n"})

    def onnxruntime(self, name: str, version: str, *providers: str, cuda: str = "") -> None:
        """Writes the files of one onnxruntime package over those of another, as pip does."""
        built = f"package_name = '{name}'\n__version__ = '{version}'\n"
        if cuda:
            built += f"cuda_version = '{cuda}'\n"
        named = [f"{provider}ExecutionProvider" for provider in (*providers, "CPU")]
        self.write(
            {
                "onnxruntime/__init__.py": ORT.format(version=version, providers=named),
                "onnxruntime/capi/build_and_package_info.py": built,
                f"onnxruntime/capi/libonnxruntime.so.{version}": CONTENT,
            }
        )
        record = {
            "onnxruntime/__init__.py": 1,
            f"onnxruntime/capi/libonnxruntime.so.{version}": len(CONTENT),
        }
        self.distribution(name, version, record)

    def borrow(self, *packages: str) -> None:
        """Adds real packages of our own environment."""
        for package in packages:
            (self.site / package).symlink_to(SITE / package)

    def facts(self) -> EnvironmentFacts:
        return probe.ask(self.python)


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    folder = tmp_path / "venv"
    venv.create(folder, symlinks=True)
    return Planted(folder)


@pytest.fixture(scope="session")
def own() -> EnvironmentFacts:
    """The facts of the environment that the tests run in."""
    return probe.ask(Path(sys.executable), [each.name for each in requirements.requirements()])


FLAGS = ("-shared", "-fPIC", "-nostdlib", "-Wl,--no-as-needed")
Compile = Callable[..., Path]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """Makes a shared library: its path, its source, the libraries that it needs."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a library with")

    def make(library: Path, source: str = "int f(void) { return 0; }", *needs: Path) -> Path:
        library.parent.mkdir(parents=True, exist_ok=True)
        file = tmp_path / f"{library.name}.c"
        file.write_text(source)
        subprocess.run(
            [compiler, *FLAGS, f"-Wl,-soname,{library.name}", "-o", library, file, *needs],
            check=True,
        )
        return library

    return make
