"""Holds what all destinations in Python share: their command line, requirements.txt, and the run.

The client never runs in toolkit's own Python, but in an environment of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit import sbom
from toolkit.deployment import outputs, programs, venvs
from toolkit.deployment.base import MODEL, ClientRun, Payload, Workspace
from toolkit.runtimes.base import Runtime
from toolkit.sbom import BillEntry
from toolkit.tensors import TensorSpec
from toolkit.workers import locks
from toolkit.workers.locks import Lock

REQUIREMENTS = "requirements.txt"
UNHASHED = venvs.UNHASHED
LOCKS = Path(__file__).parent / "locks"
"""The locks of clients that need only a part of their runtime's packages."""
TENSORS = "tensors.json"

FILES = {
    "client.py": "the client: `Model` is what a program of yours takes",
    "console.py": "the command line around it",
    REQUIREMENTS: "all that it needs, pinned, with hashes",
}
FILES_OF_CONVERTED = {
    **FILES,
    "tensors.py": "checks inputs and outputs against the model's; the client imports it",
}

VERSIONS = """
import importlib.metadata, json, platform, sys
packages = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({**packages, "python": platform.python_version()}))
"""
CALLS = 3
"""Timed calls of each data set in the proof. Their times are for a reader of the client's output
and no part of the proof, so the client's own hundred would only take time."""


def write_requirements(folder: Path, runtime: type[Runtime], needed: Sequence[str] = ()) -> None:
    """Writes the lock (D3) of the packages `needed`, or of all that the runtime has where none is
    named, and beside it the pins of what has no hash there."""
    (folder / REQUIREMENTS).write_text(lock(runtime, needed).text, "utf-8")
    if unhashed := _unhashed(runtime, needed):
        (folder / UNHASHED).write_text("\n".join(unhashed) + "\n", "utf-8")


def lock(runtime: type[Runtime], needed: Sequence[str] = ()) -> Lock:
    """Returns the lock of a client: of the packages `needed`, or of the runtime's own."""
    return locks.read((LOCKS if needed else locks.FOLDER) / f"{runtime.name}.txt")


def entries(runtime: type[Runtime], needed: Sequence[str] = ()) -> list[BillEntry]:
    """Returns the packages that a client is installed with."""
    plain = [
        BillEntry("pypi", locks.name_of(pin), pin.partition("==")[2], was_hashed=False)
        for pin in _unhashed(runtime, needed)
    ]
    return [*plain, *sbom.of_lock(lock(runtime, needed), REQUIREMENTS)]


def _unhashed(runtime: type[Runtime], needed: Sequence[str]) -> list[str]:
    pins = [f"{name}=={version}" for name, version in packages(runtime, needed).items()]
    return locks.split(pins)[1]


def packages(runtime: type[Runtime], needed: Sequence[str] = ()) -> dict[str, str]:
    """Returns package → pinned version, without the options of pip that stand among the pins."""
    pins = dict(pin.split("==") for pin in runtime.requirements if not pin.startswith("-"))
    return {name: pins[name] for name in needed or pins}


def write_tensors(folder: Path, payload: Payload) -> None:
    """Writes the .onnx's inputs and outputs beside its converted form, which does not hold all of
    their names, types and shapes."""
    tensors = {
        "inputs": [*map(_described, payload.file.inputs)],
        "outputs": [*map(_described, payload.file.outputs)],
    }
    text = json.dumps(tensors, indent=2, ensure_ascii=False)
    (folder / MODEL / TENSORS).write_text(text + "\n", "utf-8")


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "type": spec.type, "shape": spec.shape}


def run(workspace: Workspace, runtime: type[Runtime], needed: Sequence[str] = ()) -> ClientRun:
    """Installs the requirements and runs the client on all sets, as its README says.

    Raises EnvironmentFault where the packages cannot be had, TargetError where the client fails.
    """
    copy, home, results = workspace.copy, workspace.home, workspace.scratch / "results"
    python = workspace.make_python(workspace.scratch / "venv", copy / REQUIREMENTS)
    names = packages(runtime, needed)
    printed = programs.run([python, "-c", VERSIONS, *names], copy, home)
    versions: dict[str, Any] = json.loads(printed.splitlines()[-1])
    command: list[str | Path] = [python, "client.py", "--output", results, "--calls", str(CALLS)]
    # Without bytecode: the copy that is run stays the folder that was made.
    programs.run(command, copy, home, PYTHONDONTWRITEBYTECODE="1")
    return ClientRun(
        outputs.read(results, workspace.payload),
        versions,
        "in a fresh Python environment",
        outputs.refusals(results, workspace.payload),
    )
