"""Finds the environments in which workers run, and lays out the code that workers import."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from toolkit.errors import EnvironmentFault, demand_room_for, full_disk, lines
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.workers import cache, node

OWN = "own"
"""The name of the environment in which toolkit itself runs."""

ROOMS = ("errors.py", "units.py", "tensors.py", "sources", "runtimes", "workers")
"""The parts of toolkit that a worker imports, beside the package's own __init__.py."""

ELSEWHERE = ("PYTHONPATH", "PYTHONHOME", "NODE_PATH", "NODE_OPTIONS")
"""Variables by which code from another folder would run in a worker."""

QUERY = """
import json, sys
try:
    import numpy
    array = numpy.__version__
except Exception as error:
    array = ""
    sys.stderr.write(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
print(json.dumps({"version": sys.version_info[:3], "path": sys.path, "numpy": array}))
"""
"""The program by which a Python tells its version, its path and its numpy."""

BOOT = """
import importlib.util as u, sys
s = u.spec_from_file_location("toolkit", ROOMS + "/toolkit/__init__.py",
                              submodule_search_locations=[ROOMS + "/toolkit"])
m = u.module_from_spec(s)
sys.modules["toolkit"] = m
s.loader.exec_module(m)
for name in PLUGINS:
    s = u.spec_from_file_location(name, ROOMS + "/" + name + "/__init__.py",
                                  submodule_search_locations=[ROOMS + "/" + name])
    m = u.module_from_spec(s)
    sys.modules[name] = m
    s.loader.exec_module(m)
from toolkit.workers import child
child.main(*map(int, sys.argv[1:]))
"""
"""The program of a worker. It leaves sys.path alone: a `toolkit` in the environment or in the
user's folder hides nothing of ours, and our copy hides nothing of the environment's."""


class Environment(Protocol):
    """An environment that can carry a worker."""

    @property
    def name(self) -> str:
        """The name that a record shows."""

    def command(self, worker_code: Path, entry: RuntimeEntry) -> list[str]:
        """The command line of a worker, but for the numbers of its pipes and of its parent."""

    def owns(self, file: Path) -> bool:
        """Tells whether a library's file is part of this environment."""

    def relative(self, file: Path) -> str:
        """The file as a record shows it: without the path of this machine."""


@dataclass(frozen=True)
class PythonEnvironment:
    """A Python that has told its version and its path."""

    name: str
    python: Path
    version: tuple[int, int, int]
    path: tuple[Path, ...]
    """The sys.path that this Python has by itself."""

    def command(self, worker_code: Path, entry: RuntimeEntry) -> list[str]:
        packages = [] if entry.package is None else [entry.package.name]
        boot = BOOT.replace("PLUGINS", repr(packages)).replace("ROOMS", repr(str(worker_code)))
        return [str(self.python), "-P", "-c", boot]

    def owns(self, file: Path) -> bool:
        """Tells whether the file lies where this Python looks by itself."""
        real = file.resolve()
        return any(real.is_relative_to(folder) for folder in self.path)

    def relative(self, file: Path) -> str:
        real = file.resolve()
        above = [folder for folder in self.path if real.is_relative_to(folder)]
        return str(real.relative_to(max(above, key=lambda p: len(p.parts)))) if above else real.name


def of(entry: RuntimeEntry, folder: str, name: str | None = None) -> Environment:
    """The environment of a runtime in this folder; without a name it is called by its folder.

    Raises EnvironmentFault where it cannot carry a worker.
    """
    if entry.language == "javascript":
        return node.find(folder, name or folder)
    return find(folder, name)


def find(env: str | None, name: str | None = None) -> PythonEnvironment:
    """The environment that a target names: a folder, its Python, or None for our own.

    Raises EnvironmentFault where there is no Python, it is too old, or it has no numpy.
    """
    return ask(name or env or OWN, str(interpreter(env)))


def interpreter(env: str | None) -> Path:
    """The Python of an environment's folder, or that very Python; None: the one that runs us.

    Raises EnvironmentFault where there is none, with the command that makes one if the folder is
    free for it.
    """
    if env is None:
        return Path(sys.executable)
    folder = cache.expanded(env)
    for path in (folder / name for name in ("bin/python", "bin/python3", "Scripts/python.exe", "")):
        if path.is_file() and os.access(path, os.X_OK):
            return path.absolute()
    raise EnvironmentFault(
        f"env={env}: there is no Python environment in this folder",
        *([f"python3 -m venv {shlex.quote(env)}    makes one"] if _is_free(folder) else []),
    )


def _is_free(folder: Path) -> bool:
    """Tells whether an environment may be made there: nothing is, or an empty folder."""
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


@lru_cache
def ask(name: str, python: str) -> PythonEnvironment:
    """Asks a Python, once, for its version, its path and its numpy.

    Raises EnvironmentFault where it does not start, is too old, or has no numpy.
    """
    try:
        process = subprocess.run(
            [python, "-P", "-c", QUERY],
            env=variables(0),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=True,
        )
        facts = json.loads(process.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        words = lines(getattr(error, "stderr", "") or error) or [type(error).__name__]
        raise EnvironmentFault(f"env={name}: its Python does not start: {words[-1]}") from error
    version = tuple(facts["version"])
    if version < (3, 11):
        raise EnvironmentFault(
            f"env={name} has Python {version[0]}.{version[1]}; a worker needs 3.11 or newer"
        )
    if not facts["numpy"]:
        raise EnvironmentFault(
            f"env={name} has no numpy that can be imported ({process.stderr.strip()})",
            f"{python} -m pip install --force-reinstall numpy",
        )
    folders = tuple(Path(entry).resolve() for entry in facts["path"] if entry)
    return PythonEnvironment(name, Path(python), version, folders)


def variables(padding: int) -> dict[str, str]:
    """The environment variables of a worker.

    `padding` bytes shift its stack: the layout of memory is drawn anew with every process
    (Mytkowicz et al., Producing Wrong Data Without Doing Anything Obviously Wrong!, 2009).
    """
    kept = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    return {**kept, "TOOLKIT_PADDING": "x" * padding}


def lay(folder: Path, plugins: list[RuntimeEntry]) -> Path:
    """Copies the code of workers and the plug-ins' packages into `folder`; returns it.

    Raises EnvironmentFault where that cannot be written.
    """
    try:
        _copy(folder, plugins)
    except shutil.Error as error:  # It holds a list: source, target and words of each failure.
        words = error.args[0][0][2]
        raise full_disk(words, folder.parent) or EnvironmentFault(
            f"{folder} cannot be written: {words}"
        ) from error
    except OSError as error:
        demand_room_for(folder, error)
        raise EnvironmentFault(f"{folder} cannot be written: {error.strerror}") from error
    return folder


def _copy(folder: Path, plugins: list[RuntimeEntry]) -> None:
    own = Path(__file__).resolve().parent.parent
    target = folder / "toolkit"
    # A worker installs nothing.
    skip = shutil.ignore_patterns("__pycache__", "locks")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(own / "__init__.py", target / "__init__.py")
    for room in ROOMS:
        if (own / room).is_dir():
            shutil.copytree(own / room, target / room, ignore=skip, dirs_exist_ok=True)
        else:
            shutil.copyfile(own / room, target / room)
    for plugin in plugins:
        if plugin.package is not None:
            shutil.copytree(
                plugin.package, folder / plugin.package.name, ignore=skip, dirs_exist_ok=True
            )
