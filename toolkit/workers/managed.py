"""Makes environments: one for a runtime and a version, in the user's cache folder.

M1  Whole or not at all: what a killed installation left counts as nothing and goes with the next
    command. Two installations of one environment at once: the second waits and finds it there.
M2  Every package is pinned. Another version of the runtime replaces every pin of the same version:
    the parts of one library belong together.
M3  What an installation starts ends with its parent: nothing fills a folder that nobody waits for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.errors import (
    LONGEST,
    DiskFull,
    EnvironmentFault,
    InputError,
    full_disk,
    lines,
    unknown,
)
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.units import Bytes
from toolkit.workers import cache, environments, guard, node
from toolkit.workers.environments import Environment

_PIN = re.compile(r"(?P<package>[\w.-]+)(?P<extras>\[[\w,-]+\])?==(?P<version>\S+)")


@dataclass(frozen=True)
class Recipe:
    """The packages that an environment is made from."""

    name: str
    """As the user types it: 'openvino', 'onnxruntime-gpu'."""
    runtime: str
    providers: tuple[str, ...]
    """The providers to which it brings the runtime."""
    requirements: tuple[str, ...]
    """Each pinned, the runtime's own package first."""
    licence: str

    @property
    def version(self) -> str:
        """The version of the runtime's own package."""
        return _pin(self.requirements[0])["version"]

    @property
    def folder(self) -> Path:
        """The folder of its environment, there or not: other pins and other Pythons have others."""
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        digest = hashlib.sha256("\n".join([python, *self.requirements]).encode()).hexdigest()[:8]
        return folder() / f"{self.name}-{self.version}-{digest}"

    def at(self, version: str) -> Recipe:
        """The recipe for another version of the runtime (M2)."""
        same = f"=={self.version}"
        pins = tuple(
            pin.removesuffix(same) + f"=={version}" if pin.endswith(same) else pin
            for pin in self.requirements
        )
        return replace(self, requirements=pins)


@dataclass(frozen=True)
class Installed:
    """An environment that is there, whole."""

    name: str
    runtime: str
    version: str
    folder: Path
    size: Bytes


def folder() -> Path:
    """The folder of all environments."""
    return cache.root() / "environments"


def conversions() -> Path:
    """The folder of the forms that runtimes made of models."""
    return cache.root() / "conversions"


def clear() -> tuple[int, Bytes]:
    """Removes all kept conversions; returns their number and their size."""
    kept = [*conversions().glob("[!.]*")]
    size = sum(map(cache.size, kept))
    for conversion in kept:
        cache.remove(conversion)
    return len(kept), size


def recipes() -> dict[str, Recipe]:
    """The recipes of all that can be installed, by name."""
    known = {}
    for name in listing.BUILT_IN:
        runtime = listing.facts(listing.find(name))
        if runtime is None or not runtime.requirements:
            continue
        providers = base.providers(runtime)
        shared = tuple(provider.name for provider in providers if not provider.requirements)
        known[name] = Recipe(name, name, shared, runtime.requirements, runtime.licence)
        for provider in providers:
            if pins := provider.requirements:
                package = _pin(pins[0])["package"]
                known[package] = Recipe(package, name, (provider.name,), pins, runtime.licence)
    return known


def parse(text: str) -> Recipe:
    """The recipe that NAME[@VERSION] names. Raises InputError for an unknown one."""
    name, at, version = text.partition("@")
    known = recipes()
    if name not in known:
        if name in listing.names():
            raise InputError(f"{name} comes with toolkit itself or with a plug-in")
        raise InputError(unknown("runtime", name, known))
    if at and not re.fullmatch(r"\d[\w.+-]*", version):
        raise InputError(f"{text!r} is not of the form NAME[@VERSION]", f"for example {name}@1.2.3")
    return known[name].at(version) if at else known[name]


def install(recipe: Recipe) -> tuple[Installed, bool]:
    """Makes the environment or finds it; returns it, and whether it was there (M1).

    Raises EnvironmentFault where pip or npm cannot install it, with its own reason.
    """
    sweep()

    def make(empty: Path) -> dict[str, Any]:
        _make(empty, recipe)
        return {
            "name": recipe.name,
            "runtime": recipe.runtime,
            "version": recipe.version,
            "size": cache.size(empty),
        }

    facts, known = cache.made(recipe.folder, make)
    return _installed(recipe.folder, facts), known


def remove(name: str, version: str | None = None) -> list[Installed]:
    """Removes the environments of a name, all versions or one; returns them.

    Raises InputError where there is none.
    """
    present = installed()
    removed = [env for env in present if env.name == name and version in (None, env.version)]
    if not removed:
        asked = f"{name}@{version}" if version else name
        names = ", ".join(sorted({env.name for env in present}))
        choices = f"; there are: {names}" if names else ""
        raise InputError(f"there is no environment {asked} to remove{choices}")
    for environment in removed:
        cache.remove(environment.folder)
    sweep()
    return removed


def installed() -> list[Installed]:
    """All environments that are there, by name, the newest version of each first."""
    whole = [
        _installed(path, facts)
        for path in sorted(folder().glob("[!.]*"))
        if (facts := cache.facts(path)) is not None
    ]
    # Two sorts, since the second keeps the order of the first among equal names.
    newest = sorted(whole, key=lambda environment: _order(environment.version), reverse=True)
    return sorted(newest, key=lambda environment: environment.name)


def sweep() -> None:
    """Removes what killed installations and conversions left, but for those at work (M1)."""
    for path in [*folder().glob("[!.]*"), *conversions().glob("[!.]*")]:
        if cache.facts(path) is None:
            with _lock_if_free(path) as free:
                # Looked at again: it may have been finished before the lock was held.
                if free and cache.facts(path) is None:
                    shutil.rmtree(path, ignore_errors=True)


def home(
    entry: RuntimeEntry, provider: str, version: str = "", env: str | None = None
) -> Environment:
    """The environment in which a target runs: the user's, or toolkit's own where the library is
    installed there, or one that toolkit made.

    Raises EnvironmentFault where there is none, with the command that makes it.
    """
    if env is not None:
        return environments.of(entry, env)
    runtime = listing.facts(entry)
    if runtime is None or not runtime.requirements:
        if version:
            raise EnvironmentFault(
                f"{entry.name}@{version}: toolkit makes no environments for {entry.name}",
                f"--target '{entry.name},env=FOLDER'    runs it from an environment of yours",
            )
        return environments.find(None)
    if _is_own(runtime, provider, version):
        return environments.find(None)
    if newest := _newest(runtime, provider, version):
        return environments.of(entry, str(newest.folder), newest.folder.name)
    if not version and listing.provider(entry, provider).requirements:
        # The library that is here says what it lacks, and how to get it.
        return environments.find(None)
    named = f"@{version}" if version else ""
    what, package = f"{entry.name}{named}", f"{_recipe_name(runtime, provider)}{named}"
    cure = f"toolkit runtimes install {package}    installs it, in an environment of its own"
    if version and entry.language == "javascript":
        locked = recipes()[entry.name].version
        cure = f"--target {entry.name}    measures {locked}, which toolkit's lock file has"
    raise EnvironmentFault(f"{what} is not installed", cure)


def is_installed(runtime: type[RuntimeFacts], provider: str, version: str = "") -> bool:
    """Tells whether a target of this runtime has an environment; one that needs none always has."""
    return (
        not runtime.requirements
        or _is_own(runtime, provider, version)
        or _newest(runtime, provider, version) is not None
    )


def recipe_for(runtime: type[RuntimeFacts], provider: str) -> Recipe:
    """The recipe that brings a runtime to a provider."""
    return recipes()[_recipe_name(runtime, provider)]


def _is_own(runtime: type[RuntimeFacts], provider: str, version: str) -> bool:
    """Tells whether toolkit's own environment has the runtime, in this version if one is named."""
    own_version = installed_here(runtime, provider)
    return own_version is not None and version in ("", own_version)


def _newest(runtime: type[RuntimeFacts], provider: str, version: str) -> Installed | None:
    """The environment that was made for the runtime, of this version or of the newest."""
    name = _recipe_name(runtime, provider)
    fitting = (env for env in installed() if env.name == name and version in ("", env.version))
    return next(fitting, None)


def installed_here(runtime: type[RuntimeFacts], provider: str) -> str | None:
    """The version of the runtime in toolkit's own environment; None where it has none."""
    package = _own_package(runtime, provider)
    for distribution in [package] if package else runtime.distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def _recipe_name(runtime: type[RuntimeFacts], provider: str) -> str:
    return _own_package(runtime, provider) or runtime.name


def _own_package(runtime: type[RuntimeFacts], name: str) -> str:
    """The package in which a provider comes alone; empty: it comes with the runtime's."""
    pins = next((p.requirements for p in base.providers(runtime) if p.name == name), ())
    return _pin(pins[0])["package"] if pins else ""


def _pin(requirement: str) -> re.Match[str]:
    pin = _PIN.fullmatch(requirement)
    assert pin is not None, f"{requirement!r} is no pin"  # A rule of our own files, M2.
    return pin


def _installed(path: Path, facts: dict[str, Any]) -> Installed:
    return Installed(facts["name"], facts["runtime"], facts["version"], path, facts["size"])


def _order(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _make(empty: Path, recipe: Recipe) -> None:
    # pip and npm unpack into the folder for temporary files, and remove nothing there when they are
    # ended. One of its own goes after ^C, too.
    with tempfile.TemporaryDirectory(prefix="toolkit-", ignore_cleanup_errors=True) as scratch:
        if listing.find(recipe.runtime).language == "javascript":
            _make_of_npm(empty, recipe, scratch)
        else:
            _make_of_pip(empty, recipe, scratch)


def _make_of_npm(empty: Path, recipe: Recipe, scratch: str) -> None:
    """Installs what the lock file says, which is one version (M2)."""
    locked = recipes()[recipe.name]
    if recipe != locked:
        raise EnvironmentFault(
            f"{recipe.name}@{recipe.version}: toolkit's lock file has {locked.version} only",
            f"--target '{recipe.name},env=FOLDER'    runs another from a folder of yours",
        )
    node.install(empty, recipe.name, scratch)


def _make_of_pip(empty: Path, recipe: Recipe, scratch: str) -> None:
    variables = {**environments.variables(0), "TMPDIR": scratch}
    _make_venv(empty, recipe, variables)
    command = [str(empty / "bin" / "python"), "-I", "-m", "pip", "install"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    pip = guard.run([*command, *quiet, *recipe.requirements], env=variables)
    if pip.returncode:
        reason = _reason(pip.stderr)
        what = f"{recipe.name}@{recipe.version} was not installed"
        _demand_room(empty, what, pip.stderr)
        raise EnvironmentFault(f"{what}: {reason}", _cure(recipe, reason))


def _make_venv(empty: Path, recipe: Recipe, variables: dict[str, str]) -> None:
    """Makes a venv with pip (M3).

    In two steps: venv by itself keeps what ensurepip says, and tells its exit code alone.
    """
    python = str(empty / "bin" / "python")
    steps = (
        [sys.executable, "-I", "-m", "venv", "--without-pip", str(empty)],
        [python, "-I", "-m", "ensurepip", "--default-pip"],
    )
    for command in steps:
        done = guard.run(command, env=variables)
        if done.returncode:
            output = done.stderr or done.stdout
            what = f"{recipe.name}@{recipe.version} was not installed: no venv could be made"
            _demand_room(empty, what, output)
            lacks = "No module named ensurepip" in output or "No module named venv" in output
            raise EnvironmentFault(
                f"{what}: {_reason(output)}",
                "apt install python3-venv    brings Python's ensurepip"
                if lacks
                else "toolkit doctor    says whether the disk or the network is at fault",
            )


def _demand_room(folder: Path, what: str, output: str) -> None:
    """Raises DiskFull where a program says so: its other lines are what came of it."""
    if (full := full_disk(output, folder)) is not None:
        cure = "TOOLKIT_CACHE=FOLDER toolkit …    takes a folder with room"
        raise DiskFull(f"{what}: {full.what}", *full.cures, cure)


def _cure(recipe: Recipe, reason: str) -> str:
    usual = recipes().get(recipe.name, recipe)
    if "No matching distribution" in reason and usual != recipe:
        return f"toolkit runtimes install {recipe.name}    installs {usual.version}"
    return "toolkit doctor    says whether the disk or the network is at fault"


def _reason(output: str) -> str:
    """pip's last error, which is the cause: pages of attempts stand before it."""
    words = lines(output)
    errors = [line.removeprefix("ERROR: ") for line in words if line.startswith("ERROR")]
    return (errors or words or ["pip said nothing"])[-1][:LONGEST]


@contextlib.contextmanager
def _lock_if_free(path: Path) -> Iterator[bool]:
    """Holds the lock of a folder if no other process does, and tells whether it holds it."""
    lock = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)
