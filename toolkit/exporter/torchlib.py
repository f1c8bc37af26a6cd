"""Lists the ONNX functions of PyTorch's operators once in a process.

For each export torch (2.13) asks onnxscript anew for its list of some 500 functions, and onnxscript
(0.7) parses the source of each to learn its domain: 0.4 s of 0.9 for a small module. What is tried
next where an export fails, another size or another exporter, asks again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

APIS = "onnxscript_apis"
"""What torch's registry of functions calls onnxscript by."""


class _Once:
    """onnxscript as torch's registry calls it; the list of its functions is asked for once."""

    def __init__(self, apis: Any) -> None:
        self._apis = apis

    def __getattr__(self, name: str) -> Any:
        return getattr(self._apis, name)

    def get_torchlib_ops(self) -> list[Any]:
        return [*_listed(self._apis)]  # A list of its own: nobody changes that of the next.


@functools.cache
def _listed(apis: Any) -> tuple[Any, ...]:
    return tuple(apis.get_torchlib_ops())


@contextlib.contextmanager
def listed_once() -> Iterator[None]:
    """Has torch take the list that an earlier export of this process asked for.

    The name is private to torch: where it is not found, the list is asked for as always.
    """
    from torch.onnx._internal.exporter import _registration

    apis = getattr(_registration, APIS, None)
    if apis is None or isinstance(apis, _Once):
        yield
        return
    setattr(_registration, APIS, _Once(apis))
    try:
        yield
    finally:
        setattr(_registration, APIS, apis)
