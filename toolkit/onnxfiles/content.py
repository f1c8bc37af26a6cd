"""Reads the bytes of a model file, and says what bytes are that are no model."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from toolkit.errors import InputError
from toolkit.onnxfiles import filestates, lightened
from toolkit.onnxfiles.filestates import FileState
from toolkit.supervision import progress
from toolkit.units import Bytes, size

LARGEST: Bytes = (1 << 31) - 1
"""Bytes at which a protobuf message ends."""

KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
"""What a path may lead to besides a file, in words."""

FORMATS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself",
    b"PK\x03\x04": "is a zip archive; PyTorch's .pt and .pt2 files are such",
    b"\x89PNG": "is a PNG picture",
    b"\x89HDF": "is an HDF5 file",
    b"\x80\x02": "is a pickle",
    b"\x80\x04": "is a pickle",
    b"\x1f\x8b": "is compressed by gzip",
}
"""Beginnings of the files that are often given in place of an .onnx."""


def read(path: Path) -> tuple[bytes, FileState]:
    """Reads a whole model file, which must be a regular one of at most LARGEST bytes; returns also
    its state before it was read.

    Raises InputError where it is something else, cannot be read, is empty or too large.
    """
    progress.step(f"reading {path.name}")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise InputError(
            f"the name {shown} is no UTF-8: ONNX and the runtimes cannot open it",
            "mv OLD new.onnx    gives it another name",
        ) from error
    try:
        state = path.stat()
        # Nothing else is opened: a pipe would wait for ever, and /dev/zero has no end.
        if not stat.S_ISREG(state.st_mode):
            kind = next((word for test, word in KINDS if test(state.st_mode)), "no file")
            raise InputError(f"{path} is {kind}, not an .onnx file")
        if state.st_size > LARGEST:
            raise InputError(
                f"{path} has {size(state.st_size)}, and an .onnx file ends at 2 GiB: protobuf knows"
                " no larger message",
                "onnx.save_model(model, path, save_as_external_data=True)    puts the weights"
                " beside it",
            )
        content = lightened.read(path, state.st_size)
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not content:
        raise InputError(f"{path} is empty")
    return content, filestates.of(path, state)


def instead(content: bytes) -> str:
    """Says what bytes that are no model are instead, as the end of a sentence."""
    for start, kind in FORMATS.items():
        if content.startswith(start):
            return kind
    if b"\0" not in content[:4096] and _is_text(content[:4096]):
        return "is a text file, not an .onnx file"
    # The first field of every ONNX model is its IR version: tag 8, then the number.
    if content[0] == 8 and len(content) > 1 and 0 < content[1] < 128:
        return "is damaged: it begins as an .onnx file and breaks off"
    return "is not an .onnx file"


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return error.start > len(content) - 4  # a character cut at the end
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in content)
