"""Has torch look up anew how it traces recurrent layers.

While torch.onnx.export traces a layer with a free length, torch (2.13) puts a form with a loop in
place of the one that unrolls the layer at its traced length. It leaves the layer's cache of
dispatched calls as it is: once the other form was called in this process, as each export does after
its trace, that one is taken again, and the second LSTM of a process comes out at one length.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

REPLACED = ("lstm.input", "gru.input")
"""The operators that torch.export._patches gives another form."""
CACHE = "_dispatch_cache"


@contextlib.contextmanager
def looked_up() -> Iterator[None]:
    """Empties these caches before the block and after it, so that no form outlives an export.

    The cache is private to torch: where it is not found, nothing is emptied, and the proof tells
    whether the file holds at other lengths.
    """
    _forget()
    try:
        yield
    finally:
        _forget()


def _forget() -> None:
    import torch

    for name in REPLACED:
        packet, _, overload = name.partition(".")
        operator = getattr(getattr(torch.ops.aten, packet, None), overload, None)
        cache = getattr(operator, CACHE, None)
        if isinstance(cache, dict):
            cache.clear()
