"""Keeps what a module has in plain attributes from one call to the next apart from them.

Swin's layers (transformers) lower their window to the size of a small picture, for good: the module
is another function after it. A file is the function of a module that was never called. Other models
of transformers register hooks when they are called first, and an attribute says that they did: both
go together, or the next call registers them twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def kept(module: nn.Module) -> Iterator[None]:
    """Gives a module, and all modules in it, the attributes and hooks back that they had before the
    block.

    Buffers and weights lie in dictionaries of their own, which stay as the block leaves them.
    """
    before = [(each, dict(vars(each)), _hooks(each)) for each in module.modules()]
    try:
        yield
    finally:
        for each, attributes, hooks in before:
            vars(each).clear()
            vars(each).update(attributes)
            # In place: the handle of a hook removes it from this very dictionary.
            for held, registered in hooks:
                held.clear()
                held.update(registered)


def _hooks(module: nn.Module) -> list[tuple[dict[Any, Any], dict[Any, Any]]]:
    """The dictionaries in which torch keeps a module's hooks, each with what it holds."""
    held = [value for name, value in vars(module).items() if "_hooks" in name]
    return [(each, dict(each)) for each in held if isinstance(each, dict)]
