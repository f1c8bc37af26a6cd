"""Installs what a template's package.json and package-lock.json pin (D3)."""

from __future__ import annotations

import json
from pathlib import Path

from toolkit import sbom
from toolkit.deployment import programs
from toolkit.deployment.base import TEMPLATES
from toolkit.sbom import BillEntry

CURE = "apt install nodejs npm    brings it"


def install(folder: Path) -> None:
    """Runs `npm ci` in the folder, without install scripts.

    Raises EnvironmentFault where npm is missing or fails.
    """
    npm = programs.find("npm", CURE)
    programs.prepare(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
        folder,
        # The same as --ignore-scripts, by onnxruntime-node's own switch: its install script fetches
        # CUDA libraries.
        ONNXRUNTIME_NODE_INSTALL="skip",
    )


def entries(template: str) -> list[BillEntry]:
    """Returns the packages of the template's lock file, for a bill of materials."""
    return sbom.of_npm((TEMPLATES / template / "package-lock.json").read_text("utf-8"))


def locked(template: str) -> dict[str, tuple[str, str]]:
    """Returns package → (version, licence), as the template's lock file has them."""
    text = (TEMPLATES / template / "package-lock.json").read_text("utf-8")
    return {
        name.removeprefix("node_modules/"): (str(entry["version"]), str(entry["license"]))
        for name, entry in json.loads(text)["packages"].items()
        if name  # The entry without a name is the template itself.
    }
