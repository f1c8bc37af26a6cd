"""Ships a static page that runs the model in the browser, by ONNX Runtime's WebAssembly."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.answers.formats import Precision
from toolkit.deployment import chromium, npm, operators, served
from toolkit.deployment.base import (
    TEMPLATES,
    ClientRun,
    Licence,
    Outputs,
    Payload,
    SizeLimit,
    Workspace,
)
from toolkit.errors import TargetError
from toolkit.onnxfiles import modelfile
from toolkit.sbom import BillEntry
from toolkit.tensors import Array, dtype_of
from toolkit.workers import cache

PACKAGE = "onnxruntime-web"
SHIPPED = {
    "ort.js": "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
"""Name in the folder → name in the package. The module is renamed because not every server knows
the type of .mjs, and browsers run no module without its type."""

LARGEST = SizeLimit(
    2**32 - 1, "4 GiB", "the memory of WebAssembly, in which weights and tensors lie,"
)
"""The addresses of its memory have 32 bits (onnxruntime.ai, Working with Large Models). A browser
may end sooner: what the page needs besides its weights is only known when it runs."""

PAGE = "page.json"
RUN_TEST_DATA = "client.ready.then(() => client.runTestData())"


class OnnxRuntimeWebPage:
    """A page with the package `onnxruntime-web`, whose files lie in the folder."""

    name: ClassVar[str] = "web"
    title: ClassVar[str] = "a browser, by ONNX Runtime Web"
    form: ClassVar[str] = ""
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = operators.ONNXRUNTIME
    types: ClassVar[frozenset[str]] = operators.NUMPY
    largest: ClassVar[SizeLimit | None] = LARGEST
    templates: ClassVar[tuple[str, ...]] = ("javascript", "web")
    files: ClassVar[Mapping[str, str]] = {
        "index.html": "the page",
        "page.js": "inputs, outputs and times on it",
        "digits.js": "the pad to draw on",
        "style.css": "how it looks",
        "page.json": "what the page has to know of the model",
        "model.js": "the class `Model`, which a page of yours takes",
        "npy.js": "arrays as .npy files",
        "ort/": "ONNX Runtime Web, so that no other server is asked",
    }

    def fill(self, folder: Path, payload: Payload) -> None:
        library = _library()
        for name in SHIPPED:
            shutil.copyfile(library / name, folder / "ort" / name)
        if not payload.digits:
            (folder / "digits.js").unlink()
        _describe(folder, payload)

    def licences(self) -> list[Licence]:
        version, licence = npm.locked(PACKAGE)[PACKAGE]
        return [Licence(f"{PACKAGE} {version} (ort/LICENSE.txt)", licence, inside=True)]

    def entries(self) -> list[BillEntry]:
        return [entry for entry in npm.entries(PACKAGE) if entry.name == PACKAGE]

    def run(self, workspace: Workspace) -> ClientRun:
        _describe(workspace.copy, workspace.payload)
        with (
            served.folder(workspace.copy) as address,
            chromium.page(workspace.scratch / "profile", workspace.sandbox) as page,
        ):
            page.open(address)
            returned = page.evaluate(RUN_TEST_DATA)
            versions = {PACKAGE: npm.locked(PACKAGE)[PACKAGE][0], "Chromium": page.version()}
        if page.complaints:
            raise TargetError(f"the page logged an error: {page.complaints[0]}")
        if page.strangers:
            raise TargetError(f"the page asked another server: {page.strangers[0]}")
        outputs = _outputs(returned, workspace.payload)
        where = ["in headless Chromium, on one thread", chromium.bare(workspace.sandbox)]
        return ClientRun(outputs, versions, ", ".join(filter(None, where)))


def _library() -> Path:
    """Returns the folder in the cache with the package's files that a page needs.

    Raises EnvironmentFault where npm cannot bring them.
    """
    version, _ = npm.locked(PACKAGE)[PACKAGE]
    folder = cache.root() / "npm" / f"{PACKAGE}-{version}"

    def make(empty: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="toolkit-") as scratch:
            shutil.copytree(TEMPLATES / PACKAGE, scratch, dirs_exist_ok=True)
            npm.install(Path(scratch))
            for own, theirs in SHIPPED.items():
                source = Path(scratch) / "node_modules" / PACKAGE / "dist" / theirs
                shutil.copyfile(source, empty / own)
        return {"package": PACKAGE, "version": version}

    cache.made(folder, make)
    return folder


def _describe(folder: Path, payload: Payload) -> None:
    """Writes page.json, which tells the page what it cannot find out: servers list no folders."""
    own, *external = modelfile.files(payload.file.path)
    facts = {
        "name": own.stem,
        "external": [str(file.relative_to(own.parent)) for file in external],
        "sets": len(payload.sets),
        "digits": payload.digits,
    }
    (folder / PAGE).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def _outputs(returned: Any, payload: Payload) -> Outputs:
    """Reads the arrays that the page returned, a list for each set, each as {type, dims, base64}.

    Raises TargetError where it returned something else.
    """
    specs = payload.file.outputs
    try:
        return [
            {spec.name: _array(output) for spec, output in zip(specs, outputs, strict=True)}
            for outputs in returned
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise TargetError(f"the page returned no outputs that can be read: {error}") from error


def _array(output: Mapping[str, Any]) -> Array:
    data = base64.b64decode(output["base64"])
    shape = [int(size) for size in output["dims"]]
    return np.frombuffer(data, dtype_of(output["type"])).reshape(shape)


DESTINATION = OnnxRuntimeWebPage
