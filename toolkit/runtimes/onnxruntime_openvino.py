"""ONNX Runtime with OpenVINO's execution provider, on the CPU and pinned to float32.

Its package owns the folder `onnxruntime` as the plain one does: it lives in an environment of its
own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from toolkit.errors import TargetError
from toolkit.runtimes.base import Option, Program
from toolkit.runtimes.onnxruntime import CPU, OnnxRuntime

HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OnnxRuntimeOpenVino(OnnxRuntime):
    """ONNX Runtime from the package onnxruntime-openvino."""

    name: ClassVar[str] = "onnxruntime-openvino"
    distributions: ClassVar[tuple[str, ...]] = ("onnxruntime-openvino",)
    requirements: ClassVar[tuple[str, ...]] = ("onnxruntime-openvino==1.24.1", "numpy==2.4.6")
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    options: ClassVar[Mapping[str, Option]] = {
        **{key: OnnxRuntime.options[key] for key in ("io", "optimize", "spinning")},
        "precision": Option("float32", "what OpenVINO computes in", tuple(HINTS)),
    }
    # The cpu is OpenVINO's; what ONNX Runtime's own provider takes ran elsewhere.
    own_names: ClassVar[Mapping[str, str]] = {
        "OpenVINOExecutionProvider": "cpu",
        CPU: "onnxruntime-cpu",
    }

    def precision(self, options: Mapping[str, str]) -> str:
        return options["precision"]

    def check_package(self, package: str) -> None:
        if package != self.name:
            raise TargetError(
                f"this environment holds {package or 'another onnxruntime'} in place of"
                f" {self.name}: they own the same folder",
                f"toolkit runtimes install {self.name}    makes an environment of its own",
            )

    def provider_options(
        self, program: Program, provider: str, options: Mapping[str, str]
    ) -> dict[str, str]:
        properties = {
            "INFERENCE_PRECISION_HINT": HINTS[options["precision"]],
            "ENABLE_CPU_PINNING": "NO",  # The parent says on which cores it runs.
        }
        return {
            "device_type": "CPU",
            "num_of_threads": str(program.threads),
            "load_config": json.dumps({"CPU": properties}),
        }


RUNTIME = OnnxRuntimeOpenVino
