"""Tells the errors that come where a machine has no more memory, or its disk no more room.

They may rise anywhere, also in libraries that give them types of their own.
"""

from __future__ import annotations

import errno

from toolkit.errors import ToolkitError, full_disk
from toolkit.supervision import limits


def in_words(error: BaseException) -> ToolkitError | None:
    """The error that says what there is no more of, as the user's to mend; None for any other."""
    # The words are torch's own, in a RuntimeError.
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return _no_memory()
    if (full := full_disk(error)) is not None:
        return full
    if isinstance(error, OSError) and error.errno == errno.EFBIG:  # A limit on a file's size.
        return ToolkitError(f"{error.filename or 'a file'} cannot be written: {error.strerror}")
    return None


def _no_memory() -> ToolkitError:
    limit = limits.in_words()
    return ToolkitError(
        f"the memory limit of {limit} was reached" if limit else "there is no memory left",
        "--memory-limit 16GB    allows more, where the machine has it",
        "--dim NAME=N    asks for smaller sizes, where the model has dynamic ones",
    )
