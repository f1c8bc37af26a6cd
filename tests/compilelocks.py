"""Compiles the lock files of all environments that toolkit makes, and of deployed Python clients.

`make locks` runs it. What is pinned stands in each runtime's `requirements`; uv resolves what these
need for every Python and platform at once, and writes the hashes of all files of each version.
Packages that a lock has stay in their versions where they still fit; `make locks LOCKS=--upgrade`
takes the newest. At the end uv is asked, for each Python and processor, whether all of a lock has
wheels there: where not, the lock's head says so.

torch is kept out of the resolution (rule K2 of workers/locks.py); what torch itself needs is read
from the torch beside this program, which must have the pinned version.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from uv import find_uv_bin

from toolkit.deployment import listing as destinations
from toolkit.deployment import python as clients
from toolkit.runtimes import listing, target
from toolkit.workers import locks, recipes

PYTHONS = ("3.11", "3.12", "3.13")
PROCESSORS = ("x86_64", "aarch64")
LIBC = "manylinux_2_35"
"""Linux with glibc 2.35 or newer."""
ONNX2TF = "3.12"
"""The Python that onnx2tf asks for, though the part of it that is used runs on 3.11."""


@dataclass(frozen=True)
class Wanted:
    """One lock file, and the pins that it is compiled from."""

    file: Path
    requirements: tuple[str, ...]
    constraints: Path | None = None
    """A lock whose versions it takes."""

    @property
    def all_named(self) -> bool:
        """The pins are all that is installed: nothing is resolved."""
        return "--no-deps" in self.requirements


def wanted() -> list[Wanted]:
    """Every lock: those of the runtimes first, since those of clients take their versions."""
    of_runtimes = [
        Wanted(locks.FOLDER / f"{name}.txt", recipe.requirements)
        for name, recipe in recipes.known().items()
        if listing.find(recipe.runtime).language == "python"
    ]
    return [*of_runtimes, *of_clients()]


def of_clients() -> list[Wanted]:
    """The locks of the destinations that need only a part of their runtime's packages."""
    compiled_apart = []
    for name in destinations.NAMES:
        module = importlib.import_module(f"toolkit.deployment.destinations.{name}")
        if needed := getattr(module, "NEEDED", None):
            recipe = recipes.parse(target.parse(module.DESTINATION.form).runtime)
            wanted_names = {locks.canonical(each) for each in needed}
            pins = tuple(p for p in recipe.requirements if locks.name_of(p) in wanted_names)
            file = clients.LOCKS / f"{name}.txt"
            above = recipe.lock_file
            compiled_apart.append(Wanted(file, pins, above))
    return compiled_apart


def of_torch(pin: str) -> list[str]:
    """What every build of this torch needs, whatever it computes on."""
    version = pin.partition("==")[2]
    here = importlib.metadata.version("torch").partition("+")[0]
    if here != version:
        sys.exit(f"torch {here} is installed, and {pin} is pinned: its needs cannot be read")
    needs = [Requirement(text) for text in importlib.metadata.requires("torch") or []]
    # A build for CUDA asks for its libraries on Linux alone; those are no part of a lock (K2).
    return [str(need) for need in needs if not re.search("extra|platform", str(need.marker or ""))]


def compiled(lock: Wanted, uv: str, options: list[str]) -> None:
    """Writes one lock file."""
    pins, unhashed, _ = locks.split(lock.requirements)
    needs = [need for pin in unhashed for need in of_torch(pin)]
    with tempfile.TemporaryDirectory() as scratch:
        excluded = Path(scratch) / "excluded.txt"
        excluded.write_text("\n".join(locks.UNHASHED) + "\n")
        command = [uv, "pip", "compile", "-", "--output-file", str(lock.file), *options]
        command += ["--universal", "--python-version", ONNX2TF if lock.all_named else PYTHONS[0]]
        command += ["--generate-hashes", "--only-binary", ":all:", "--excludes", str(excluded)]
        command += ["--no-header", "--annotation-style", "line", "--quiet"]
        command += ["--no-deps"] if lock.all_named else []
        command += ["--constraints", str(lock.constraints)] if lock.constraints else []
        subprocess.run(command, input="\n".join([*pins, *needs]), text=True, check=True)
    # The lock whose versions it takes is no package that needs it.
    body = re.sub(r"(, )?-c \S+", "", lock.file.read_text("utf-8"))
    lock.file.write_text(head(lock) + body, "utf-8")
    without = [where for where in platforms() if not has_wheels(lock, uv, *where)]
    lock.file.write_text(head(lock, without) + body, "utf-8")


def platforms() -> list[tuple[str, str]]:
    return [(python, processor) for python in PYTHONS for processor in PROCESSORS]


def has_wheels(lock: Wanted, uv: str, python: str, processor: str) -> bool:
    """Asks uv whether all of a lock could be installed there; nothing is downloaded."""
    if lock.all_named and python == PYTHONS[0]:
        python = ONNX2TF  # uv cannot be told to ignore what onnx2tf asks for.
    with tempfile.TemporaryDirectory() as target:
        command = [uv, "pip", "install", "--dry-run", "--quiet", "--target", target]
        command += ["--python-version", python, "--python-platform", f"{processor}-{LIBC}"]
        command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock.file)]
        return subprocess.run(command, capture_output=True, text=True).returncode == 0


def head(lock: Wanted, without: list[tuple[str, str]] | None = None) -> str:
    """The comment above a lock: what it is from, and where it holds."""
    _, unhashed, _ = locks.split(lock.requirements)
    lines = [
        "Compiled by toolkit's `make locks` from the pins",
        *(f"  {each}" for each in lock.requirements),
        "The hashes are those of all files that PyPI has of each version. Each package has a wheel",
        f"for Python {', '.join(PYTHONS)} on {' and '.join(PROCESSORS)} Linux with glibc 2.35"
        + (", but for" if without else "."),
        *(f"  Python {python} on {processor}" for python, processor in without or []),
    ]
    if unhashed:
        lines.append(f"Installed before it by version alone, without a hash: {' '.join(unhashed)}")
    return "".join(f"# {line}\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="only the locks of these names")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    asked = parser.parse_args()
    # uv writes no address of an index, and reads no configuration of this machine.
    os.environ["UV_NO_CONFIG"] = "1"
    uv = find_uv_bin()
    for lock in wanted():
        if not asked.names or lock.file.stem in asked.names:
            lock.file.parent.mkdir(exist_ok=True)
            compiled(lock, uv, ["--upgrade"] if asked.upgrade else [])
            sys.stdout.write(f"{lock.file.parent.parent.name}/{lock.file.name}\n")


if __name__ == "__main__":
    main()
