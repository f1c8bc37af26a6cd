"""Runs the model in this folder with OpenVINO, on the CPU.

    python client.py                     the test data in this folder
    python client.py x.npy               your own inputs, one .npy file for each
    python client.py --output results    writes what comes out, as .npy files

To use the model in a program of yours, take the class `Model`; console.py is only the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

# Importing OpenVINO reports that to its maker, by this package. Without it OpenVINO is silent; take
# the line out if you want to report.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import numpy as np
import openvino as ov

import console
from console import Array


class Model:
    """The network, compiled once. It has one request: `run` is for one thread at a time."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        settings = {
            "INFERENCE_NUM_THREADS": str(threads),
            "PERFORMANCE_HINT": "LATENCY",
            # By itself OpenVINO computes in bfloat16 on processors that have it, so the answers
            # would differ from machine to machine. Take this line out to let it: faster, and with
            # errors some thousand times as large.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = ov.Core().compile_model(file, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._ports = compiled.inputs
        self.runtime = f"openvino {ov.__version__.split('-')[0]}, pinned to float32"
        self.inputs = [port.get_any_name() for port in compiled.inputs]
        self.outputs = [port.get_any_name() for port in compiled.outputs]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`.

        Raises TypeError for an array of another type: OpenVINO would cast it without a word.
        """
        for port, array in zip(self._ports, arrays, strict=True):
            if array.dtype != port.get_element_type().to_dtype():
                raise TypeError(f"{port.get_any_name()} takes {port.get_element_type()}")
        result = self._request.infer(dict(enumerate(arrays)))
        return [np.array(result[index]) for index in range(len(self.outputs))]


if __name__ == "__main__":
    console.main(Model)
