"""Fills a folder with the model, the client, the test data and the licences."""

from __future__ import annotations

import shutil
from pathlib import Path

from toolkit.deployment import datasets, documents, inventory
from toolkit.deployment.base import MODEL, ONNX, TEMPLATES, Destination, Payload
from toolkit.onnxfiles import modelfile


def pack(destination: Destination, payload: Payload, folder: Path) -> None:
    """Fills an empty folder with all but README.md and deploy.json, which need the proof.

    Raises EnvironmentFault where something that belongs into it cannot be had on this machine.
    """
    _copy_model(payload, folder)
    for name in destination.templates:
        shutil.copytree(TEMPLATES / name, folder, dirs_exist_ok=True, ignore=_not_shipped)
    destination.fill(folder, payload)
    datasets.write(payload, folder)
    licences = documents.licences(destination, payload)
    (folder / documents.LICENCES).write_text(licences, "utf-8")
    inventory.write(destination, payload, folder)


def _copy_model(payload: Payload, folder: Path) -> None:
    if payload.converted is not None:
        shutil.copytree(payload.converted, folder / MODEL)
        return
    onnx, *external = modelfile.files(payload.file.path)
    (folder / MODEL).mkdir()
    for file in external:
        # The model names its external data by this relative path.
        copy = folder / MODEL / file.relative_to(onnx.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    # Last: whatever its weights are called, they do not take its place (operators.refusal).
    shutil.copyfile(onnx, folder / ONNX)


def _not_shipped(folder: str, names: list[str]) -> set[str]:
    """Leaves out the template's README, which becomes a part of the folder's own, and what using a
    template in place left behind."""
    return {documents.README, "__pycache__", "node_modules"} & {*names}
