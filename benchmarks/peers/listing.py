"""Lists all peers, in the order of the table."""

from __future__ import annotations

from functools import partial

from benchmarks.peers import benchmark_app, environment, hyperfine, pyperf, sequential, torch_timer
from benchmarks.peers.peer import KINDS, Peer

WANTED = {"A/A": 20, "2 %": 10, "3 %": 10}
"""Kind → measurements."""
FEWER = {"A/A": 10, "2 %": 5, "3 %": 5}
"""Kind → measurements of a tool that takes five times as long."""

version_of = partial(partial, environment.version)
"""Package → a function that gives its version when it is called."""

PEERS = {
    "sequential": Peer(sequential.measure, version_of("onnxruntime"), 11, WANTED),
    "hyperfine": Peer(hyperfine.measure, hyperfine.version, 12, WANTED),
    "torch.utils.benchmark": Peer(torch_timer.measure, version_of("torch"), 12, WANTED),
    # Four processes of each target, and one that calibrates, take the ten seconds.
    "pyperf, 4 processes": Peer(pyperf.measure_with(4), version_of("pyperf"), 11, WANTED),
    "pyperf, its default": Peer(pyperf.measure_with(None), version_of("pyperf"), 50, FEWER),
    "benchmark_app": Peer(benchmark_app.measure, version_of("openvino"), 11, WANTED),
}

JOBS = {f"{peer}, {kind}": (peer, kind) for kind in KINDS for peer in PEERS}
"""Every pair that every peer measures, by a name."""


def wanted() -> dict[str, int]:
    """Job → measurements. A tool that is not installed has no jobs."""
    return {
        job: PEERS[peer].wanted[kind]
        for job, (peer, kind) in JOBS.items()
        if peer != "hyperfine" or hyperfine.installed()
    }
