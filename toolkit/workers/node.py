"""Environments of npm packages: a folder with node_modules, and the Node that runs in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from toolkit.errors import EnvironmentFault
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.workers import cache, guard

LOCKS = Path(__file__).resolve().parent / "javascript" / "locks"
"""A folder for each runtime, with its package.json and package-lock.json."""
OLDEST = 20
"""The first major version of Node that is tested."""
# The package's own script fetches CUDA libraries, from elsewhere than the registry.
VARIABLES = {"ONNXRUNTIME_NODE_INSTALL": "skip"}
QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


@dataclass(frozen=True)
class NodeEnvironment:
    """A folder with node_modules, and a Node that was asked."""

    name: str
    node: Path
    setpriv: Path
    folder: Path

    def command(self, worker_code: Path, listed: RuntimeEntry) -> list[str]:
        """Node has no switch that lets it die with its parent: setpriv of util-linux sets that."""
        runtime = listing.facts(listed)
        assert runtime is not None  # Plug-ins are written in Python.
        worker = worker_code / "toolkit" / "workers" / "javascript" / "worker.mjs"
        facts = json.dumps(_told(runtime))
        dying = [str(self.setpriv), "--pdeathsig", "KILL", "--"]
        # What a call leaves behind is collected by the thread that called (R4).
        node = [str(self.node), "--single-threaded"]
        return [*dying, *node, str(worker), facts, str(self.folder)]

    def owns(self, file: Path) -> bool:
        return file.resolve().is_relative_to(self._modules)

    def relative(self, file: Path) -> str:
        real = file.resolve()
        return str(real.relative_to(self._modules)) if self.owns(real) else real.name

    @property
    def _modules(self) -> Path:
        return (self.folder / "node_modules").resolve()


def _told(runtime: type[RuntimeFacts]) -> Mapping[str, object]:
    """The facts of a runtime that its worker must know, with its options at their defaults."""
    facts, options = runtime(), base.settings(runtime, {})
    return {
        "name": runtime.name,
        "providers": base.provider_names(runtime),
        "options": {
            key: {"value": option.default, "choices": option.choices}
            for key, option in runtime.options.items()
        },
        "environment": dict(facts.environment_for(options)),
        "starts_from": runtime.starts_from,
        "precision": facts.precision(options),
    }


def find(env: str, name: str) -> NodeEnvironment:
    """A folder with the Node of the PATH.

    Raises EnvironmentFault where it has no packages, or no Node can carry a worker.
    """
    folder = cache.expanded(env)
    if not (folder / "node_modules").is_dir():
        raise EnvironmentFault(
            f"env={env}: there are no npm packages in this folder",
            f"npm install --prefix {env} {' '.join(QUIET)} PACKAGE    installs one there",
        )
    node = program("node", "apt install nodejs")
    if (version := _major(str(node))) < OLDEST:
        raise EnvironmentFault(f"{node} is Node {version}; a worker needs {OLDEST} or newer")
    return NodeEnvironment(name, node, program("setpriv", "apt install util-linux"), folder)


def install(folder: Path, runtime: str) -> None:
    """Fills an empty folder with what the lock file of a runtime says; runs no script of theirs.

    Raises EnvironmentFault with npm's last words.
    """
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCKS / runtime / name, folder / name)
    npm = program("npm", "apt install npm")
    done = guard.run([str(npm), "ci", *QUIET], cwd=folder, env={**os.environ, **VARIABLES})
    if done.returncode:
        raise EnvironmentFault(f"npm could not install the packages: {_reason(done.stderr)}")


def program(name: str, cure: str) -> Path:
    """A program of the PATH. Raises EnvironmentFault."""
    found = shutil.which(name)
    if found is None:
        raise EnvironmentFault(f"there is no {name} on the PATH", cure)
    return Path(found)


@lru_cache
def _major(node: str) -> int:
    """Asks a Node once which version it is. Raises EnvironmentFault."""
    try:
        done = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFault(f"{node} does not start: {error}") from error
    found = re.match(r"v(\d+)\.", done.stdout)
    if found is None:
        raise EnvironmentFault(f"{node} is no Node: it says its version is {done.stdout[:40]!r}")
    return int(found[1])


def _reason(said: str) -> str:
    """npm's last words, without the path of its log and its own prefix."""
    lines = [re.sub(r"^npm (error|ERR!) ?", "", line).strip() for line in said.splitlines()]
    told = [line for line in lines if line and "complete log" not in line and "_logs" not in line]
    return (told or ["npm said nothing"])[-1][:300]
