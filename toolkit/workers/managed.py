"""Environments that toolkit makes: one for a runtime and a version, in the user's cache folder.

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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.errors import LONGEST, EnvironmentFault, InputError, lines, unknown
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.units import Bytes
from toolkit.workers import cache, environments, guard, node
from toolkit.workers.environments import Environment

_PIN = re.compile(r"(?P<package>[\w.-]+)(?P<extras>\[[\w,-]+\])?==(?P<version>\S+)")


@dataclass(frozen=True)
class Recipe:
    """What an environment is made from."""

    name: str
    """As the user types it: 'openvino', 'onnxruntime-gpu'."""
    runtime: str
    providers: tuple[str, ...]
    """What it brings the runtime to."""
    requirements: tuple[str, ...]
    """Pinned; the runtime's own package first."""
    licence: str

    @property
    def version(self) -> str:
        """Of the runtime's own package."""
        return _pin(self.requirements[0])["version"]

    @property
    def folder(self) -> Path:
        """Where its environment lies, or will: other pins or another Python have another."""
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
    """Where all of them lie."""
    return cache.root() / "environments"


def conversions() -> Path:
    """Where the forms lie that runtimes made of models."""
    return cache.root() / "conversions"


def clear() -> tuple[int, Bytes]:
    """Removes all kept conversions: how many, and what they took."""
    kept = [*conversions().glob("[!.]*")]
    size = sum(map(cache.size, kept))
    for place in kept:
        cache.remove(place)
    return len(kept), size


def recipes() -> dict[str, Recipe]:
    """All that can be installed, by name."""
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
    """The recipe that NAME[@VERSION] names. Raises InputError."""
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
    """Makes the environment, or finds it; and whether it was there (M1).

    Raises EnvironmentFault where pip or npm cannot install it, with its own reason.
    """
    sweep()

    def make(place: Path) -> dict[str, Any]:
        _make(place, recipe)
        return {
            "name": recipe.name,
            "runtime": recipe.runtime,
            "version": recipe.version,
            "size": cache.size(place),
        }

    facts, there = cache.made(recipe.folder, make)
    return _installed(recipe.folder, facts), there


def remove(name: str, version: str | None = None) -> list[Installed]:
    """Removes the environments of a name, all versions or one. Raises InputError for none."""
    gone = [one for one in installed() if one.name == name and version in (None, one.version)]
    if not gone:
        known = {one.name for one in installed()}
        there = f"; there are: {', '.join(sorted(known))}" if known else ""
        raise InputError(
            f"there is no environment {name}{f'@{version}' if version else ''} to remove{there}"
        )
    for one in gone:
        cache.remove(one.folder)
    sweep()
    return gone


def installed() -> list[Installed]:
    """All environments that are there, the newest version of each name first."""
    found = [
        _installed(place, facts)
        for place in sorted(folder().glob("[!.]*"))
        if (facts := cache.facts(place)) is not None
    ]
    newest = sorted(found, key=lambda one: _order(one.version), reverse=True)
    return sorted(newest, key=lambda one: one.name)


def sweep() -> None:
    """Removes what killed installations and conversions left, but for those at work (M1)."""
    for place in [*folder().glob("[!.]*"), *conversions().glob("[!.]*")]:
        if cache.facts(place) is None:
            with _unheld(place) as free:
                if free and cache.facts(place) is None:
                    shutil.rmtree(place, ignore_errors=True)


def home(
    listed: RuntimeEntry, provider: str, version: str = "", env: str | None = None
) -> Environment:
    """The environment in which a target runs: the user's, toolkit's own where the library is
    installed there, else one that was made.

    Raises EnvironmentFault where there is none, with the command that makes it.
    """
    if env is not None:
        return environments.of(listed, env)
    runtime = listing.facts(listed)
    if runtime is None or not runtime.requirements:
        if version:
            raise EnvironmentFault(
                f"{listed.name}@{version}: toolkit makes no environments for {listed.name}",
                f"--target '{listed.name},env=FOLDER'    runs it from an environment of yours",
            )
        return environments.find(None)
    found = _found(runtime, provider, version)
    if found is not None:
        if found.folder is None:
            return environments.find(None)
        return environments.of(listed, str(found.folder), found.folder.name)
    if not version and listing.provider(listed, provider).requirements:
        # The library that is here says what it lacks, and how to get it.
        return environments.find(None)
    what = f"{listed.name}@{version}" if version else listed.name
    cure = f"toolkit runtimes install {what}    installs it, in an environment of its own"
    if version and listed.language == "javascript":
        locked = recipes()[listed.name].version
        cure = f"--target {listed.name}    measures {locked}, which toolkit's lock file has"
    raise EnvironmentFault(f"{what} is not installed", cure)


def is_installed(runtime: type[RuntimeFacts], provider: str, version: str = "") -> bool:
    """Whether a target of this runtime has an environment; one that needs none always has."""
    return not runtime.requirements or _found(runtime, provider, version) is not None


def recipe_for(runtime: type[RuntimeFacts], provider: str) -> Recipe:
    """What brings a runtime to a provider."""
    return recipes()[_recipe_name(runtime, provider)]


@dataclass(frozen=True)
class _Place:
    folder: Path | None
    """None: toolkit's own environment."""


def _found(runtime: type[RuntimeFacts], provider: str, version: str) -> _Place | None:
    here = installed_here(runtime, provider)
    if here is not None and version in ("", here):
        return _Place(None)
    name = _recipe_name(runtime, provider)
    able = [one for one in installed() if one.name == name and version in ("", one.version)]
    return _Place(able[0].folder) if able else None


def installed_here(runtime: type[RuntimeFacts], provider: str) -> str | None:
    """The version of the runtime in toolkit's own environment; None where it is not there."""
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
    found = _PIN.fullmatch(requirement)
    assert found is not None, f"{requirement!r} is no pin"  # A rule of our own files, M2.
    return found


def _installed(place: Path, facts: dict[str, Any]) -> Installed:
    return Installed(facts["name"], facts["runtime"], facts["version"], place, facts["size"])


def _order(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _make(place: Path, recipe: Recipe) -> None:
    if listing.find(recipe.runtime).language == "javascript":
        _make_of_npm(place, recipe)
    else:
        _make_of_pip(place, recipe)


def _make_of_npm(place: Path, recipe: Recipe) -> None:
    """What the lock file says, which is one version (M2)."""
    locked = recipes()[recipe.name]
    if recipe != locked:
        raise EnvironmentFault(
            f"{recipe.name}@{recipe.version}: toolkit's lock file has {locked.version} only",
            f"--target '{recipe.name},env=FOLDER'    runs another from a folder of yours",
        )
    node.install(place, recipe.name)


def _make_of_pip(place: Path, recipe: Recipe) -> None:
    variables = environments.variables(0)
    made = guard.run([sys.executable, "-I", "-m", "venv", str(place)], env=variables)  # M3
    if made.returncode:
        said = _reason(made.stderr or made.stdout)
        raise EnvironmentFault(f"{recipe.name}: no venv could be made: {said}")
    pip = [str(place / "bin" / "python"), "-I", "-m", "pip", "install"]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    done = guard.run([*pip, *quiet, *recipe.requirements], env=variables)
    if done.returncode:
        reason = _reason(done.stderr)
        raise EnvironmentFault(
            f"{recipe.name}@{recipe.version} was not installed: {reason}", _cure(recipe, reason)
        )


def _cure(recipe: Recipe, reason: str) -> str:
    usual = recipes().get(recipe.name, recipe)
    if "No matching distribution" in reason and usual != recipe:
        return f"toolkit runtimes install {recipe.name}    installs {usual.version}"
    return "toolkit doctor    says whether the disk or the network is at fault"


def _reason(said: str) -> str:
    """pip's last error: it tells the cause there, after pages of attempts."""
    spoken = lines(said)
    errors = [line.removeprefix("ERROR: ") for line in spoken if line.startswith("ERROR")]
    return (errors or spoken or ["pip said nothing"])[-1][:LONGEST]


@contextlib.contextmanager
def _unheld(place: Path) -> Iterator[bool]:
    """Holds the lock of a folder if nobody does."""
    lock = os.open(place.parent / f".{place.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)
