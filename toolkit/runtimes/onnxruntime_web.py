"""ONNX Runtime on WebAssembly and WebGPU, in a page of a browser or, without one, in Node.

A page's clock is coarse: 5 µs where the page is isolated, as ours is, 100 µs where it is not. A
block of calls is then timed in batches of 100 steps of the clock or more, and each of a batch's
calls counts with the batch's mean: the median of a block is that of its batches, and what a single
slow call took is not seen. The report says so beside the copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from toolkit.runtimes.base import WASM, WEBGPU, Option, RuntimeFacts


class OnnxRuntimeWeb(RuntimeFacts):
    """The facts of the runtime; its worker is workers/javascript/worker.mjs."""

    name = "onnxruntime-web"
    requirements = (
        "onnxruntime-web==1.30.0",
        "playwright-core==1.65.1",
    )
    licence = "MIT"
    module = "onnxruntime-web"
    providers = (WASM, WEBGPU)
    options: ClassVar[Mapping[str, Option]] = {
        "in": Option("browser", "what runs it; node has wasm only", ("browser", "node")),
        "optimize": Option(
            "all", "graph optimisations", ("none", "basic", "extended", "layout", "all")
        ),
        "adapter": Option(
            "hardware",
            "webgpu: a GPU, or Chromium's own software that computes on the processor",
            ("hardware", "swiftshader"),
        ),
        "sandbox": Option(
            "auto", "the browser's own; auto is on, but as root, where it has none", ("auto", "off")
        ),
    }


RUNTIME = OnnxRuntimeWeb
