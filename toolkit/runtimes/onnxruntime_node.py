"""ONNX Runtime in Node: the library of the processor, called from JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from toolkit.runtimes.base import Option


class OnnxRuntimeNode:
    """The facts; the worker is workers/javascript/worker.mjs."""

    name: ClassVar[str] = "onnxruntime-node"
    distributions: ClassVar[tuple[str, ...]] = ()
    requirements: ClassVar[tuple[str, ...]] = ("onnxruntime-node==1.30.0",)
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "MIT"
    module: ClassVar[str] = "onnxruntime-node"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {
        "optimize": Option(
            "all", "graph optimisations", ("none", "basic", "extended", "layout", "all")
        ),
        "spinning": Option("off", "idle threads wait in a loop", ("off", "on")),
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({},)
    environment: ClassVar[Mapping[str, str]] = {"ORT_DISABLE_TELEMETRY": "1"}

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"


RUNTIME = OnnxRuntimeNode
