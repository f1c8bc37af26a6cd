"""Holds the destinations: one file each, named as the user types it."""
