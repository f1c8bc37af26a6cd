"""Builds the module that a source names: finds the factory, calls it, loads the weights."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError, typed_line, unknown
from toolkit.sources import calls, importing, lines, weights
from toolkit.sources.source import Source

if TYPE_CHECKING:
    import torch
    from torch import nn


def build(source: Source) -> nn.Module:
    """The module with its weights, in eval mode. Runs the user's own code.

    torch's random numbers start anew for it: what a factory leaves random is the same in each
    process, so that an untrained module is the same in its file and in a worker.

    Raises InputError where the source cannot be imported, raises, is no module, or where the
    weights are not its own.
    """
    module = _make(source)
    if source.weights is not None:
        weights.put(source.weights, module)
    return module.eval()


def digest(source: Source) -> str:
    """SHA-256 over the code that the source was built from and its weights: every module that was
    imported from its folder, once it was built. Other packages are told by their versions."""
    digested = hashlib.sha256()
    files = [] if source.folder is None else sorted(_imported_from(source.folder.resolve()))
    for file in [*files, *([source.weights] if source.weights else [])]:
        # A virtual environment often stands in the folder itself.
        if "site-packages" not in file.parts and file.is_file():
            digested.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digested.hexdigest()


def _imported_from(folder: Path) -> set[Path]:
    """The files below a folder that modules of this process were imported from."""
    # A copy: to ask a lazy module for its file may import others.
    modules = list(sys.modules.values())
    files = {Path(file).resolve() for each in modules if (file := getattr(each, "__file__", None))}
    return {file for file in files if file.is_relative_to(folder)}


def _make(source: Source) -> nn.Module:
    """The module that the source's factory, class or instance gives.

    Raises InputError where it cannot be imported, needs arguments, raises, or is something else.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        factory = _named(source)
        # Once more: whether the import happened now or before must make no difference.
        torch.manual_seed(0)
        module = factory if isinstance(factory, nn.Module) else _called(source, factory)
    if not isinstance(module, nn.Module):
        kind = f"{type(module).__module__}.{type(module).__qualname__}".removeprefix("builtins.")
        raise InputError(f"{source.name} gives a {kind}, not a torch.nn.Module")
    return module


def _named(source: Source) -> Any:
    """The object of a source's name. Raises InputError, with a suggestion, where there is none."""
    module = importing.module_of(source)
    try:
        return getattr(module, source.attribute)
    except AttributeError:
        where = source.name.rpartition(":")[0]
        what = unknown(f"factory in {where}", source.attribute, _factories(module))
        raise InputError(what) from None


def examples(source: Source, module: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors that `example_inputs()` beside the factory gives, by input; none where there is
    no such function.

    A dictionary has its names; a tensor or a tuple belongs to forward's parameters in their order.
    Raises InputError where it raises, or gives something else.
    """
    import torch

    function = getattr(importing.module_of(source), "example_inputs", None)
    if function is None:
        return {}
    where = f"example_inputs() of {source.name.rpartition(':')[0]}"
    given = _result(where, function)
    if isinstance(given, torch.Tensor):
        given = (given,)
    if isinstance(given, tuple | list):
        names = calls.by_place(module, len(given))
        if len(names) < len(given):
            raise InputError(f"{where} gives {len(given)} tensors, forward takes {len(names)}")
        given = dict(zip(names, given, strict=True))
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            f"{where} gives {given!r}; a tensor, a tuple of tensors or a dictionary of tensors is"
            " needed"
        )
    for name, value in given.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(f"{where}: {name!r} is a {type(value).__name__}, not a tensor")
    return {str(name): value for name, value in given.items()}


def _called(source: Source, factory: Any) -> Any:
    """The object that a factory gives. Raises InputError where it cannot be called so."""
    if not callable(factory):
        kind = type(factory).__qualname__
        raise InputError(f"{source.name} is a {kind}, neither a module nor a factory of one")
    if needed := _required(factory):
        raise InputError(
            f"{source.name} needs arguments: {', '.join(needed)}",
            "a function without arguments that returns the finished module can be exported",
        )
    return _result(source.name, factory)


def _result(name: str, function: Callable[[], Any]) -> Any:
    """The result of the user's function. Raises InputError, with the line, where it raises."""
    try:
        return function()
    except Exception as error:  # The user's code, which may raise anything.
        line = lines.of(error)
        raise InputError(
            f"{name} raised {typed_line(error)}", *([str(line)] if line else [])
        ) from error


def _required(factory: Callable[..., Any]) -> list[str]:
    """The names of the arguments that a factory cannot do without."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # Some builtins have none.
        return []
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _factories(module: ModuleType) -> list[str]:
    """The names in a module that could be meant: made there, or modules."""
    from torch import nn

    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (
            isinstance(value, nn.Module)
            or (callable(value) and getattr(value, "__module__", None) == module.__name__)
        )
    ]
