"""Makes environments: one for a runtime and a version, in the user's cache folder.

M1  Whole or not at all: what a killed installation left counts as nothing and goes with the next
    command. Two installations of one environment at once: the second waits and finds it there.
M2  Every package is pinned, by a lock with hashes (workers/locks.py). Another version of the
    runtime replaces every pin of the same version: the parts of one library belong together.
M3  What an installation starts ends with its parent: nothing fills a folder that nobody waits for.
M4  An environment of an older lock is as good as none. The next installation removes it, unless a
    process uses it. Nor does `remove`, unless it is forced.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import DiskFull, EnvironmentFault, InputError
from toolkit.runtimes import listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.units import Bytes
from toolkit.workers import cache, environments, node, pip, recipes
from toolkit.workers.environments import Environment, PythonEnvironment
from toolkit.workers.node import NodeEnvironment
from toolkit.workers.pip import InstalledPackage
from toolkit.workers.recipes import Recipe


@dataclass(frozen=True)
class Installed:
    """An environment that is there, whole."""

    name: str
    runtime: str
    version: str
    folder: Path
    size: Bytes
    is_current: bool
    """It was made from the lock, and from the pins, that toolkit has today (M4)."""
    lock: str
    """The digest of the lock that it was made from."""
    packages: tuple[InstalledPackage, ...]

    @property
    def unhashed(self) -> list[str]:
        """The packages that were installed by their version alone, as pins."""
        return [f"{each.name}=={each.version}" for each in self.packages if not each.was_hashed]


@dataclass(frozen=True)
class CacheSizes:
    """The disk that the cache takes."""

    environments: Bytes
    older: Bytes
    """The part of it that the environments of older locks take."""
    conversions: Bytes


def conversions() -> Path:
    """The folder of the forms that runtimes made of models."""
    return cache.root() / "conversions"


def sizes() -> CacheSizes:
    """The size of all that is kept."""
    environments_there = installed()
    forms = [facts for path in conversions().glob("[!.]*") if (facts := cache.facts(path))]
    return CacheSizes(
        environments=sum(each.size for each in environments_there),
        older=sum(each.size for each in environments_there if not each.is_current),
        conversions=sum(facts["size"] for facts in forms),
    )


def clear() -> tuple[int, Bytes]:
    """Removes all kept conversions; returns their number and their size."""
    kept = [*conversions().glob("[!.]*")]
    size = sum(map(cache.size, kept))
    for conversion in kept:
        cache.remove(conversion)
    return len(kept), size


def install(recipe: Recipe) -> tuple[Installed, bool]:
    """Makes the environment or finds it; returns it, and whether it was there (M1).

    Raises EnvironmentFault where pip or npm cannot install it, with its own reason.
    """
    sweep()

    def make(empty: Path) -> dict[str, Any]:
        lock, packages = _make(empty, recipe)
        return {
            "name": recipe.name,
            "runtime": recipe.runtime,
            "version": recipe.version,
            "size": cache.size(empty),
            "recipe": recipe.digest,
            "lock": lock,
            "packages": [asdict(package) for package in packages],
        }

    facts, was_there = cache.made(recipe.folder, make)
    return _installed(recipe.folder, facts, is_current=True), was_there


def prune() -> list[Installed]:
    """Removes the environments of older locks in which no process runs; returns them (M4)."""
    older = [environment for environment in installed() if not environment.is_current]
    return [each for each in older if cache.remove_unless_used(each.folder)]


def remove(name: str, version: str | None = None, *, force: bool = False) -> list[Installed]:
    """Removes the environments of a name, all versions or one; returns them.

    Raises InputError where there is none, and EnvironmentFault where a process uses one: then all
    stay, unless `force` is given.
    """
    present = installed()
    removed = [env for env in present if env.name == name and version in (None, env.version)]
    if not removed:
        asked = f"{name}@{version}" if version else name
        names = ", ".join(sorted({env.name for env in present}))
        choices = f"; there are: {names}" if names else ""
        raise InputError(f"there is no environment {asked} to remove{choices}")
    with contextlib.ExitStack() as stack:
        for environment in removed:
            is_free = stack.enter_context(cache.kept_from_use(environment.folder))
            if not (is_free or force):
                raise _in_use(environment)
        for environment in removed:
            cache.remove(environment.folder)
    sweep()
    return removed


def _in_use(environment: Installed) -> EnvironmentFault:
    name = f"{environment.name}@{environment.version}"
    users = cache.users(environment.folder)
    verb = "uses" if len(users) == 1 else "use"
    return EnvironmentFault(
        f"{name} was not removed: {', '.join(users)} {verb} it",
        f"toolkit runtimes remove {name} --force    removes it all the same, and what runs in it"
        " may fail",
    )


def installed() -> list[Installed]:
    """All environments that are there, by name, the newest version of each first."""
    known = recipes.known()
    whole = [
        _installed(path, facts, is_current=_is_current(facts, known))
        for path in sorted(recipes.folder().glob("[!.]*"))
        if (facts := cache.facts(path)) is not None
    ]
    # Two sorts, since the second keeps the order of the first among equal names.
    newest = sorted(whole, key=lambda environment: _order(environment.version), reverse=True)
    return sorted(newest, key=lambda environment: environment.name)


def sweep() -> None:
    """Removes what killed installations and conversions left, but for those at work (M1)."""
    for path in [*recipes.folder().glob("[!.]*"), *conversions().glob("[!.]*")]:
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
    if used := _used(runtime, provider, version):
        return environments.of(entry, str(used.folder), used.folder.name)
    if not version and listing.provider(entry, provider).requirements:
        # The library that is here says what it lacks, and how to get it.
        return environments.find(None)
    named = f"@{version}" if version else ""
    what, package = f"{entry.name}{named}", f"{recipes.name_of(runtime, provider)}{named}"
    cure = f"toolkit runtimes install {package}    installs it, in an environment of its own"
    if version and entry.language == "javascript":
        locked = recipes.known()[entry.name].version
        cure = f"--target {entry.name}    measures {locked}, which toolkit's lock file has"
    older = any(
        env.name == recipes.name_of(runtime, provider) and version in ("", env.version)
        for env in installed()
    )
    fault = "is installed from an older lock, with other packages" if older else "is not installed"
    raise EnvironmentFault(f"{what} {fault}", cure)


def is_installed(runtime: type[RuntimeFacts], provider: str, version: str = "") -> bool:
    """Tells whether a target of this runtime has an environment; one that needs none always has."""
    return (
        not runtime.requirements
        or _is_own(runtime, provider, version)
        or _newest(runtime, provider, version) is not None
    )


def _is_own(runtime: type[RuntimeFacts], provider: str, version: str) -> bool:
    """Tells whether toolkit's own environment has the runtime, in this version if one is named."""
    own_version = installed_here(runtime, provider)
    return own_version is not None and version in ("", own_version)


def _newest(runtime: type[RuntimeFacts], provider: str, version: str) -> Installed | None:
    """The environment that was made for the runtime, of this version or of the newest."""
    name = recipes.name_of(runtime, provider)
    fitting = (
        env
        for env in installed()
        if env.name == name and env.is_current and version in ("", env.version)
    )
    return next(fitting, None)


def _used(runtime: type[RuntimeFacts], provider: str, version: str) -> Installed | None:
    """The same environment, which from now on nobody removes until this process ends (M4)."""
    newest = _newest(runtime, provider, version)
    if newest is None:
        return None
    cache.use(newest.folder)
    # Looked at again: another process may have removed it before the lock was held.
    return _newest(runtime, provider, version)


def installed_here(runtime: type[RuntimeFacts], provider: str) -> str | None:
    """The version of the runtime in toolkit's own environment; None where it has none."""
    package = recipes.own_package(runtime, provider)
    for distribution in [package] if package else runtime.distributions:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(distribution)
    return None


def holding(environment: Environment) -> Installed | None:
    """What is known of an environment, where toolkit made it; None for all others."""
    match environment:
        case PythonEnvironment():
            path = environment.python
        case NodeEnvironment():
            path = environment.folder
        case _:
            return None
    if not path.is_relative_to(recipes.folder()):
        return None
    folder = recipes.folder() / path.relative_to(recipes.folder()).parts[0]
    facts = cache.facts(folder)
    if facts is None:
        return None
    return _installed(folder, facts, is_current=_is_current(facts, recipes.known()))


def _installed(path: Path, facts: dict[str, Any], *, is_current: bool) -> Installed:
    packages = tuple(InstalledPackage(**package) for package in facts.get("packages", []))
    name, runtime, version = facts["name"], facts["runtime"], facts["version"]
    lock = facts.get("lock", "")
    return Installed(name, runtime, version, path, facts["size"], is_current, lock, packages)


def _is_current(facts: dict[str, Any], known: Mapping[str, Recipe]) -> bool:
    """Tells whether toolkit would install the same packages today. Not by the name of the folder:
    another Python has another."""
    recipe = known.get(facts["name"])
    return recipe is not None and facts.get("recipe") == recipe.at(facts["version"]).digest


def _order(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _make(empty: Path, recipe: Recipe) -> tuple[str, Sequence[InstalledPackage]]:
    """Fills an empty folder; returns the digest of the lock, and what was installed."""
    # pip and npm unpack into the folder for temporary files, and remove nothing there when they are
    # ended. One of its own goes after ^C, too.
    with tempfile.TemporaryDirectory(prefix="toolkit-", ignore_cleanup_errors=True) as scratch:
        if listing.find(recipe.runtime).language == "javascript":
            return _make_of_npm(empty, recipe, scratch)
        try:
            filling = pip.fill(empty, recipe.requirements, recipe.lock, scratch)
        except (EnvironmentFault, DiskFull) as error:
            what = f"{recipe.name}@{recipe.version} was not installed: {error.what}"
            cures = error.cures or [_cure(recipe, error.what)]
            raise type(error)(what, *cures) from error
        return filling.lock.digest, filling.packages


def _make_of_npm(
    empty: Path, recipe: Recipe, scratch: str
) -> tuple[str, Sequence[InstalledPackage]]:
    """Installs what the lock file says, which is one version (M2)."""
    if recipe.lock is None:
        locked = recipes.known()[recipe.name].version
        raise EnvironmentFault(
            f"{recipe.name}@{recipe.version}: toolkit's lock file has {locked} only",
            f"--target '{recipe.name},env=FOLDER'    runs another from a folder of yours",
        )
    node.install(empty, recipe.name, scratch)
    packages = [
        InstalledPackage(package.name, package.version, package.digest, was_hashed=True)
        for package in node.locked(recipe.lock.text)
    ]
    return recipe.lock.digest, packages


def _cure(recipe: Recipe, reason: str) -> str:
    usual = recipes.known().get(recipe.name, recipe)
    if "No matching distribution" in reason and usual != recipe:
        return f"toolkit runtimes install {recipe.name}    installs {usual.version}"
    return "toolkit doctor    says whether the disk or the network is at fault"


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
