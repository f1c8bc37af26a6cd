"""ONNX Runtime in Node: its CPU library, called from JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from toolkit.runtimes.base import Option, RuntimeFacts


class OnnxRuntimeNode(RuntimeFacts):
    """The facts of the runtime; its worker is workers/javascript/worker.mjs."""

    name = "onnxruntime-node"
    requirements = ("onnxruntime-node==1.30.0",)
    licence = "MIT"
    module = "onnxruntime-node"
    options: ClassVar[Mapping[str, Option]] = {
        "optimize": Option(
            "all", "graph optimisations", ("none", "basic", "extended", "layout", "all")
        ),
        "spinning": Option("off", "idle threads wait in a loop", ("off", "on")),
    }
    environment: ClassVar[Mapping[str, str]] = {"ORT_DISABLE_TELEMETRY": "1"}


RUNTIME = OnnxRuntimeNode
