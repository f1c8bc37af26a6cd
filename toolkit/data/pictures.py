"""Pictures: read as untrusted files, made ready for a model, and shown small."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from toolkit.data import extra
from toolkit.data.examples import SeenPicture
from toolkit.errors import EnvironmentFault, InputError, typed_line
from toolkit.tensors import Array
from toolkit.units import Bytes, size

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Formats that are read: Pillow knows others that start programs or read further files."""
LARGEST_FILE: Bytes = 256 << 20
MOST_PIXELS = 100_000_000
"""Pixels of one picture, by its header: 300 MB once it is unpacked."""
SIDE = 96
"""Pixels of the longer side of a picture as it is shown."""


def decode(data: bytes, where: str) -> Any:
    """A PIL image, unpacked, as RGB or, where it is grey, as L.

    Raises InputError for what is no picture, and for one that claims too many pixels: before memory
    is taken for them.
    """
    library = extra.module("PIL.Image", "reading pictures")
    if len(data) > LARGEST_FILE:
        raise InputError(f"{where} has {size(len(data))}, {size(LARGEST_FILE)} are the most")
    try:
        image = library.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise InputError(
                f"{where} claims {width:,} × {height:,} pixels, {MOST_PIXELS:,} are the most"
            )
        image.load()
        image = extra.module("PIL.ImageOps", "reading pictures").exif_transpose(image)
        return image if image.mode in ("L", "RGB") else image.convert("RGB")
    except InputError:
        raise
    except Exception as error:  # Pillow's readers raise whatever the parser in question does.
        raise InputError(f"{where} is no picture that can be read: {typed_line(error)}") from error


def thumbnail(seen: SeenPicture) -> bytes:
    """A small PNG of a picture; empty where Pillow is not installed."""
    try:
        library = extra.module("PIL.Image", "showing pictures")
    except EnvironmentFault:
        return b""
    image = library.fromarray(seen.pixels)
    image.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def pixels(image: Any) -> Array:
    """The pixels of a PIL image, uint8 (height, width) or (height, width, 3)."""
    return np.asarray(image)
