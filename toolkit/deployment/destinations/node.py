"""Ships a Node.js program with ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from toolkit.answers.formats import Precision
from toolkit.deployment import npm, operators, outputs, programs
from toolkit.deployment.base import ClientRun, Licence, Payload, SizeLimit, Workspace
from toolkit.sbom import BillEntry


class OnnxRuntimeNodeProgram:
    """A client of the package `onnxruntime-node`."""

    name: ClassVar[str] = "node"
    title: ClassVar[str] = "ONNX Runtime in Node.js"
    form: ClassVar[str] = ""
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = operators.ONNXRUNTIME
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = None
    templates: ClassVar[tuple[str, ...]] = ("javascript", "node")
    files: ClassVar[Mapping[str, str]] = {
        "model.js": "the class `Model`, which a program of yours takes",
        "npy.js": "arrays as .npy files",
        "client.js": "the command line around them",
        "package.json": "what it needs",
        "package-lock.json": "all of it, pinned, with hashes",
        ".npmrc": "how npm installs it",
    }

    def fill(self, folder: Path, payload: Payload) -> None:
        """Adds nothing: the templates are all."""

    def licences(self) -> list[Licence]:
        return [
            Licence(f"{name} {version}", licence)
            for name, (version, licence) in npm.locked("node").items()
        ]

    def entries(self) -> list[BillEntry]:
        return npm.entries("node")

    def run(self, workspace: Workspace) -> ClientRun:
        node = programs.find("node", npm.CURE)
        npm.install(workspace.copy)
        home, results = workspace.home, workspace.scratch / "results"
        programs.run([node, "client.js", "--output", results], workspace.copy, home)
        version, _ = npm.locked("node")["onnxruntime-node"]
        node_version = programs.run([node, "--version"], workspace.copy, home).strip()
        versions = {
            "onnxruntime-node": version,
            "node": node_version.removeprefix("v"),
        }
        return ClientRun(outputs.read(results, workspace.payload), versions, "after npm ci")


DESTINATION = OnnxRuntimeNodeProgram
