"""Exports many small architectures with bare PyTorch and with toolkit, and judges both files.

The entries are factories with seeded weights, in files by their kind; `entry.py` has the list.
"""
