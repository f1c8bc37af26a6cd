"""Runs the model in this folder with ncnn, on the CPU.

    python client.py                     the test data in this folder
    python client.py x.npy               your own inputs, one .npy file for each
    python client.py --output results    writes what comes out, as .npy files

To use the model in a program of yours, take the class `Model` and tensors.py; console.py is only
the command line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import ncnn
import numpy as np

import console
from console import Array, ShapeRefused
from tensors import Tensors

LOWER = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)
"""The switches of the lower precisions, some of which are on by default."""


class Model:
    """The network. ncnn's calls give codes and raise nothing, so each is looked at."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        self._net.opt.use_vulkan_compute = False
        # By itself ncnn computes in float16 where it can. Take these lines out to let it: its
        # errors are then some thousand times as large.
        for switch in LOWER:
            setattr(self._net.opt, switch, False)
        _demand(self._net.load_param(str(file)))
        _demand(self._net.load_model(str(file.with_suffix(".bin"))))
        self._tensors = Tensors(file.with_name("tensors.json"))
        # ncnn's own tensors count without the axis of the batch: this says which it is.
        self._axes = json.loads(file.with_name("axes.json").read_text("utf-8"))
        self.runtime = f"ncnn {ncnn.__version__}, pinned to float32"
        self.inputs = [tensor.name for tensor in self._tensors.inputs]
        self.outputs = [tensor.name for tensor in self._tensors.outputs]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`."""
        ready = [_narrow(array) for array in self._tensors.check(arrays)]
        extractor = self._net.create_extractor()  # A new one: a second extract computes nothing.
        for index, (array, axis) in enumerate(zip(ready, self._axes["inputs"], strict=True)):
            # A copy: ncnn would write into numpy's own memory, or crash.
            mat = ncnn.Mat(array, batch_index=axis).clone()
            _demand(extractor.input(f"in{index}", mat))
        outputs = []
        for index, axis in enumerate(self._axes["outputs"]):
            code, mat = extractor.extract(f"out{index}")
            _demand(code)
            outputs.append(np.array(mat.numpy(batch_index=axis)))
        return self._tensors.fit(arrays, outputs)


def _demand(code: int) -> None:
    """Raises ShapeRefused for any code but 0, success: a net that was loaded gives others for
    shapes that it cannot take."""
    if code:
        raise ShapeRefused(f"ncnn gives code {code}")


def _narrow(array: Array) -> Array:
    """Casts int64, which ncnn has not, to int32. Raises ValueError where a value does not fit."""
    if array.dtype != np.int64:
        return array
    narrow = array.astype(np.int32)
    if (narrow != array).any():
        raise ValueError("ncnn has no int64, and a value needs it")
    return narrow


if __name__ == "__main__":
    console.main(Model, "model.ncnn.param")
