"""Runs `python -m benchmarks.zoo`."""

from benchmarks.zoo.measure import main

main()
