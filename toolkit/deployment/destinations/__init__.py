"""Where a model can go: one file each, named as the user types it."""
