"""Asks an environment's Python what is in it, and imports nothing of it into our own process."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.doctor import elf
from toolkit.errors import EnvironmentFault, signal_name
from toolkit.units import Bytes, Seconds
from toolkit.workers.environments import variables

TIMEOUT: Seconds = 120.0
"""The limit for one probe. Importing torch from a cold disk takes the longest."""
LIBRARIES = ("numpy", "torch", "onnxruntime")
"""Libraries that are imported to see whether they work."""
BOOT = "import sys; sys.path = [p for p in sys.path if p]; exec(sys.argv.pop(1))"
"""Starts `inside.py` without the current folder on the path, where Python looks first with -c: a
user's torch.py would be examined. The switch against that, -P, is not known to Pythons older than
3.11, and those must run this to be called too old."""
CUDA_PROVIDER = "libonnxruntime_providers_cuda.so"

Answer = Mapping[str, Any]
"""The JSON that a probe printed; its key 'error' says why there is no other."""


@dataclass(frozen=True)
class Distribution:
    """An installed package, as its metadata describes it."""

    name: str
    version: str
    owner: bool
    """It lists files in the folder onnxruntime."""
    binaries: Mapping[str, tuple[Bytes | None, Bytes | None]]
    """Shared library in that folder → its size by the package's RECORD, and on disk; None: not
    known, or not there."""

    @property
    def pinned(self) -> str:
        """The package and its version as pip takes them."""
        return f"{self.name}=={self.version}"

    @property
    def present(self) -> bool:
        """The binaries on disk are this package's own, as far as their sizes tell."""
        sizes = [(listed, size) for listed, size in self.binaries.values() if listed is not None]
        return bool(sizes) and all(listed == size for listed, size in sizes)


@dataclass(frozen=True)
class PackageFolder:
    """The folder of a package, whoever put it there."""

    path: Path
    empty: bool
    """There is no __init__.py: `import` gives a name without anything in it."""
    built: Mapping[str, str]
    """Notes that its build wrote into it: 'package_name', '__version__', 'cuda_version'."""


@dataclass(frozen=True)
class Cuda:
    """The libraries that ONNX Runtime's CUDA provider needs, and whether they load."""

    needed: tuple[str, ...]
    """SONAMEs without which the provider does not load."""
    later: tuple[str, ...]
    """SONAMEs that some operators load when they first run."""
    errors: Mapping[str, str]
    """SONAME → why it does not load; empty: it does."""


@dataclass(frozen=True)
class EnvironmentFacts:
    """All that an environment answered."""

    python: Path
    own: bool
    """toolkit itself runs in it."""
    version: tuple[int, int, int]
    bits: int
    pip: bool
    """pip is installed."""
    managed: bool
    """It is the system's own, whose pip refuses to install (PEP 668)."""
    distributions: tuple[Distribution, ...]
    onnxruntime: PackageFolder | None
    libraries: Mapping[str, Answer]
    """Name of LIBRARIES → what its import gave."""
    cuda: Cuda | None
    """None: no CUDA provider is installed."""
    driver: Answer
    """The answer of NVIDIA's driver."""

    def distribution(self, name: str) -> Distribution | None:
        """Returns the installed package of this name, however it is spelt."""
        return next((d for d in self.distributions if _normal(d.name) == _normal(name)), None)

    @property
    def runs(self) -> bool:
        """One onnxruntime is installed, and it imports."""
        return len(self.owners) == 1 and bool(self.libraries["onnxruntime"].get("version"))

    @property
    def owners(self) -> tuple[Distribution, ...]:
        """The packages that own the folder onnxruntime; more than one destroy each other."""
        return tuple(package for package in self.distributions if package.owner)

    def run(self, arguments: str) -> str:
        """Returns a command line for this Python."""
        return f"{shown(self.python)} {arguments}"

    def install(self, arguments: str) -> str:
        """Returns a command line that installs with its pip, after bringing pip where there is
        none."""
        return f"{self._before}{self._pip} install {arguments}"

    def replace(self, old: Iterable[str], new: str) -> str:
        """Returns a command line that removes packages and installs another."""
        return (
            f"{self._before}{self._pip} uninstall -y {' '.join(old)} && {self._pip} install {new}"
        )

    @property
    def _pip(self) -> str:
        return ".venv/bin/python -m pip" if self.managed else self.run("-m pip")

    @property
    def _before(self) -> str:
        """The beginning of a command line: it makes a pip that may install, where there is none."""
        if self.managed:
            return self.run("-m venv .venv && ")
        return "" if self.pip else self.run("-m ensurepip && ")


def ask(python: Path, names: Iterable[str] = ()) -> EnvironmentFacts:
    """Asks for everything about the environment of this Python; `names` are packages to look up
    besides.

    Raises EnvironmentFault where the Python itself does not run.
    """
    first = query(python, "environment", *LIBRARIES, *names)
    if "error" in first:
        raise EnvironmentFault(f"{shown(python)} does not run: {first['error']}")
    folder = _folder(first["onnxruntime"])
    # Each probe is a process that mostly waits for the disk.
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
    """Runs one probe of `inside.py` and returns its answer; a crash, a hang and nonsense give an
    'error' too."""
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
    return {"error": _ending(done)}


def _ending(done: subprocess.CompletedProcess[bytes]) -> str:
    """Says how a process ended that gave no answer: by its signal, its last line, or its code."""
    printed = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode < 0:
        return f"killed by {signal_name(-done.returncode)}"
    return printed[-1] if printed else f"ended with exit code {done.returncode}"


def _distribution(raw: Mapping[str, Any]) -> Distribution:
    binaries = {name: (listed, size) for name, (listed, size) in raw["binaries"].items()}
    return Distribution(raw["name"], raw["version"], raw["owner"], binaries)


def _folder(raw: Mapping[str, Any]) -> PackageFolder | None:
    return PackageFolder(Path(raw["folder"]), raw["empty"], raw["built"]) if raw["folder"] else None


def _cuda(
    python: Path, folder: PackageFolder | None, later: Sequence[str], nvidia: Sequence[str]
) -> Cuda | None:
    """Loads all that the CUDA provider needs, looking first where pip lays CUDA's libraries:
    `nvidia`. None: no CUDA provider is installed."""
    library = folder and folder.path / "capi" / CUDA_PROVIDER
    if not library or not library.is_file():
        return None
    try:
        needed = elf.needed(library)
    except (OSError, ValueError) as error:
        return Cuda((library.name,), (), {library.name: f"{library.name}: {error}"})
    besides = tuple(name for name in later if name not in needed)
    folders = (str(library.parent), *nvidia)
    answer = query(python, "libraries", *needed, *besides, "--", *folders)
    if "error" in answer:
        answer = {library.name: str(answer["error"])}
    return Cuda(tuple(needed), besides, answer)


def shown(path: Path) -> str:
    """Returns a path to paste: short where it can be, and without the user's name in it."""
    first = shutil.which("python")
    if first and Path(first).absolute() == path:
        return "python"
    if path.is_relative_to(Path.cwd()):
        return shlex.quote(str(path.relative_to(Path.cwd())))
    home = Path(os.path.expanduser("~"))  # Path.home() raises where the user has none.
    if path.is_relative_to(home):
        return "~/" + shlex.quote(str(path.relative_to(home)))
    return shlex.quote(str(path))


def _normal(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()
