"""Imports the Python module that a source stands in, and shadows nothing by it."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from toolkit.errors import InputError, demand_room, typed_line
from toolkit.sources import lines
from toolkit.sources.source import Source


def module_of(source: Source) -> ModuleType:
    """The Python module that the factory stands in. Raises InputError where the import fails."""
    if source.folder is not None:
        _append(source.folder)
    head = source.factory.rpartition(":")[0]
    try:
        return importlib.import_module(head) if source.file is None else _of_file(source.file)
    except ModuleNotFoundError as error:
        if source.file is None and error.name and f"{head}.".startswith(f"{error.name}."):
            where = f"neither an installed package nor in {source.folder}"
            raise InputError(f"no module is called {error.name!r}: {where}") from None
        raise _broken(head, error) from error
    except Exception as error:  # The user's code, which may raise anything.
        demand_room(error)
        raise _broken(head, error) from error


def file_of(source: Source) -> Path | None:
    """The file that would be imported for a source; None where none is found. Nothing is imported,
    no package above it either."""
    if source.file is not None:
        return source.file
    folders = [*sys.path, *([str(source.folder)] if source.folder is not None else [])]
    name = ""
    for part in source.factory.rpartition(":")[0].split("."):
        name = f"{name}.{part}" if name else part
        spec = importlib.machinery.PathFinder.find_spec(name, folders)
        if spec is None:
            return None
        folders = [*(spec.submodule_search_locations or ())]
    return Path(spec.origin) if spec is not None and spec.origin else None


def _broken(head: str, error: Exception) -> InputError:
    """An import that raises, in words, with the user's line."""
    line = lines.of(error)
    what = f"{Path(head).name} cannot be imported: {typed_line(error)}"
    return InputError(what, *([str(line)] if line else []))


def _of_file(file: Path) -> ModuleType:
    """Imports a file under the name that its neighbours import it by, where that is not taken."""
    root, name = _root_and_name(file)
    _append(root)
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


def _root_and_name(file: Path) -> tuple[Path, str]:
    """The folder that a file is imported from, and its dotted name there: packages count."""
    folder, parts = file.parent, [file.stem]
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _append(folder: Path) -> None:
    """Puts a folder on sys.path, last: a torch.py there shadows nothing."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _leads_to(name: str, file: Path) -> bool:
    """Says whether importing a name would import this file."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # Its package has another one's name, or is half imported.
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file
