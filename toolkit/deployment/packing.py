"""The folder: the model, the client, test data, and what tells a reader about them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from toolkit.deployment import documents
from toolkit.deployment.base import MODEL, ONNX, Destination, Parcel
from toolkit.exporter.testdata import DataSet
from toolkit.onnxfiles import modelfile

TEMPLATES = Path(__file__).parent / "templates"


def pack(destination: Destination, parcel: Parcel, folder: Path) -> None:
    """Fills the empty folder with all but the words of its proof."""
    _model(parcel, folder)
    for name in destination.templates:
        shutil.copytree(TEMPLATES / name, folder, dirs_exist_ok=True, ignore=_not_shipped)
    destination.fill(folder, parcel)
    write_sets(parcel, folder)
    licences = documents.licences(destination, parcel)
    (folder / documents.LICENCES).write_text(licences, "utf-8")


def write_sets(parcel: Parcel, folder: Path) -> None:
    """The test data as .npy files, which every client can read, in place of what is there."""
    for old in folder.glob("test_data_set_*"):
        shutil.rmtree(old)
    for number, data in enumerate(parcel.sets):
        _write_set(folder / f"test_data_set_{number}", parcel, data)


def _write_set(folder: Path, parcel: Parcel, data: DataSet) -> None:
    folder.mkdir()
    for role, specs, arrays in (
        ("input", parcel.file.inputs, data.inputs),
        ("output", parcel.file.outputs, data.outputs),
    ):
        for place, spec in enumerate(specs):
            # Row by row: the clients' own readers know no other order.
            ready = np.asarray(arrays[spec.name], order="C")
            np.save(folder / f"{role}_{place}.npy", ready, allow_pickle=False)


def _model(parcel: Parcel, folder: Path) -> None:
    if parcel.converted is not None:
        shutil.copytree(parcel.converted, folder / MODEL)
        return
    own, *external = modelfile.files(parcel.file.path)
    (folder / MODEL).mkdir()
    shutil.copyfile(own, folder / ONNX)
    for file in external:
        place = folder / MODEL / file.relative_to(own.parent)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)


def _not_shipped(folder: str, names: list[str]) -> set[str]:
    """The README's part goes into the whole README; caches are nobody's."""
    return {documents.README, "__pycache__", "node_modules"} & {*names}


def part(destination: Destination) -> str:
    """What the destination's own template says of how its client is run."""
    return (TEMPLATES / destination.templates[-1] / documents.README).read_text("utf-8")
