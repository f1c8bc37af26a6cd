"""A script of pyperf, as its users write one: pyperf_runner.py SLOWER -o FILE.json."""

from __future__ import annotations

from argparse import Namespace

import pyperf

from benchmarks.peers.programs import planted_call


def main() -> None:
    """Runs in each process that pyperf starts."""
    runner = pyperf.Runner(add_cmdline_args=pass_on)
    runner.argparser.add_argument("slower")
    runner.bench_func("mlp", planted_call.make(runner.parse_args().slower))


def pass_on(command: list[str], given: Namespace) -> None:
    """Passes the share on to the processes that measure."""
    command.append(given.slower)


if __name__ == "__main__":
    main()
