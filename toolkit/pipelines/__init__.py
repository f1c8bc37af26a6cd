"""What toolkit does, each pipeline one screen, top to bottom. The Python API."""
