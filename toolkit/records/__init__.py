"""The record of a run: its schema, the folder that holds it, and the pairs of targets in it."""
