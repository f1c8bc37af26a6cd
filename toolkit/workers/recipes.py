"""Knows what environments are made from: the pins of a runtime, and the lock compiled from them."""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.errors import InputError, unknown
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.workers import cache, locks, node
from toolkit.workers.locks import Lock

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
    lock_file: Path | None = None
    """All its packages with their hashes; None: a version that no lock is for."""

    @property
    def version(self) -> str:
        """The version of the runtime's own package."""
        return pin(self.requirements[0])["version"]

    @property
    def lock(self) -> Lock | None:
        """The lock that it is installed from; None: its packages are resolved, which makes one."""
        return None if self.lock_file is None else locks.read(self.lock_file)

    @property
    def digest(self) -> str:
        """Tells recipes apart: another lock, or other pins where there is none, is another."""
        lock = "resolved" if self.lock is None else self.lock.digest
        return hashlib.sha256("\n".join([*self.requirements, lock]).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """The folder of its environment, there or not. Another lock or Python has another."""
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        digest = hashlib.sha256(f"{python}\n{self.digest}".encode()).hexdigest()[:8]
        return folder() / f"{self.name}-{self.version}-{digest}"

    def at(self, version: str) -> Recipe:
        """The recipe for another version of the runtime (M2)."""
        if version == self.version:
            return self
        same = f"=={self.version}"
        pins = tuple(
            pin.removesuffix(same) + f"=={version}" if pin.endswith(same) else pin
            for pin in self.requirements
        )
        return replace(self, requirements=pins, lock_file=None)


def folder() -> Path:
    """The folder of all environments."""
    return cache.root() / "environments"


def known() -> dict[str, Recipe]:
    """The recipes of all that can be installed, by name."""
    recipes = {}
    for name in listing.BUILT_IN:
        runtime = listing.facts(listing.find(name))
        if runtime is None or not runtime.requirements:
            continue
        providers = base.providers(runtime)
        shared = tuple(provider.name for provider in providers if not provider.requirements)
        recipes[name] = _recipe(name, runtime, shared, runtime.requirements)
        for provider in providers:
            if pins := provider.requirements:
                package = pin(pins[0])["package"]
                recipes[package] = _recipe(package, runtime, (provider.name,), pins)
    return recipes


def parse(text: str) -> Recipe:
    """The recipe that NAME[@VERSION] names. Raises InputError for an unknown one."""
    name, at, version = text.partition("@")
    recipes = known()
    if name not in recipes:
        if name in listing.names():
            raise InputError(f"{name} comes with toolkit itself or with a plug-in")
        raise InputError(unknown("runtime", name, recipes))
    if at and not re.fullmatch(r"\d[\w.+-]*", version):
        raise InputError(f"{text!r} is not of the form NAME[@VERSION]", f"for example {name}@1.2.3")
    return recipes[name].at(version) if at else recipes[name]


def of(runtime: type[RuntimeFacts], provider: str) -> Recipe:
    """The recipe that brings a runtime to a provider."""
    return known()[name_of(runtime, provider)]


def name_of(runtime: type[RuntimeFacts], provider: str) -> str:
    """The name of that recipe."""
    return own_package(runtime, provider) or runtime.name


def own_package(runtime: type[RuntimeFacts], name: str) -> str:
    """The package in which a provider comes alone; empty: it comes with the runtime's."""
    pins = next((p.requirements for p in base.providers(runtime) if p.name == name), ())
    return pin(pins[0])["package"] if pins else ""


def pin(requirement: str) -> re.Match[str]:
    """The parts of a pin of ours: package, extras, version."""
    match = _PIN.fullmatch(requirement)
    assert match is not None, f"{requirement!r} is no pin"  # A rule of our own files, M2.
    return match


def _recipe(
    name: str, runtime: type[RuntimeFacts], providers: tuple[str, ...], pins: tuple[str, ...]
) -> Recipe:
    if listing.find(runtime.name).language == "javascript":
        file = node.LOCKS / name / node.LOCK
    else:
        file = locks.FOLDER / f"{name}.txt"
    return Recipe(name, runtime.name, providers, pins, runtime.licence, file)
