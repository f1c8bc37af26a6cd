"""Runs the model in this folder with ONNX Runtime, on the CPU.

    python client.py                     the test data in this folder
    python client.py x.npy               your own inputs, one .npy file for each
    python client.py --output results    writes what comes out, as .npy files

To use the model in a program of yours, take the class `Model`; console.py is only the command line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

# The official packages of ONNX Runtime report usage to their maker unless this is set before the
# import; it is only a default, so that you can decide otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

import console
from console import Array


class Model:
    """The network, loaded once; `run` may be called from several threads."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.runtime = f"onnxruntime {ort.__version__}"
        self.inputs = [node.name for node in self._session.get_inputs()]
        self.outputs = [node.name for node in self._session.get_outputs()]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`.

        ONNX Runtime raises for an array of another type or shape than the model takes.
        """
        return self._session.run(self.outputs, dict(zip(self.inputs, arrays, strict=True)))


if __name__ == "__main__":
    console.main(Model)
