"""Asks an environment's Python what is in it. Nothing of it is imported into our own process."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.doctor import elf
from toolkit.errors import EnvironmentFault
from toolkit.units import Bytes, Seconds
from toolkit.workers.environments import variables

TIMEOUT: Seconds = 120.0
LIBRARIES = ("numpy", "torch", "onnxruntime")
"""What is imported to see whether it works."""
BOOT = "import sys; sys.path = [p for p in sys.path if p]; exec(sys.argv.pop(1))"
"""With -c Python looks in the current folder first: a user's torch.py would be examined. The switch
against that, -P, is not known to the Pythons that are too old, and those are to be named."""
CUDA_PROVIDER = "libonnxruntime_providers_cuda.so"

Answer = Mapping[str, Any]
"""What a process inside said; 'error': why it could not."""


@dataclass(frozen=True)
class Distribution:
    """A package that is installed, by its metadata."""

    name: str
    version: str
    owner: bool
    """It lists files in the folder onnxruntime."""
    binaries: Mapping[str, tuple[Bytes | None, Bytes | None]]
    """Shared library in that folder → size by its RECORD, and on disk."""

    @property
    def pinned(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def present(self) -> bool:
        """The binaries on disk are this package's own."""
        known = [(want, got) for want, got in self.binaries.values() if want is not None]
        return bool(known) and all(want == got for want, got in known)


@dataclass(frozen=True)
class PackageFolder:
    """A package's folder, as it lies there."""

    path: Path
    empty: bool
    """There is no __init__.py: `import` gives a name without anything in it."""
    built: Mapping[str, str]
    """What its maker wrote down: 'package_name', '__version__', 'cuda_version'."""


@dataclass(frozen=True)
class Cuda:
    """What ONNX Runtime's CUDA provider needs, against what is there."""

    needed: tuple[str, ...]
    """SONAMEs without which the provider does not load."""
    later: tuple[str, ...]
    """SONAMEs that some operators load when they first run."""
    errors: Mapping[str, str]
    """SONAME → why it does not load; empty: it does."""


@dataclass(frozen=True)
class EnvironmentFacts:
    """All that was asked of one environment."""

    python: Path
    own: bool
    """toolkit itself runs in it."""
    version: tuple[int, int, int]
    bits: int
    pip: bool
    managed: bool
    """The system's own: its pip refuses to install (PEP 668)."""
    distributions: tuple[Distribution, ...]
    onnxruntime: PackageFolder | None
    libraries: Mapping[str, Answer]
    """Of LIBRARIES: what their import said."""
    cuda: Cuda | None
    """None: no CUDA provider is installed."""
    driver: Answer

    def distribution(self, name: str) -> Distribution | None:
        return next((d for d in self.distributions if _normal(d.name) == _normal(name)), None)

    @property
    def runs(self) -> bool:
        """One onnxruntime is installed, and it imports."""
        return len(self.owners) == 1 and bool(self.libraries["onnxruntime"].get("version"))

    @property
    def owners(self) -> tuple[Distribution, ...]:
        """Who owns the folder onnxruntime; more than one destroy each other."""
        return tuple(found for found in self.distributions if found.owner)

    def run(self, arguments: str) -> str:
        """A command line for this Python."""
        return f"{shown(self.python)} {arguments}"

    def install(self, arguments: str) -> str:
        """A command line for its pip, and what brings pip where there is none."""
        return f"{self._before}{self._pip} install {arguments}"

    def replace(self, old: Iterable[str], new: str) -> str:
        """A command line that takes packages out and brings one in."""
        return (
            f"{self._before}{self._pip} uninstall -y {' '.join(old)} && {self._pip} install {new}"
        )

    @property
    def _pip(self) -> str:
        return ".venv/bin/python -m pip" if self.managed else self.run("-m pip")

    @property
    def _before(self) -> str:
        """What has to be done before pip can be asked."""
        if self.managed:
            return self.run("-m venv .venv && ")
        return "" if self.pip else self.run("-m ensurepip && ")


def ask(python: Path, names: Iterable[str] = ()) -> EnvironmentFacts:
    """Everything about the environment of this Python; `names` are packages to look up besides.

    Raises EnvironmentFault where the Python itself does not run.
    """
    first = query(python, "environment", *LIBRARIES, *names)
    if "error" in first:
        raise EnvironmentFault(f"{shown(python)} does not run: {first['error']}")
    folder = _folder(first["onnxruntime"])
    with ThreadPoolExecutor() as pool:
        driver = pool.submit(query, python, "driver")
        imported = pool.map(partial(query, python, "imported"), LIBRARIES)
        answers = dict(zip(LIBRARIES, imported, strict=True))
    return EnvironmentFacts(
        python=python,
        own=python == Path(sys.executable),
        version=(first["version"][0], first["version"][1], first["version"][2]),
        bits=first["bits"],
        pip=first["pip"],
        managed=first["managed"],
        distributions=tuple(_distribution(raw) for raw in first["distributions"]),
        onnxruntime=folder,
        libraries=answers,
        cuda=_cuda(python, folder, answers["onnxruntime"].get("later", []), first["nvidia"]),
        driver=driver.result(),
    )


def query(python: Path, *arguments: str) -> Answer:
    """What `inside.py` says to one question; a crash, a hang and nonsense are errors too."""
    source = Path(__file__).with_name("inside.py").read_text()
    environment = {**variables(0), "ORT_DISABLE_TELEMETRY": "1", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            [str(python), "-c", BOOT, source, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {TIMEOUT:.0f} s"}
    except OSError as error:
        return {"error": error.strerror or str(error)}
    lines = done.stdout.decode(errors="replace").splitlines()
    with contextlib.suppress(IndexError, ValueError):
        answer = json.loads(lines[-1])
        if isinstance(answer, dict):
            return answer
    return {"error": _end(done)}


def _end(done: subprocess.CompletedProcess[bytes]) -> str:
    """How a process ended that gave no answer."""
    words = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode < 0:
        return f"killed by {signal.Signals(-done.returncode).name}"
    return words[-1] if words else f"ended with exit code {done.returncode}"


def _distribution(raw: Mapping[str, Any]) -> Distribution:
    binaries = {name: (want, got) for name, (want, got) in raw["binaries"].items()}
    return Distribution(raw["name"], raw["version"], raw["owner"], binaries)


def _folder(raw: Mapping[str, Any]) -> PackageFolder | None:
    return PackageFolder(Path(raw["folder"]), raw["empty"], raw["built"]) if raw["folder"] else None


def _cuda(
    python: Path, folder: PackageFolder | None, later: Sequence[str], nvidia: Sequence[str]
) -> Cuda | None:
    library = folder and folder.path / "capi" / CUDA_PROVIDER
    if not library or not library.is_file():
        return None
    try:
        needed = elf.needed(library)
    except (OSError, ValueError) as error:
        return Cuda((library.name,), (), {library.name: f"{library.name}: {error}"})
    besides = tuple(name for name in later if name not in needed)
    places = (str(library.parent), *nvidia)
    answer = query(python, "libraries", *needed, *besides, "--", *places)
    if "error" in answer:
        answer = {library.name: str(answer["error"])}
    return Cuda(tuple(needed), besides, answer)


def shown(path: Path) -> str:
    """A path to paste: short where it can be, and without the user's name in it."""
    found = shutil.which("python")
    if found and Path(found).absolute() == path:
        return "python"
    if path.is_relative_to(Path.cwd()):
        return shlex.quote(str(path.relative_to(Path.cwd())))
    home = Path(os.path.expanduser("~"))  # Path.home() raises where the user has none.
    if path.is_relative_to(home):
        return "~/" + shlex.quote(str(path.relative_to(home)))
    return shlex.quote(str(path))


def _normal(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()
