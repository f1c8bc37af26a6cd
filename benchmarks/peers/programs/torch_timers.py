"""Times with one Timer after the other: torch_timers.py SECONDS SLOWER... → their medians."""

from __future__ import annotations

import json
import sys

from torch.utils.benchmark import Timer

from benchmarks.peers.programs import planted_call


def main(seconds: float, *shares: str) -> None:
    """Prints the medians in seconds as JSON, in the order of the shares."""
    calls = [planted_call.make(slower) for slower in shares]
    timers = [Timer("call()", globals={"call": call}) for call in calls]
    measurements = [timer.blocked_autorange(min_run_time=seconds) for timer in timers]
    sys.stdout.write(json.dumps([measurement.median for measurement in measurements]))


if __name__ == "__main__":
    main(float(sys.argv[1]), *sys.argv[2:])
