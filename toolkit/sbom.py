"""Writes a bill of materials: the packages of an environment or a folder, in CycloneDX 1.6.

The same content gives the same text: its number is a digest of what it lists, and it has no time.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from toolkit import __version__
from toolkit.workers import node
from toolkit.workers.locks import Lock

if TYPE_CHECKING:
    from cyclonedx.model import ExternalReference, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

UNHASHED = "toolkit:installed-without-hash"
"""The property of a package whose file was, or will be, compared with no hash."""
MARKER = "toolkit:installed-where"
"""The property of a package that only some Pythons or platforms need: PEP 508's marker."""


@dataclass(frozen=True)
class BillEntry:
    """A package, or a file, that a bill of materials lists."""

    kind: Literal["pypi", "npm", "generic", "file", "model"]
    """The index that a package is from; `generic` is a package of none, the last two are files."""
    name: str
    version: str = ""
    digests: tuple[str, ...] = ()
    """'sha256:…' of its file; of a package that is yet to be installed those of all its files, one
    of which it will be."""
    digests_in: str = ""
    """The file of a deployed folder that has these digests; '': they are of one file, its own."""
    licence: str = ""
    """An SPDX expression, or the words of the package's own metadata; empty: unknown."""
    was_hashed: bool = True
    marker: str = ""
    """The Pythons and platforms that need it; '': all."""
    needs: tuple[str, ...] = ()
    """Names of other entries of the same bill."""


def of_lock(lock: Lock, file: str) -> list[BillEntry]:
    """The packages of a lock that lies in a deployed folder as this file. None is installed yet."""
    return [
        BillEntry(
            "pypi",
            package.name,
            package.version,
            tuple(f"sha256:{digest}" for digest in package.sha256),
            digests_in=file,
            marker=package.marker,
            needs=tuple(p.name for p in lock.packages if package.name in p.needed_by),
        )
        for package in lock.packages
    ]


def of_npm(lock: str) -> list[BillEntry]:
    """The packages of npm's lock file, of which this is the text."""
    return [
        BillEntry("npm", p.name, p.version, (p.digest,), licence=p.licence, needs=p.needs)
        for p in node.locked(lock)
    ]


def write(name: str, version: str, entries: Sequence[BillEntry]) -> str:
    """The bill of something that is called so, as JSON."""
    from cyclonedx.output.json import JsonV1Dot6

    return JsonV1Dot6(_bom(name, version, entries)).output_as_string(indent=2) + "\n"


def _bom(name: str, version: str, entries: Sequence[BillEntry]) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository

    application = ComponentType.APPLICATION
    whole = Component(name=name, version=version or None, type=application, bom_ref="whole")
    tool = Component(name="onnx-verdict", version=__version__, type=application)
    metadata = BomMetaData(component=whole, tools=ToolRepository(components=[tool]))
    metadata.timestamp = None  # type: ignore[assignment]  # CycloneDX does not ask for one.
    components = {entry: _component(entry) for entry in entries}
    number = uuid.uuid5(uuid.NAMESPACE_OID, repr((name, version, sorted(map(repr, entries)))))
    bom = Bom(serial_number=number, metadata=metadata, components=components.values())
    for entry, component in components.items():
        bom.register_dependency(
            component, [components[p] for p in entries if p.name in entry.needs]
        )
    needed = {need for entry in entries for need in entry.needs}
    bom.register_dependency(whole, [components[p] for p in entries if p.name not in needed])
    return bom


def _component(entry: BillEntry) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentScope, ComponentType

    types = {"file": ComponentType.FILE, "model": ComponentType.MACHINE_LEARNING_MODEL}
    properties = {UNHASHED: "" if entry.was_hashed else "true", MARKER: entry.marker}
    return Component(
        name=entry.name,
        version=entry.version or None,
        type=types.get(entry.kind, ComponentType.LIBRARY),
        bom_ref=f"{entry.kind}:{entry.name}@{entry.version}",
        scope=ComponentScope.OPTIONAL if entry.marker else ComponentScope.REQUIRED,
        purl=None if entry.kind in types else _purl(entry),
        hashes=[] if entry.digests_in else map(_hash, entry.digests),
        licenses=[LicenseFactory().make_from_string(entry.licence)] if entry.licence else [],
        external_references=[_files(entry)] if entry.digests_in and entry.digests else [],
        properties=[Property(name=key, value=value) for key, value in properties.items() if value],
    )


def _purl(entry: BillEntry) -> PackageURL:
    from packageurl import PackageURL

    scope, _, name = entry.name.rpartition("/")  # npm's '@scope/name'.
    return PackageURL(entry.kind, scope or None, name, entry.version or None)


def _files(entry: BillEntry) -> ExternalReference:
    """The files that may be installed, as the file of the folder lists them."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri

    kind = ExternalReferenceType.DISTRIBUTION
    return ExternalReference(
        type=kind, url=XsUri(entry.digests_in), hashes=map(_hash, entry.digests)
    )


def _hash(digest: str) -> HashType:
    from cyclonedx.model import HashAlgorithm, HashType

    algorithm, _, content = digest.partition(":")
    return HashType(alg=HashAlgorithm(f"SHA-{algorithm.removeprefix('sha')}"), content=content)
