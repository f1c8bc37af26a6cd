"""Limits the memory that this process may take, so that one model cannot take the machine down."""

from __future__ import annotations

import resource

from toolkit.machine import memory
from toolkit.units import Bytes, size

SHARE = 0.8
"""The share of what is free that a command may take where the user states nothing: the rest is for
the workers, and for everybody else."""

_applied: Bytes | None = None


def apply(limit: Bytes | None = None) -> Bytes:
    """Limits what this process may hold in memory of its own; returns the limit.

    Files that are mapped do not count: the kernel takes their pages back. What goes beyond gets a
    MemoryError. Only the soft limit is set: a worker, which runs what the user measures, is freed
    of it when it is started (workers/launch.py).
    """
    global _applied
    bound = limit or int(SHARE * memory.available())
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    _applied = bound
    return bound


def are_applied() -> bool:
    """Says whether this process has a limit."""
    return _applied is not None


def in_words() -> str:
    """Says the limit as an error shows it; empty where there is none."""
    return "" if _applied is None else size(_applied)
