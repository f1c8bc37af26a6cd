"""Keeps what a module has in plain attributes from one call to the next apart from them.

Swin's layers (transformers) lower their window to the size of a small picture, for good: the module
is another function after it. A file is the function of a module that was never called.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def kept(module: nn.Module) -> Iterator[None]:
    """Gives a module, and all modules in it, the attributes back that they had before the block.

    Buffers and weights lie in dictionaries of their own, which stay as the block leaves them.
    """
    before = [(each, dict(vars(each))) for each in module.modules()]
    try:
        yield
    finally:
        for each, attributes in before:
            vars(each).clear()
            vars(each).update(attributes)
