"""Everything that toolkit does, each pipeline on one screen from top to bottom: the Python API."""
