"""Loops without a harness, as targets of a run: their ratio to the harness's own is paired."""
