"""Fills an environment with the packages of a lock, by pip.

P1  Nothing is installed whose hash is not in the lock, but for what K2 of workers/locks.py names
    and what such a build needs for itself alone (the CUDA libraries of a PyTorch for CUDA).
P2  Wheels only: nothing that pip downloads is run before it is compared and installed.
P3  A version that no lock is for is resolved first, and becomes a lock: the same two steps follow.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import LONGEST, DiskFull, EnvironmentFault, full_disk, lines
from toolkit.workers import environments, guard, locks
from toolkit.workers.locks import Lock

_MISMATCH = "DO NOT MATCH THE HASHES"
"""pip's own words above the files that it refused."""
_REFUSED = re.compile(r"^\s+(?P<pin>[\w.-]+==\S+?)[: ].*\n\s+Expected sha256", re.MULTILINE)
HASH_CURE = (
    "pip config list    shows from where your pip takes files: the hashes are those of PyPI's"
)


@dataclass(frozen=True)
class InstalledPackage:
    """A package that pip put into an environment."""

    name: str
    version: str
    digest: str
    """The digest of the very file that was installed: 'sha256:…', 'sha512:…'."""
    was_hashed: bool
    """The file was compared with a hash of the lock before it was installed."""


@dataclass(frozen=True)
class Filling:
    """The content of an environment that was just filled."""

    lock: Lock
    packages: tuple[InstalledPackage, ...]


def fill(folder: Path, requirements: Sequence[str], lock: Lock | None, scratch: str) -> Filling:
    """Makes an environment in an empty folder and installs the lock; None: resolves it first (P3).

    The lock is kept in the folder as `locks.FILE`, and pip unpacks below `scratch`. Raises
    EnvironmentFault with pip's reason, and DiskFull where that is one.
    """
    pins, unhashed, options = locks.split(requirements)
    pip = _Pip(folder, scratch)
    pip.make_venv()
    plain = []
    if unhashed:
        plain += pip.install([*options, "--no-deps", *unhashed], was_hashed=False)
    lock = lock or _resolved(pip, pins, unhashed, options)
    file = folder / locks.FILE
    file.write_text(lock.text, "utf-8")
    checked = pip.install(
        [*options, "--no-deps", "--require-hashes", "-r", str(file)], was_hashed=True
    )
    if unhashed and (needs := _own_needs(folder, unhashed)):
        plain += pip.install([*_constrained(folder, lock), *needs], was_hashed=False)
    packages = sorted([*plain, *checked], key=lambda package: package.name)
    return Filling(lock, tuple(packages))


def site(folder: Path) -> Path:
    """The folder of the packages of an environment that this Python made."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / python / "site-packages"


@dataclass(frozen=True)
class _Pip:
    """The pip of an environment, and the folder that it unpacks in."""

    folder: Path
    scratch: str

    def make_venv(self) -> None:
        """Makes a venv with pip (M3 of managed.py).

        In two steps: venv by itself keeps what ensurepip says, and tells its exit code alone.
        """
        python = str(self.folder / "bin" / "python")
        steps = (
            [sys.executable, "-I", "-m", "venv", "--without-pip", str(self.folder)],
            [python, "-I", "-m", "ensurepip", "--default-pip"],
        )
        for command in steps:
            done = guard.run(command, env=self._variables)
            if done.returncode:
                output = done.stderr or done.stdout
                what = "no venv could be made"
                self._demand_room(what, output)
                lacks = "No module named ensurepip" in output or "No module named venv" in output
                raise EnvironmentFault(
                    f"{what}: {_reason(output)}",
                    "apt install python3-venv    brings Python's ensurepip"
                    if lacks
                    else "toolkit doctor    says whether the disk or the network is at fault",
                )

    def install(self, arguments: Sequence[str], *, was_hashed: bool) -> list[InstalledPackage]:
        """Installs packages, wheels only (P2); returns them."""
        return _packages(self.report(arguments), was_hashed=was_hashed)

    def report(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Runs `pip install`; returns its report. Raises EnvironmentFault with its reason."""
        python = str(self.folder / "bin" / "python")
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        report = Path(self.scratch) / "report.json"
        command = [python, "-I", "-m", "pip", "install", *quiet, "--only-binary", ":all:"]
        done = guard.run([*command, "--report", str(report), *arguments], env=self._variables)
        if done.returncode:
            self._demand_room("", done.stderr)
            raise _fault(done.stderr)
        content: dict[str, Any] = json.loads(report.read_text("utf-8"))
        return content

    @property
    def _variables(self) -> dict[str, str]:
        return {**environments.variables(0), "TMPDIR": self.scratch}

    def _demand_room(self, what: str, output: str) -> None:
        """Raises DiskFull where a program says so: its other lines are what came of it."""
        if (full := full_disk(output, self.folder)) is not None:
            cure = "TOOLKIT_CACHE=FOLDER toolkit …    takes a folder with room"
            raise DiskFull(f"{what}: {full.what}" if what else full.what, *full.cures, cure)


def _resolved(
    pip: _Pip, pins: Sequence[str], unhashed: Sequence[str], options: Sequence[str]
) -> Lock:
    """The lock of what pip would install today: for this Python and this platform alone."""
    report = pip.report([*options, "--dry-run", *pins, *unhashed])
    head = f"Resolved by pip for this Python and this platform, from {' '.join(pins)}."
    files = [(p.name, p.version, p.digest) for p in _packages(report, was_hashed=True)]
    return locks.written(files, head)


def _own_needs(folder: Path, unhashed: Sequence[str]) -> list[str]:
    """The requirements that a build without a hash has beyond the lock: those of a PyTorch for CUDA
    are its libraries, which no other build needs."""
    from packaging.requirements import Requirement

    distributions = [*importlib.metadata.distributions(path=[str(site(folder))])]
    present = {locks.canonical(each.name) for each in distributions}
    names = {locks.name_of(pin) for pin in unhashed}
    needs = [
        Requirement(text)
        for each in distributions
        if locks.canonical(each.name) in names
        for text in each.requires or []
    ]
    return [
        str(need)
        for need in needs
        if locks.canonical(need.name) not in present
        and (need.marker is None or need.marker.evaluate({"extra": ""}))
    ]


def _constrained(folder: Path, lock: Lock) -> list[str]:
    """Options by which pip leaves the packages of the lock in their versions."""
    file = folder / "constraints.txt"
    file.write_text("".join(f"{p.name}=={p.version}\n" for p in lock.here), "utf-8")
    return ["--constraint", str(file)]


def _packages(report: dict[str, Any], *, was_hashed: bool) -> list[InstalledPackage]:
    """The packages of pip's report; the addresses of their files stay out (K3)."""
    return [
        InstalledPackage(
            locks.canonical(item["metadata"]["name"]),
            item["metadata"]["version"],
            "sha256:" + item["download_info"]["archive_info"]["hashes"]["sha256"],
            was_hashed,
        )
        for item in report["install"]
    ]


def _fault(output: str) -> EnvironmentFault:
    if _MISMATCH in output:
        refused = [match["pin"] for match in _REFUSED.finditer(output)]
        names = ", ".join(refused) or "a package"
        return EnvironmentFault(f"the file of {names} has none of the lock's hashes", HASH_CURE)
    return EnvironmentFault(_reason(output))


def _reason(output: str) -> str:
    """pip's last error, which is the cause: pages of attempts stand before it."""
    words = lines(output)
    errors = [line.removeprefix("ERROR: ") for line in words if line.startswith("ERROR")]
    return (errors or words or ["pip said nothing"])[-1][:LONGEST]
