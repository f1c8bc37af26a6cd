"""Lists the runtimes by name. Nothing is imported until one is used."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from toolkit.errors import InputError, unknown
from toolkit.runtimes import base
from toolkit.runtimes.base import Provider, Runtime, RuntimeFacts

BUILT_IN = (
    "executorch",
    "fake",
    "iree",
    "litert",
    "mnn",
    "ncnn",
    "onnxruntime",
    "onnxruntime-node",
    "onnxruntime-openvino",
    "onnxruntime-web",
    "opencv",
    "openvino",
    "reference",
    "tinygrad",
    "torch",
    "tract",
    "tvm",
)
JAVASCRIPT = ("onnxruntime-node", "onnxruntime-web")
"""The runtimes whose worker is workers/javascript/worker.mjs."""
GROUP = "toolkit.runtimes"
"""The entry points by which other packages add theirs: `name = package.module:Class`."""


@dataclass(frozen=True)
class RuntimeEntry:
    """The place where the class of a runtime stands, without an import of it."""

    name: str
    module: str
    attribute: str
    package: Path | None = None
    """The top-level folder of a plug-in, to be laid beside our own for the child."""

    @property
    def language(self) -> Literal["python", "javascript"]:
        """The language of its worker."""
        return "javascript" if self.package is None and self.name in JAVASCRIPT else "python"


def names() -> list[str]:
    """Every runtime that can be typed, in alphabetical order."""
    return sorted({*BUILT_IN, *(point.name for point in _points())})


def find(name: str) -> RuntimeEntry:
    """Finds the class of a runtime; imports nothing. Raises InputError for an unknown name."""
    if name in BUILT_IN:
        return RuntimeEntry(name, f"toolkit.runtimes.{name.replace('-', '_')}", "RUNTIME")
    for point in _points():
        if point.name == name:
            return RuntimeEntry(name, point.module, point.attr, _package(point.module))
    raise InputError(unknown("runtime", name, names()))


def facts(entry: RuntimeEntry) -> type[RuntimeFacts] | None:
    """The class of a built-in runtime, whose module imports no library; None for a plug-in, whose
    code runs in a worker only."""
    if entry.package is not None:
        return None
    return cast(type[RuntimeFacts], getattr(importlib.import_module(entry.module), entry.attribute))


def provider(entry: RuntimeEntry, name: str) -> Provider:
    """A provider of a runtime with its facts, read without the library; '' is its default.

    For a plug-in they are those of the well-known provider of that name, or of a processor. So they
    are for a name that the runtime does not have: its worker refuses that.
    """
    runtime = facts(entry)
    own = base.providers(runtime) if runtime else (base.CPU,)
    known = {**base.WELL_KNOWN, **{provider.name: provider for provider in own}, "": own[0]}
    return known.get(name, Provider(name))


def load(module: str, attribute: str) -> Runtime:
    """The runtime itself, with the defaults that its class leaves out. Called in a worker only."""
    return base.completed(getattr(importlib.import_module(module), attribute))()


def _points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=GROUP))


def _package(module: str) -> Path:
    top = module.split(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise InputError(f"the plug-in {top} is listed but its files are gone; install it again")
    file = Path(spec.origin)
    if file.name != "__init__.py":
        raise InputError(f"the plug-in {top} is one file; a runtime's plug-in must be a package")
    return file.parent
