"""A static page that runs the model in the browser, by ONNX Runtime's WebAssembly."""

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
from toolkit.deployment import chromium, npm, operators, packing, served
from toolkit.deployment.base import Ground, Licence, Outputs, Parcel, Ran
from toolkit.errors import TargetError
from toolkit.onnxfiles import modelfile
from toolkit.tensors import Array, dtype_of
from toolkit.workers import cache

PACKAGE = "onnxruntime-web"
HELD = {
    "ort.js": "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
"""Our name → the package's. Not every server knows the type of .mjs, and without it browsers do not
run a module."""

PAGE = "page.json"
ASK = "client.ready.then(() => client.runTestData())"


class OnnxRuntimeWeb:
    """The package `onnxruntime-web`, whose files lie in the folder."""

    name: ClassVar[str] = "web"
    title: ClassVar[str] = "a browser, by ONNX Runtime Web"
    form: ClassVar[str] = ""
    precision: ClassVar[Precision] = "float32"
    domains: ClassVar[frozenset[str]] = operators.ONNXRUNTIME
    types: ClassVar[frozenset[str]] = operators.NUMPY
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

    def fill(self, folder: Path, parcel: Parcel) -> None:
        for own, there in _held().items():
            shutil.copyfile(there, folder / "ort" / own)
        if not parcel.digits:
            (folder / "digits.js").unlink()
        _describe(folder, parcel)

    def licences(self) -> list[Licence]:
        version, licence = npm.locked(PACKAGE)[PACKAGE]
        return [Licence(f"{PACKAGE} {version} (ort/LICENSE.txt)", licence, inside=True)]

    def run(self, ground: Ground) -> Ran:
        _describe(ground.copy, ground.parcel)
        with (
            served.folder(ground.copy) as address,
            chromium.page(ground.scratch / "profile") as page,
        ):
            page.open(address)
            found = page.evaluate(ASK)
            versions = {PACKAGE: npm.locked(PACKAGE)[PACKAGE][0], "Chromium": page.version()}
        if page.complaints:
            raise TargetError(f"the page complains: {page.complaints[0]}")
        if page.strangers:
            raise TargetError(f"the page asks another server: {page.strangers[0]}")
        return Ran(_outputs(found, ground.parcel), versions, "in headless Chromium, on one thread")


def _held() -> dict[str, Path]:
    """The package's files that a page needs, from the cache. Raises EnvironmentFault."""
    version, _ = npm.locked(PACKAGE)[PACKAGE]
    folder = cache.root() / "npm" / f"{PACKAGE}-{version}"

    def make(place: Path) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="toolkit-") as scratch:
            shutil.copytree(packing.TEMPLATES / PACKAGE, scratch, dirs_exist_ok=True)
            npm.install(Path(scratch))
            for own, theirs in HELD.items():
                source = Path(scratch) / "node_modules" / PACKAGE / "dist" / theirs
                shutil.copyfile(source, place / own)
        return {"package": PACKAGE, "version": version}

    cache.made(folder, make)
    return {own: folder / own for own in HELD}


def _describe(folder: Path, parcel: Parcel) -> None:
    """page.json: what the page cannot find out by itself, since servers list no folders."""
    own, *external = modelfile.files(parcel.file.path)
    facts = {
        "name": own.stem,
        "external": [str(file.relative_to(own.parent)) for file in external],
        "sets": len(parcel.sets),
        "digits": parcel.digits,
    }
    (folder / PAGE).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")


def _outputs(found: Any, parcel: Parcel) -> Outputs:
    """Arrays from what the page returned. Raises TargetError where that is something else."""
    try:
        return [
            {spec.name: _array(one) for spec, one in zip(parcel.file.outputs, each, strict=True)}
            for each in found
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise TargetError(f"the page returned no outputs that can be read: {error}") from error


def _array(one: Mapping[str, Any]) -> Array:
    data = base64.b64decode(one["base64"])
    return np.frombuffer(data, dtype_of(one["type"])).reshape([int(size) for size in one["dims"]])


DESTINATION = OnnxRuntimeWeb
