"""What all destinations in Python share: the command line, requirements.txt, and how they are run.

The Python of the client is never ours: it runs in an environment of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.deployment import outputs, programs
from toolkit.deployment.base import MODEL, Ground, Parcel, Ran
from toolkit.runtimes.base import Runtime
from toolkit.tensors import TensorSpec

REQUIREMENTS = "requirements.txt"
TENSORS = "tensors.json"

FILES = {
    "client.py": "the client: `Model` is what a program of yours takes",
    "console.py": "the command line around it",
    REQUIREMENTS: "what it needs, pinned",
}
FILES_OF_CONVERTED = {
    **FILES,
    "tensors.py": "its inputs and outputs, which belongs to the client",
}

VERSIONS = """
import importlib.metadata, json, platform, sys
found = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({**found, "python": platform.python_version()}))
"""


def write_requirements(folder: Path, runtime: type[Runtime], needed: Sequence[str] = ()) -> None:
    """The runtime's own pins (D3): those of the packages `needed`, without which it is all."""
    pins = [f"{name}=={version}" for name, version in packages(runtime, needed).items()]
    (folder / REQUIREMENTS).write_text("\n".join(pins) + "\n", "utf-8")


def packages(runtime: type[Runtime], needed: Sequence[str] = ()) -> dict[str, str]:
    """Package → version, as it is pinned; without options of pip."""
    pins = dict(pin.split("==") for pin in runtime.requirements if not pin.startswith("-"))
    return {name: pins[name] for name in needed or pins}


def write_tensors(folder: Path, parcel: Parcel) -> None:
    """The inputs and outputs of the .onnx beside what was made of it, which does not say them."""
    file = parcel.file
    told = {"inputs": [*map(_told, file.inputs)], "outputs": [*map(_told, file.outputs)]}
    text = json.dumps(told, indent=2, ensure_ascii=False)
    (folder / MODEL / TENSORS).write_text(text + "\n", "utf-8")


def _told(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "type": spec.type, "shape": spec.shape}


def run(ground: Ground, runtime: type[Runtime], needed: Sequence[str] = ()) -> Ran:
    """The client on all sets, as its README says."""
    venv, home = ground.scratch / "venv", ground.home
    python = ground.python(venv, ground.copy / REQUIREMENTS)
    names = packages(runtime, needed)
    found = programs.run([python, "-c", VERSIONS, *names], ground.copy, home)
    versions: dict[str, Any] = json.loads(found.splitlines()[-1])
    results = ground.scratch / "results"
    # Without bytecode: a folder that was run is the folder that was made.
    quiet = {"PYTHONDONTWRITEBYTECODE": "1"}
    # The time of a call is for the reader: a few calls will do on all feeds.
    command: list[str | Path] = [python, "client.py", "--output", results, "--calls", "3"]
    programs.run(command, ground.copy, home, **quiet)
    return Ran(
        outputs.read(results, ground.parcel),
        versions,
        "in a fresh Python environment",
        outputs.refusals(results, ground.parcel),
    )
