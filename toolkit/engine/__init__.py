"""A run in motion: the assignment, the verdicts, one generation of processes, and the run loop."""
