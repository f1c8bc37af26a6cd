"""Times each call for so many seconds: for_seconds.py SLOWER SECONDS → three estimators, in ns."""

from __future__ import annotations

import json
import statistics
import sys
import time

from benchmarks.peers.programs import planted_call

WARM_UP = 1000
"""Calls before the first that counts."""


def main(slower: str, seconds: float) -> None:
    """Prints the estimators as JSON, in nanoseconds."""
    call, clock = planted_call.make(slower), time.perf_counter_ns
    for _ in range(WARM_UP):
        call()
    # A list of ints, as a plain script would have it; a run of five seconds makes a million.
    samples: list[int] = []
    until = clock() + int(seconds * 1e9)
    ended = clock()
    while ended < until:
        began = clock()
        call()
        ended = clock()
        samples.append(ended - began)
    estimators = {
        "p50": statistics.median(samples),
        "mean": statistics.fmean(samples),
        "minimum": min(samples),
    }
    sys.stdout.write(json.dumps(estimators))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
