"""Measures the same pairs with other tools, in the time that toolkit is given."""
