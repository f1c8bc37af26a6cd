"""Has onnxscript's optimizer take away only what adds nothing or multiplies by one exactly.

Its rules "x + 0", "x - 0", "x * 1" and "x / 1" match a constant within a tolerance: they remove an
addend below 1e-8 and a factor within 1e-5 of one (onnxscript 0.7). An ε that guards a division or a
logarithm is such an addend, and without it zeros come out as NaN or infinity.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

TOLERANCES = ("_abs_tol", "_rel_tol")


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Sets the tolerance of these rules to zero while the block lasts.

    Their attributes are private to onnxscript: where it has others, nothing is changed, and what a
    rule does to a file is left to the proof.
    """
    kept = [
        (constant, name, getattr(constant, name))
        for constant in _constants()
        for name in TOLERANCES
        if hasattr(constant, name)
    ]
    for constant, name, _ in kept:
        setattr(constant, name, 0.0)
    try:
        yield
    finally:
        for constant, name, value in kept:
            setattr(constant, name, value)


def _constants() -> Iterator[Any]:
    """The constants in the patterns of the rules."""
    try:
        module = importlib.import_module("onnxscript.rewriter.rules.common._no_op")
    except ImportError:
        return
    for rule in module.rules:
        for node in getattr(getattr(rule, "_target_pattern", None), "_nodes", ()):
            yield from (value for value in node.inputs if hasattr(value, TOLERANCES[0]))
