"""A plug-in with loops of no harness, as targets of a run: their ratio to a harness is paired."""
