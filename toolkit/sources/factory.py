"""Builds the module that a source names: finds the factory, calls it, loads the weights."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError, unknown
from toolkit.sources import examples, importing, weights
from toolkit.sources.running import result
from toolkit.sources.source import Source

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "--weights "
"""What stands before the name of the weights among the names of a source's files: no file of code
has its name."""


def build(source: Source) -> nn.Module:
    """The module with its weights, in eval mode. Runs the user's own code.

    torch's random numbers start anew for it: what a factory leaves random is the same in each
    process, so that an untrained module is the same in its file and in a worker. A module whose
    example_inputs() hold more than tensors comes as one that takes their tensors alone
    (`nested.flat`).

    Raises InputError where the source cannot be imported, raises, is no module, or where the
    weights are not its own.
    """
    module = _make(source)
    if source.weights is not None:
        weights.put(source.weights, module)
    return examples.flattened(source, module.eval())


def digest(source: Source) -> str:
    """SHA-256 over the code that the source was built from and its weights: every module that was
    imported from its folder, once it was built. Other packages are told by their versions."""
    return joined(digests(source))


def digests(source: Source) -> dict[str, str]:
    """The SHA-256 of each file that `digest` covers: of code by its path below the source's folder,
    of the weights as WEIGHTS and their name."""
    digested = {} if source.folder is None else _code(source.folder.resolve())
    return digested | {f"{WEIGHTS}{file.name}": file_digest(file) for file in _weights(source)}


def _code(folder: Path) -> dict[str, str]:
    # A virtual environment often stands in the folder itself.
    return {
        str(file.relative_to(folder)): file_digest(file)
        for file in sorted(_imported_from(folder))
        if "site-packages" not in file.parts and file.is_file()
    }


def joined(parts: Mapping[str, str]) -> str:
    """The digest of a source, from those of its files."""
    digested = hashlib.sha256()
    for name, sha256 in parts.items():
        digested.update(Path(name.removeprefix(WEIGHTS)).name.encode() + bytes.fromhex(sha256))
    return digested.hexdigest()


def changed(source: Source, recorded: Mapping[str, str]) -> str:
    """The name of the first file that is no longer as `digests` told it; empty: all are. Nothing is
    imported."""
    weights = {f"{WEIGHTS}{file.name}": file for file in _weights(source)}
    for name, sha256 in recorded.items():
        file = weights.get(name, (source.folder or Path()) / name)
        # A record is untrusted: it could name a pipe, which is waited for, or a device.
        if not file.is_file() or file_digest(file) != sha256:
            return name
    return ""


def file_digest(file: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _weights(source: Source) -> list[Path]:
    return [source.weights] if source.weights is not None and source.weights.is_file() else []


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
        if isinstance(factory, nn.Module) and source.arguments:
            raise InputError(f"{source.name} is a module itself: it takes no arguments")
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


def _called(source: Source, factory: Any) -> Any:
    """The object that a factory gives. Raises InputError where it cannot be called so."""
    if not callable(factory):
        kind = type(factory).__qualname__
        raise InputError(f"{source.name} is a {kind}, neither a module nor a factory of one")
    arguments = source.keywords()
    if needed := [name for name in _required(factory) if name not in arguments]:
        raise InputError(
            f"{source.name} needs arguments: {', '.join(needed)}",
            f"--arg {needed[0]}=VALUE   gives one; or a function without arguments can be exported",
            f"--source '{source.called_with(f'{needed[0]}=VALUE')}'    gives one",
        )
    return result(source.name, partial(factory, **arguments))


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
