"""Runs `python -m benchmarks.fuzz`."""

from benchmarks.fuzz.program import main

main()
