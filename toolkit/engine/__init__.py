"""A run in motion: what is asked of every target, how it is judged, one generation of processes."""
