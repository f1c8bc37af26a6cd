"""Begins the process that works for a caller: finds modules where the caller does, limits memory.

At module level it imports the standard library alone: where other packages lie, the caller says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

START = "start.json"
"""The file in the folder of a call that says how to begin."""


def main(folder: Path) -> None:
    """Works at the task in a folder to its end."""
    start = json.loads((folder / START).read_text())
    sys.path[:] = start["path"]
    from toolkit.api import working
    from toolkit.supervision import interrupts, limits, progress

    interrupts.hear_once()
    progress.join()
    # After the imports: they open no model, and what tells an error must be there before memory
    # is scarce.
    limits.apply(start["memory_limit"])
    try:
        working.work(folder)
    except KeyboardInterrupt:  # It came before or after the task: there is nothing to tell.
        sys.exit(130)
