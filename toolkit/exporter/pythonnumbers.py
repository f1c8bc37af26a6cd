"""Has Python's own arithmetic keep a size a size while torch traces.

`int(x.shape[1])` asks the size for a number, and so does `math.sqrt(x.shape[1])`: torch (2.13) then
takes the dimension for a fixed one. Only its strict tracing reads such calls off the bytecode, and
that follows no lock, and little else of what libraries of models do beside their networks. So
functions of `math` and `statistics` compute with sizes while torch traces, and sizes have the
methods that NumPy's functions call of what they do not know (`np.sqrt(n)`). `int` and `float` are
types, and give numbers of their own kind only: a file of code that calls one of them with a size
gets another meaning for that name, under which sizes stay what they are, and is traced anew. So
does one that asks for the `len` of a tensor.
"""

from __future__ import annotations

import builtins
import contextlib
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from functools import cache
from typing import Any, TypeVar

from toolkit.sources import lines

Made = TypeVar("Made")
Namespace = MutableMapping[str, Any]

TURNS = 8
"""Times that a module is traced at most: each adds a file of code that asks a size for a number."""
MISSING = object()
"""The value of a name that a file of code did not have."""


class SizeAsked(Exception):
    """A file of code asked a size for a number, and its names have another meaning from now on."""


def kept(export: Callable[[], Made]) -> Made:
    """What `export` gives, with Python's arithmetic on sizes kept in the graph. Where that fails
    with other names for `int` and `float`, it is called without anything of this."""
    with _patched(), _watched() as renamed:
        for _ in range(TURNS):
            known = len(renamed)
            try:
                made = export()
            except Exception:
                if len(renamed) == known == 0:
                    raise
                if len(renamed) == known:
                    break
            else:
                if len(renamed) == known:
                    return made
    return export()


@contextlib.contextmanager
def _watched() -> Iterator[dict[int, tuple[Namespace, dict[str, Any]]]]:
    """Ends a trace where the user's code asks a size for a number by names that can be replaced,
    and replaces these until the block ends. Gives the names that were so, by their file of code."""
    import torch

    renamed: dict[int, tuple[Namespace, dict[str, Any]]] = {}
    asking = [
        *((torch.SymInt, name) for name in ("__int__", "__index__")),
        *((torch.SymFloat, name) for name in ("__int__", "__float__")),
    ]
    original = {(kind, name): getattr(kind, name) for kind, name in asking}

    def watching(asked: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def ask(size: Any) -> Any:
            frame = sys._getframe(1)
            space, code = frame.f_globals, frame.f_code
            if id(space) not in renamed and _is_free(size) and lines.theirs(code.co_filename):
                meant = _meant(space, code.co_names)
                if meant:
                    renamed[id(space)] = (space, {n: space.get(n, MISSING) for n in meant})
                    space.update(meant)
                    raise SizeAsked
            return asked(size)

        return ask

    for (kind, name), method in original.items():
        setattr(kind, name, watching(method))
    try:
        yield renamed
    finally:
        for (kind, name), method in original.items():
            setattr(kind, name, method)
        for space, had in renamed.values():
            for name, value in had.items():
                if value is MISSING:
                    del space[name]
                else:
                    space[name] = value


def _meant(space: Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The other meaning of those global names that stand for what asks a size for a number."""
    new = {id(old): new for old, new in _replaced()}
    meant = {name: space.get(name, getattr(builtins, name, None)) for name in names}
    return {name: new[id(value)] for name, value in meant.items() if id(value) in new}


def _is_free(size: Any) -> bool:
    """Says whether a size depends on the traced ones: it is no number that torch knows."""
    return bool(getattr(size.node.expr, "free_symbols", ()))


@contextlib.contextmanager
def _patched() -> Iterator[None]:
    """Has functions of Python's library compute with sizes while the block lasts."""
    import torch

    functions = _functions()
    for owner, name, _, new in functions:
        setattr(owner, name, new)
    methods = [
        (kind, name)
        for kind in (torch.SymInt, torch.SymFloat)
        for name, _ in _methods()
        if not hasattr(kind, name)
    ]
    for kind, name in methods:
        setattr(kind, name, dict(_methods())[name])
    try:
        yield
    finally:
        for kind, name in methods:
            delattr(kind, name)
        for owner, name, old, _ in functions:
            setattr(owner, name, old)


@cache
def _replaced() -> tuple[tuple[Any, Any], ...]:
    """All that asks a size for a number, each with what computes with it."""
    import torch

    return (
        (int, _type(int, torch.sym_int)),
        (float, _type(float, torch.sym_float)),
        (len, _length),
        *((old, new) for _, _, old, new in _functions()),
    )


def _length(value: Any) -> Any:
    """What len gives; for a tensor its first size, as it is."""
    import torch

    return value.shape[0] if isinstance(value, torch.Tensor) and value.ndim else len(value)


def _type(own: type, cast: Callable[[Any], Any]) -> type:
    """A type that gives numbers of another type, and leaves sizes sizes by `cast`."""

    class NameOfType(type):
        """What a name means that stands for the other type."""

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if len(args) == 1 and not kwargs and _is_size(args[0]):
                return cast(args[0])
            return own(*args, **kwargs)

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, own)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, own)

        def __eq__(cls, other: object) -> bool:
            return other is own or other is cls

        def __hash__(cls) -> int:
            return hash(own)

    return NameOfType(own.__name__, (own,), {})


@cache
def _functions() -> tuple[tuple[Any, str, Any, Any], ...]:
    """Functions of Python's library: the module, the name, the function itself, and the one that
    computes with sizes too."""
    import torch

    root, real, whole = _untyped(torch.sym_sqrt, torch.sym_float, torch.sym_int)
    own: dict[tuple[Any, str], Callable[..., Any]] = {
        (math, "sqrt"): root,
        (math, "log2"): _log2,
        (math, "log"): _log,
        (math, "log10"): lambda x: _log(x) * (1 / math.log(10)),
        (math, "pow"): lambda x, y: real(x) ** y,
        (math, "isqrt"): lambda x: whole(root(x)),
        (math, "fsum"): lambda values: real(sum(values)),
        (statistics, "mean"): _mean,
        (statistics, "fmean"): _mean,
        (builtins, "divmod"): lambda x, y: (x // y, x % y),
    }
    return tuple(
        (owner, name, getattr(owner, name), _for_sizes(getattr(owner, name), new))
        for (owner, name), new in own.items()
    )


@cache
def _methods() -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """The methods that NumPy calls of a number that it does not know."""
    import torch

    (root,) = _untyped(torch.sym_sqrt)
    return (
        ("sqrt", lambda size: root(size)),
        ("log", lambda size: _log(size)),
        ("log2", lambda size: _log2(size)),
        ("log10", lambda size: _log(size) * (1 / math.log(10))),
    )


def _untyped(*functions: Any) -> tuple[Any, ...]:
    """Functions of torch that have no types."""
    return functions


def _for_sizes(old: Callable[..., Any], new: Callable[..., Any]) -> Callable[..., Any]:
    """The one function where an argument is a size or holds one, and else the other."""

    def chosen(*args: Any, **kwargs: Any) -> Any:
        holds = any(map(_holds_size, (*args, *kwargs.values())))
        return (new if holds else old)(*args, **kwargs)

    return chosen


def _holds_size(value: Any) -> bool:
    return _is_size(value) or (isinstance(value, tuple | list) and any(map(_is_size, value)))


def _is_size(value: Any) -> bool:
    import torch

    return isinstance(value, torch.SymInt | torch.SymFloat)


def _log(x: Any, base: Any = math.e) -> Any:
    return _log2(x) / _log2(base)


def _log2(x: Any) -> Any:
    """The logarithm to the base 2, as a tensor: torch's exported programs have none of sizes."""
    import torch

    if not _is_size(x):
        return math.log2(x)
    return torch.log2(torch.full((), x, dtype=torch.get_default_dtype()))


def _mean(data: Any) -> Any:
    return sum(data) / len(data)
