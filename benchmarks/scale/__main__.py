"""Runs `python -m benchmarks.scale`."""

from benchmarks.scale.measure import main

main()
