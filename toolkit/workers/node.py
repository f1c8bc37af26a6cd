"""Finds and fills environments of npm packages: a folder with node_modules, and a Node for it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from toolkit.errors import LONGEST, EnvironmentFault, full_disk, lines
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.workers import cache, guard

LOCKS = Path(__file__).resolve().parent / "javascript" / "locks"
"""A folder for each runtime, with its package.json and its lock file."""
LOCK = "package-lock.json"
OLDEST = 20
"""The first major version of Node that is tested."""
VARIABLES = {"ONNXRUNTIME_NODE_INSTALL": "skip"}
"""Variables of an installation. The script of onnxruntime-node would fetch CUDA libraries, not from
the registry, and the installation fails where that cannot be reached."""
QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


@dataclass(frozen=True)
class NodeEnvironment:
    """A folder with node_modules, and a Node that was asked."""

    name: str
    node: Path
    setpriv: Path
    folder: Path

    def command(self, worker_code: Path, entry: RuntimeEntry) -> list[str]:
        """The command line. Node has no switch that ends it with its parent; setpriv sets that."""
        runtime = listing.facts(entry)
        assert runtime is not None  # Plug-ins are written in Python.
        worker = worker_code / "toolkit" / "workers" / "javascript" / "worker.mjs"
        facts = json.dumps(_worker_facts(runtime))
        dying = [str(self.setpriv), "--pdeathsig", "KILL", "--"]
        # R4: else threads of their own collect what a call leaves behind.
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


@dataclass(frozen=True)
class LockedNpmPackage:
    """One package of npm's lock file."""

    name: str
    version: str
    digest: str
    """That of its archive: 'sha512:…'."""
    licence: str
    needs: tuple[str, ...]
    """The packages that it needs, by name."""


def _worker_facts(runtime: type[RuntimeFacts]) -> Mapping[str, object]:
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
    """The environment of this folder, with the Node of the PATH.

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


def install(folder: Path, runtime: str, scratch: str) -> None:
    """Fills an empty folder with the packages of a runtime's lock file; runs no script of theirs.

    What npm unpacks goes through the folder `scratch`. Raises EnvironmentFault with npm's last
    words.
    """
    for name in ("package.json", LOCK):
        shutil.copyfile(LOCKS / runtime / name, folder / name)
    npm = program("npm", "apt install npm")
    variables = {**os.environ, **VARIABLES, "TMPDIR": scratch}
    done = guard.run([str(npm), "ci", *QUIET], cwd=folder, env=variables)
    if done.returncode:
        if (full := full_disk(done.stderr, folder)) is not None:
            raise full
        raise EnvironmentFault(f"npm could not install the packages: {_reason(done.stderr)}")


def locked(lock: str) -> list[LockedNpmPackage]:
    """The packages of a lock file's text, in its order."""
    packages = json.loads(lock)["packages"]
    return [
        LockedNpmPackage(
            name.rpartition("node_modules/")[2],
            entry["version"],
            _digest(entry["integrity"]),
            entry["license"],
            tuple(entry.get("dependencies", ())),
        )
        for name, entry in packages.items()
        if name  # The entry without a name is the folder itself.
    ]


def _digest(integrity: str) -> str:
    """npm's 'sha512-' and base64 as other tools write it."""
    algorithm, _, encoded = integrity.partition("-")
    return f"{algorithm}:{base64.b64decode(encoded).hex()}"


def program(name: str, cure: str) -> Path:
    """The path of a program. Raises EnvironmentFault, with its cure, where the PATH has none."""
    path = shutil.which(name)
    if path is None:
        raise EnvironmentFault(f"there is no {name} on the PATH", cure)
    return Path(path)


@lru_cache
def _major(node: str) -> int:
    """The major version of a Node, which is asked once. Raises EnvironmentFault."""
    try:
        done = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFault(f"{node} does not start: {error}") from error
    version = re.match(r"v(\d+)\.", done.stdout)
    if version is None:
        raise EnvironmentFault(f"{node} is no Node: it says its version is {done.stdout[:40]!r}")
    return int(version[1])


def _reason(output: str) -> str:
    """npm's last words, without the path of its log and its own prefix."""
    plain = "\n".join(re.sub(r"^npm (error|ERR!) ?", "", line) for line in output.splitlines())
    reasons = [line for line in lines(plain) if "complete log" not in line and "_logs" not in line]
    return (reasons or ["npm said nothing"])[-1][:LONGEST]
