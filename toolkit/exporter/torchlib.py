"""Reads the ONNX functions of PyTorch's operators once in a process.

For each export torch (2.13) asks onnxscript anew for its list of some 500 functions, and onnxscript
(0.7) parses the source of each to learn its domain: 0.4 s of 0.9 for a small module. What is tried
next where an export fails, another size or another exporter, asks again. The list itself is made
anew each time: `imaginary.known` changes it for one export.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

APIS = "onnxscript_apis"
"""What torch's registry of functions calls onnxscript by."""
READ = "function_ir"
"""The property of a function that parses its source."""

_known: dict[Any, Any] = {}
"""Function → what its source was read as. They are the modules' own and live as long."""


class _Once:
    """onnxscript as torch's registry calls it; the source of a function is read once."""

    def __init__(self, apis: Any) -> None:
        self._apis = apis

    def __getattr__(self, name: str) -> Any:
        return getattr(self._apis, name)

    def get_torchlib_ops(self) -> list[Any]:
        from onnxscript import values

        kind = getattr(values, "TracedOnnxFunction", None)
        read = getattr(kind, READ, None)
        if not isinstance(read, property) or read.fget is None:
            listed: list[Any] = self._apis.get_torchlib_ops()
            return listed
        parse = read.fget

        def once(function: Any) -> Any:
            if function not in _known:
                _known[function] = parse(function)
            return _known[function]

        setattr(kind, READ, property(once))
        try:
            listed = self._apis.get_torchlib_ops()
        finally:
            setattr(kind, READ, read)
        return listed


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Has torch take what an earlier export of this process read.

    The names are private to torch and onnxscript: where one is not found, all is read as always.
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
