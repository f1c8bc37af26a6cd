"""Runs the model in this folder with ExecuTorch, on the CPU.

    python client.py                     the test data in this folder
    python client.py x.npy               your own inputs, one .npy file for each
    python client.py --output results    writes what comes out, as .npy files

To use the model in a program of yours, take the class `Model` and tensors.py; console.py is only
the command line.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from executorch.extension.pybindings import portable_lib
from executorch.runtime import Runtime

import console
from console import Array, ShapeRefused
from tensors import Tensors


class Model:
    """The network; `run` is for one thread at a time."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        # The threads are the whole process's, and there is no other way to their number.
        portable_lib._unsafe_reset_threadpool(threads)
        torch.set_num_threads(1)  # PyTorch copies the outputs, with threads of its own.
        # The method reads the program's memory, so that has to stay.
        self._program = Runtime.get().load_program(file)
        self._method = self._program.load_method("forward")
        self._tensors = Tensors(file.with_name("tensors.json"))
        signature = json.loads(file.with_name("signature.json").read_text("utf-8"))
        self._order: list[str] = [*signature["positional"], *signature["named"]]
        self._ranges = signature["ranges"]
        self.runtime = f"executorch {importlib.metadata.version('executorch')}"
        self.inputs = [tensor.name for tensor in self._tensors.inputs]
        self.outputs = [tensor.name for tensor in self._tensors.outputs]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`.

        Raises ShapeRefused for sizes that no memory was planned for.
        """
        given = dict(zip(self.inputs, self._tensors.check(arrays), strict=True))
        for name, array in given.items():
            self._demand(name, array)
        tensors = [torch.from_numpy(given[name].copy()) for name in self._order]
        values = self._method.execute(tensors)
        outputs = [value.numpy().copy() for value in values if isinstance(value, torch.Tensor)]
        return self._tensors.fit(arrays, outputs)

    def _demand(self, name: str, array: Array) -> None:
        ranges = zip(array.shape, self._ranges[name], strict=True)
        for axis, (size, (least, most)) in enumerate(ranges):
            if size < least or (most is not None and size > most):
                allowed = f"{least} to {most}" if most is not None else f"{least} or more"
                raise ShapeRefused(f"dimension {axis} of {name} may be {allowed}, not {size}")


if __name__ == "__main__":
    console.main(Model, "model.pte")
