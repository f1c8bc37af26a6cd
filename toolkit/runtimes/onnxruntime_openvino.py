"""ONNX Runtime with OpenVINO's execution provider, on the CPU and pinned to float32.

Its package owns the folder `onnxruntime` as the plain one does: it lives in an environment of its
own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from toolkit.errors import TargetError
from toolkit.runtimes.base import CPU, Option, Program
from toolkit.runtimes.onnxruntime import CPU_PROVIDER, OnnxRuntime

HINTS = {"float32": "f32", "bfloat16": "bf16"}
"""Precision → OpenVINO's name of it. It has no float16 on the CPU: the session would run on the CPU
provider of ONNX Runtime, and say so on its log alone."""


class OnnxRuntimeOpenVino(OnnxRuntime):
    """ONNX Runtime from the package onnxruntime-openvino."""

    name = "onnxruntime-openvino"
    writes_optimised = False  # OpenVINO optimises by itself.
    distributions = ("onnxruntime-openvino",)
    requirements = ("onnxruntime-openvino==1.24.1", "numpy==2.4.6")
    providers = (CPU,)
    options: ClassVar[Mapping[str, Option]] = {
        **{key: OnnxRuntime.options[key] for key in ("io", "optimize", "spinning")},
        "precision": Option("float32", "what OpenVINO computes in", tuple(HINTS)),
    }
    # `cpu` is OpenVINO's provider here; a node that ONNX Runtime's own takes ran elsewhere (R2).
    own_names: ClassVar[Mapping[str, str]] = {
        "OpenVINOExecutionProvider": "cpu",
        CPU_PROVIDER: "onnxruntime-cpu",
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
