"""Pieces that several runtimes share; no file here is a runtime."""
