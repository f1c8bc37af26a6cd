"""Which runtimes there are, by name. Nothing is imported until one is used."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from toolkit.errors import InputError, unknown
from toolkit.runtimes.base import Runtime, RuntimeFacts

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
    "torch",
    "tract",
    "tvm",
)
JAVASCRIPT = ("onnxruntime-node", "onnxruntime-web")
"""Those whose worker is workers/javascript/worker.mjs."""
GROUP = "toolkit.runtimes"
"""The entry points by which other packages add theirs: `name = package.module:Class`."""


@dataclass(frozen=True)
class RuntimeEntry:
    """Where the class of a runtime stands."""

    name: str
    module: str
    attribute: str
    package: Path | None = None
    """The top-level folder of a plug-in, to be laid beside our own for the child."""

    @property
    def language(self) -> Literal["python", "javascript"]:
        """In which its worker is written."""
        return "javascript" if self.package is None and self.name in JAVASCRIPT else "python"


def names() -> list[str]:
    """Every runtime that can be typed, in order of the alphabet."""
    return sorted({*BUILT_IN, *(point.name for point in _points())})


def find(name: str) -> RuntimeEntry:
    """Where the runtime stands; imports nothing. Raises InputError for an unknown name."""
    if name in BUILT_IN:
        return RuntimeEntry(name, f"toolkit.runtimes.{name.replace('-', '_')}", "RUNTIME")
    for point in _points():
        if point.name == name:
            return RuntimeEntry(name, point.module, point.attr, _package(point.module))
    raise InputError(unknown("runtime", name, names()))


def facts(listed: RuntimeEntry) -> type[RuntimeFacts] | None:
    """The class of a built-in runtime, which imports no library; None for a plug-in, whose code
    runs in a child only."""
    if listed.package is not None:
        return None
    return cast(
        type[RuntimeFacts], getattr(importlib.import_module(listed.module), listed.attribute)
    )


def load(module: str, attribute: str) -> Runtime:
    """The runtime itself. Called in the child only."""
    return cast(Runtime, getattr(importlib.import_module(module), attribute)())


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
