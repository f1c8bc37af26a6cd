"""What all destinations in Python share: the command line, requirements.txt, and how they are run.

The Python of the client is never ours: it runs in an environment of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toolkit.deployment import outputs, programs
from toolkit.deployment.base import Ground, Ran
from toolkit.runtimes.base import Runtime

REQUIREMENTS = "requirements.txt"

VERSIONS = """
import importlib.metadata, json, platform, sys
found = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({**found, "python": platform.python_version()}))
"""


def write_requirements(folder: Path, runtime: type[Runtime]) -> None:
    """The runtime's own pins (D3)."""
    (folder / REQUIREMENTS).write_text("\n".join(runtime.requirements) + "\n", "utf-8")


def packages(runtime: type[Runtime]) -> dict[str, str]:
    """Package → version, as it is pinned."""
    return dict(pin.split("==") for pin in runtime.requirements)


def run(ground: Ground, runtime: type[Runtime]) -> Ran:
    """The client as its README says, and once more for what came out."""
    venv, home = ground.scratch / "venv", ground.home
    python = ground.python(venv, ground.copy / REQUIREMENTS)
    found = programs.run([python, "-c", VERSIONS, *packages(runtime)], ground.copy, home)
    versions: dict[str, Any] = json.loads(found.splitlines()[-1])
    results = ground.scratch / "results"
    # Without bytecode: a folder that was run is the folder that was made.
    quiet = {"PYTHONDONTWRITEBYTECODE": "1"}
    programs.run([python, "client.py", "--output", results], ground.copy, home, **quiet)
    return Ran(outputs.read(results, ground.parcel), versions, "in a fresh Python environment")
