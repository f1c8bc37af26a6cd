"""Writes a folder's bill of materials: the model's files, and all packages of its client."""

from __future__ import annotations

import hashlib
from pathlib import Path

from toolkit import sbom
from toolkit.deployment.base import MODEL, Destination, Payload
from toolkit.sbom import BillEntry

FILE = "sbom.cdx.json"
"""By this end of a name CycloneDX's tools know it."""


def write(destination: Destination, payload: Payload, folder: Path) -> None:
    """Writes the bill of a packed folder."""
    files = sorted(file for file in (folder / MODEL).rglob("*") if file.is_file())
    models = [
        BillEntry("model", str(file.relative_to(folder)), digests=(f"sha256:{_sha256(file)}",))
        for file in files
    ]
    name = f"{payload.file.path.stem} for {destination.title}"
    text = sbom.write(name, "", [*models, *destination.entries()])
    (folder / FILE).write_text(text, "utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
