"""Makes so many calls: so_many_calls.py SLOWER CALLS FILE.

Adds a line to the file: the seconds that the calls took, which the tool that times the process does
not see.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.peers.programs import planted_call


def main(slower: str, calls: int, file: Path) -> None:
    """Makes the calls and adds their time to the file; prints nothing."""
    call = planted_call.make(slower)
    began = time.perf_counter()
    for _ in range(calls):
        call()
    took = time.perf_counter() - began
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{took!r}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
