"""Other tools on the same pairs: how they fare in the time that toolkit is given."""
