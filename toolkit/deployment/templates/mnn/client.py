"""Runs the model in this folder with MNN, on the CPU.

    python client.py                     the test data in this folder
    python client.py x.npy               your own inputs, one .npy file for each
    python client.py --output results    writes what comes out, as .npy files

To use the model in a program of yours, take the class `Model` and tensors.py; console.py is only
the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import MNN
import MNN.expr as expr
import MNN.nn as nn
import numpy as np

import console
from console import Array, ShapeRefused
from tensors import Tensors

FED = {
    "float32": np.float32,
    "int32": np.int32,
    "int64": np.int32,
    "bool": np.int32,
    "uint8": np.uint8,
    "int8": np.int8,
}
"""Type of an input → what MNN takes: it knows neither int64 nor bool."""

TYPES = {"float32": expr.float, "int32": expr.int, "uint8": expr.uint8, "int8": expr.int8}


class Model:
    """The network; `run` is for one thread at a time."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        self._tensors = Tensors(file.with_name("tensors.json"))
        self.runtime = f"MNN {MNN.version()}, pinned to float32"
        self.inputs = [tensor.name for tensor in self._tensors.inputs]
        self.outputs = [tensor.name for tensor in self._tensors.outputs]
        # On some processors MNN computes in lower precision unless it is asked for the high one.
        settings = {"backend": "CPU", "precision": "high", "numThread": threads}
        self._module = nn.load_module_from_file(
            str(file),
            self.inputs,
            self.outputs,
            runtime_manager=nn.create_runtime_manager((settings,)),
        )

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`."""
        ready = [_narrow(array) for array in self._tensors.check(arrays)]
        if any(array.size == 0 for array in ready):
            raise ShapeRefused("MNN ends its process at an input without elements")
        outputs = self._module.forward(
            [expr.const(a, list(a.shape), expr.NCHW, TYPES[a.dtype.name]) for a in ready]
        )
        return self._tensors.fit(arrays, [_array(output) for output in outputs])


def _array(output: expr.Var) -> Array:
    # In NC4HW4 the channels lie in fours, the last ones padded.
    plain = output.data_format != expr.NC4HW4
    return np.array((output if plain else expr.convert(output, expr.NCHW)).read())


def _narrow(array: Array) -> Array:
    """Casts to the type that MNN takes. Raises ValueError for an int64 that does not fit."""
    narrow = array.astype(FED[array.dtype.name], copy=False)
    if (narrow != array).any() and array.dtype == np.int64:
        raise ValueError("MNN has no int64, and a value needs it")
    return narrow


if __name__ == "__main__":
    console.main(Model, "model.mnn")
