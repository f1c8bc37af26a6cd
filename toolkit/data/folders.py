"""Labelled pictures in a folder for each class, as torchvision's ImageFolder has them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data import besides, imageprocessor, pictures
from toolkit.data.examples import Inputs, Preprocess, Seen, SeenPicture
from toolkit.errors import InputError, os_reason
from toolkit.tensors import Array, TensorSpec

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
MOST = 10_000_000
"""Pictures of one folder at most: their names lie in memory."""


@dataclass(frozen=True)
class Folder:
    """The pictures of all classes."""

    path: Path
    files: Sequence[tuple[str, int]]
    """(path below the folder, class), sorted by class and name."""
    classes: Sequence[str]
    prepared: Callable[[Any], Inputs]
    padding: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def count(self) -> int:
        return len(self.files)

    def read(self, order: Sequence[int] | None) -> Iterator[tuple[int, Inputs, Array]]:
        for index in range(self.count) if order is None else order:
            yield index, self.prepared(self._image(index)), np.asarray(self.files[index][1])

    def seen(self, index: int) -> Seen:
        return SeenPicture(pictures.pixels(self._image(index)))

    def _image(self, index: int) -> Any:
        name, _ = self.files[index]
        return pictures.decode(besides.content(self.path / name), f"{self.name}/{name}")


def read(
    path: Path, inputs: Sequence[TensorSpec], beside: Path, prepared: Preprocess | None
) -> Folder:
    """The pictures of a folder, made ready by the user's function or by the file in the folder
    `beside`, that of the model.

    Classes are the folders by their sorted names, unless config.json beside the model numbers just
    these. Raises InputError where there are no class folders, or no pictures in them.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
        numbers = _numbered(names, besides.mapping(beside / "config.json"))
        files = [
            (f"{name}/{file}", numbers[name]) for name in names for file in _pictures(path / name)
        ]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {os_reason(error)}") from error
    if not names:
        raise InputError(
            f"{path} has no class folders",
            f"{path}/CLASS/picture.png    is how a picture lies there, its label the folder's name",
        )
    if not files:
        raise InputError(f"{path} has no pictures in its class folders ({', '.join(SUFFIXES)})")
    if len(files) > MOST:
        raise InputError(f"{path} has {len(files):,} pictures, {MOST:,} are the most")
    ordered = [""] * (max(numbers.values()) + 1)
    for name, number in numbers.items():
        ordered[number] = name
    made = prepared or imageprocessor.beside(beside, inputs)
    return Folder(path, sorted(files, key=lambda file: (file[1], file[0])), ordered, made)


def _pictures(folder: Path) -> list[str]:
    """The pictures below a folder, relative to it, as ImageFolder walks through it."""
    found = []
    for where, _, names in os.walk(folder):
        inside = os.path.relpath(where, folder)
        found += [
            os.path.normpath(os.path.join(inside, name))
            for name in names
            if name.lower().endswith(SUFFIXES)
        ]
        if len(found) > MOST:
            break
    return found


def _numbered(names: Sequence[str], config: Mapping[str, Any]) -> dict[str, int]:
    """The number of each class: by label2id of the model's config where that has all of them."""
    known = config.get("label2id")
    if isinstance(known, Mapping) and all(
        type(known.get(name)) is int and 0 <= known[name] < MOST for name in names
    ):
        return {name: known[name] for name in names}
    return {name: number for number, name in enumerate(names)}
