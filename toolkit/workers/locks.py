"""Reads lock files: all packages of an environment, each pinned, with the hashes of its files.

K1  A lock names everything that is installed, in the form of pip's requirements with `--hash`, and
    holds for every Python and platform that its head names: `make locks` compiles it.
K2  UNHASHED packages stand in no lock. Their builds differ from place to place, so no hash holds
    everywhere: they are installed by their version alone, and whoever lists the packages of an
    environment says so.
K3  No address of an index stands in a lock: files are taken from wherever pip is told to look, and
    their hashes say whether they are the right ones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "locks"
"""The locks of the runtimes, each called by the name that `toolkit runtimes install` takes."""
FILE = "requirements.lock"
"""The lock's name inside an environment that was made from it."""
UNHASHED = ("torch",)
"""A CPU build of PyTorch has another hash, and another local version, at every place it is from."""

_HASH = re.compile(r"--hash=(?P<algorithm>\w+):(?P<digest>[0-9a-f]+)")


@dataclass(frozen=True)
class LockedPackage:
    """One package of a lock."""

    name: str
    """As package indexes compare it: lower case, with hyphens."""
    version: str
    marker: str
    """The Pythons and platforms on which it is installed, as PEP 508 writes them; '': all."""
    sha256: tuple[str, ...]
    """The digests of all its files, any of which may be installed."""
    needed_by: tuple[str, ...]
    """The packages of the lock that need it."""


@dataclass(frozen=True)
class Lock:
    """The text of a lock file."""

    text: str

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the lock without comments: what is said about it changes no package."""
        lines = [line for line in self.text.splitlines() if not line.lstrip().startswith("#")]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @cached_property
    def packages(self) -> tuple[LockedPackage, ...]:
        """All packages, also those of other platforms; one may stand there in several versions."""
        return tuple(_package(entry) for entry in _entries(self.text))

    @property
    def here(self) -> tuple[LockedPackage, ...]:
        """The packages for this Python and this platform."""
        return tuple(package for package in self.packages if _applies(package.marker))


def read(file: Path) -> Lock:
    """Reads a lock. Raises OSError where the file cannot be read."""
    return Lock(file.read_text("utf-8"))


def canonical(name: str) -> str:
    """A package's name as indexes compare it: 'ml_dtypes' is 'ml-dtypes'."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(pin: str) -> str:
    """The canonical name of the package that a pin is for: 'onnxruntime-gpu[cuda]==1.31.1'."""
    return canonical(re.split(r"[\[=]", pin, maxsplit=1)[0])


def split(requirements: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Splits requirements into pins with hashes, pins without (K2), and options of pip."""
    options = [each for each in requirements if each.startswith("-")]
    pins = [each for each in requirements if not each.startswith("-")]
    unhashed = [pin for pin in pins if name_of(pin) in UNHASHED]
    return [pin for pin in pins if pin not in unhashed], unhashed, options


def written(packages: Iterable[tuple[str, str, str]], head: str) -> Lock:
    """The lock of files, each (name, version, 'sha256:…'), below a comment."""
    lines = [f"# {line}" for line in head.splitlines()]
    for name, version, digest in sorted(packages):
        lines += [f"{canonical(name)}=={version} \\", f"    --hash={digest}"]
    return Lock("\n".join(lines) + "\n")


def alone(lock: Lock, name: str) -> Lock:
    """The lock of one package, without those that it needs."""
    (package,) = (package for package in lock.here if package.name == canonical(name))
    hashes = [f"--hash=sha256:{digest}" for digest in package.sha256]
    return Lock(" \\\n    ".join([f"{package.name}=={package.version}", *hashes]) + "\n")


def _entries(text: str) -> list[list[str]]:
    """The lines of each package: its pin first, then its hashes and the comments below it."""
    entries: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith((" ", "\t")) and entries:
            entries[-1].append(line.strip())
        elif line and not line.startswith("#"):
            entries.append([line])
    return entries


def _applies(marker: str) -> bool:
    from packaging.markers import Marker

    return not marker or Marker(marker).evaluate({"extra": ""})


def _package(entry: list[str]) -> LockedPackage:
    from packaging.requirements import Requirement

    head, *below = entry
    requirement = Requirement(head.rstrip(" \\"))
    (specifier,) = requirement.specifier
    comments = " ".join(line.lstrip("# ") for line in below if line.startswith("#"))
    reasons = comments.removeprefix("via ").replace(",", " ").split()
    return LockedPackage(
        name=canonical(requirement.name),
        version=specifier.version,
        marker=str(requirement.marker or ""),
        sha256=tuple(match["digest"] for line in below if (match := _HASH.match(line))),
        needed_by=tuple(canonical(word) for word in reasons if not word.startswith("-")),
    )
