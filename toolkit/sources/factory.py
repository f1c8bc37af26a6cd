"""From 'net.py:build' to a module: importing, finding the name, calling it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError, typed_line, unknown
from toolkit.sources import calls, lines, weights
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
    module = make(source)
    if source.weights is not None:
        weights.put(source.weights, module)
    return module.eval()


def digest(source: Source) -> str:
    """SHA-256 over the code that the source was built from and its weights: every module that was
    imported from its folder, once it was built. Other packages are told by their versions."""
    found = hashlib.sha256()
    root = None if source.folder is None else source.folder.resolve()
    files = {
        Path(file).resolve()
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and root is not None
    }
    own = sorted(file for file in files if root is not None and file.is_relative_to(root))
    for file in [*own, *([source.weights] if source.weights else [])]:
        if "site-packages" not in file.parts and file.is_file():
            found.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def make(source: Source) -> nn.Module:
    """The module that the source's factory, class or instance gives.

    Raises InputError where it cannot be imported, needs arguments, raises, or is something else.
    """
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = named(source)
        # Once more: whether the import happened now or before must make no difference.
        torch.manual_seed(0)
        made = found if isinstance(found, nn.Module) else _called(source, found)
    if not isinstance(made, nn.Module):
        kind = f"{type(made).__module__}.{type(made).__qualname__}".removeprefix("builtins.")
        raise InputError(f"{source.name} gives a {kind}, not a torch.nn.Module")
    return made


def named(source: Source) -> Any:
    """What stands under the source's name. Raises InputError, with a suggestion, if nothing."""
    module = imported(source)
    try:
        return getattr(module, source.attribute)
    except AttributeError:
        where = source.name.rpartition(":")[0]
        what = unknown(f"factory in {where}", source.attribute, _factories(module))
        raise InputError(what) from None


def imported(source: Source) -> ModuleType:
    """The Python module that the factory stands in. Raises InputError where the import fails."""
    if source.folder is not None and str(source.folder) not in sys.path:
        sys.path.append(str(source.folder))  # Last: a torch.py there shadows nothing.
        importlib.invalidate_caches()
    head = source.factory.rpartition(":")[0]
    try:
        return importlib.import_module(head) if source.file is None else _of_file(source.file)
    except ModuleNotFoundError as error:
        if source.file is None and error.name and f"{head}.".startswith(f"{error.name}."):
            where = f"neither an installed package nor in {source.folder}"
            raise InputError(f"no module is called {error.name!r}: {where}") from None
        raise _broken(head, error) from error
    except Exception as error:  # The user's code, which may raise anything.
        raise _broken(head, error) from error


def examples(source: Source, module: nn.Module) -> dict[str, torch.Tensor]:
    """What `example_inputs()` beside the factory gives, by input; nothing where there is none.

    A dictionary has its names; a tensor or a tuple belongs to forward's parameters in their order.
    Raises InputError where it raises, or gives something else.
    """
    import torch

    function = getattr(imported(source), "example_inputs", None)
    if function is None:
        return {}
    where = f"example_inputs() of {source.name.rpartition(':')[0]}"
    try:
        made = function()
    except Exception as error:  # The user's code, which may raise anything.
        line = lines.of(error)
        raise InputError(
            f"{where} raised {typed_line(error)}", *([str(line)] if line else [])
        ) from error
    if isinstance(made, torch.Tensor):
        made = (made,)
    if isinstance(made, tuple | list):
        names = calls.by_place(module, len(made))
        if len(names) < len(made):
            raise InputError(f"{where} gives {len(made)} tensors, forward takes {len(names)}")
        made = dict(zip(names, made, strict=True))
    if not isinstance(made, Mapping) or not made:
        raise InputError(
            f"{where} gives {made!r}; a tensor, a tuple of tensors or a dictionary of tensors is"
            " needed"
        )
    for name, value in made.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(f"{where}: {name!r} is a {type(value).__name__}, not a tensor")
    return {str(name): value for name, value in made.items()}


def _broken(head: str, error: Exception) -> InputError:
    line = lines.of(error)
    what = f"{Path(head).name} cannot be imported: {typed_line(error)}"
    return InputError(what, *([str(line)] if line else []))


def _of_file(file: Path) -> ModuleType:
    """Imports a file under the name that its neighbours import it by, where that is not taken."""
    root, name = _place(file)
    if str(root) not in sys.path:
        sys.path.append(str(root))
        importlib.invalidate_caches()
    if _leads_to(name, file):
        return importlib.import_module(name)
    # Another module has the name (a user's torch.py): it gets one that nothing else has.
    own = f"toolkit_source_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if own in sys.modules:
        return sys.modules[own]
    spec = importlib.util.spec_from_file_location(own, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own]
        raise
    return module


def _place(file: Path) -> tuple[Path, str]:
    """The folder that a file is imported from, and its dotted name there: packages count."""
    folder, parts = file.parent, [file.stem]
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _leads_to(name: str, file: Path) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # Its package has another one's name, or is half imported.
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file


def _called(source: Source, found: Any) -> Any:
    if not callable(found):
        kind = type(found).__qualname__
        raise InputError(f"{source.name} is a {kind}, neither a module nor a factory of one")
    if needed := _required(found):
        raise InputError(
            f"{source.name} needs arguments: {', '.join(needed)}",
            "a function without arguments that returns the finished module can be exported",
        )
    try:
        return found()
    except Exception as error:  # The user's code, which may raise anything.
        line = lines.of(error)
        raise InputError(
            f"{source.name} raised {typed_line(error)}", *([str(line)] if line else [])
        ) from error


def _required(factory: Callable[..., Any]) -> list[str]:
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
