"""One process a target."""
