"""Environment → the packages that stand in it → its software bill of materials."""

from __future__ import annotations

import importlib.metadata

from toolkit import sbom
from toolkit.errors import InputError
from toolkit.runtimes import listing
from toolkit.sbom import BillEntry
from toolkit.workers import locks, managed, node, recipes
from toolkit.workers.managed import Installed


def bill(text: str) -> str:
    """The bill of materials, in CycloneDX, of the environment that NAME[@VERSION] names.

    Raises InputError for a name that is none, and where that environment is not installed.
    """
    recipe = recipes.parse(text)
    version = text.partition("@")[2]
    for each in managed.installed():
        if each.name == recipe.name and each.is_current and version in ("", each.version):
            return sbom.write(f"toolkit environment {each.name}", each.version, entries(each))
    raise InputError(f"{text} is not installed", f"toolkit runtimes install {text}    installs it")


def entries(environment: Installed) -> list[BillEntry]:
    """The packages that were installed, with what their own metadata says of them."""
    if listing.find(environment.runtime).language == "javascript":
        return sbom.of_npm((environment.folder / node.LOCK).read_text("utf-8"))
    return _of_pip(environment)


def _of_pip(environment: Installed) -> list[BillEntry]:
    folder = next(environment.folder.glob("lib/python*/site-packages"))
    metadata = {
        locks.canonical(each.name): each
        for each in importlib.metadata.distributions(path=[str(folder)])
    }
    return [
        BillEntry(
            "pypi",
            package.name,
            package.version,
            (package.digest,),
            licence=_licence(metadata[package.name]),
            was_hashed=package.was_hashed,
            needs=_needs(metadata[package.name]),
        )
        for package in environment.packages
    ]


def _licence(distribution: importlib.metadata.Distribution) -> str:
    """The licence that a package states: in one line, since some state its whole text."""
    metadata = distribution.metadata
    for key in ("License-Expression", "License"):
        stated = metadata.get_all(key) or [""]
        if stated[0] and "\n" not in stated[0]:
            return str(stated[0])
    prefix = "License :: OSI Approved :: "
    classifiers = metadata.get_all("Classifier") or []
    named = [text.removeprefix(prefix) for text in classifiers if text.startswith(prefix)]
    return ", ".join(named)


def _needs(distribution: importlib.metadata.Distribution) -> tuple[str, ...]:
    from packaging.requirements import Requirement

    needs = [Requirement(text) for text in distribution.requires or []]
    return tuple(
        locks.canonical(need.name)
        for need in needs
        if need.marker is None or need.marker.evaluate({"extra": ""})
    )
