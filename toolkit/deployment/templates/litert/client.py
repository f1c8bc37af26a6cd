"""Runs the model in this folder with LiteRT, on the CPU.

    python client.py                     the test data in this folder
    python client.py x.npy               your own inputs, one .npy file for each
    python client.py --output results    writes what comes out, as .npy files

To use the model in a program of yours, take the class `Model` and tensors.py; console.py is only
the command line.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter

import console
from console import Array, ShapeRefused
from tensors import Tensors


class Model:
    """The network; `run` is for one thread at a time."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        self._file, self._threads = str(file), threads
        self._tensors = Tensors(file.with_name("tensors.json"))
        self._shapes: list[tuple[int, ...]] | None = None
        self.runtime = f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}"
        self.inputs = [tensor.name for tensor in self._tensors.inputs]
        self.outputs = [tensor.name for tensor in self._tensors.outputs]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`.

        Another shape than that of the call before costs more: memory is laid out anew.
        """
        ready = self._tensors.check(arrays)
        shapes = [array.shape for array in ready]
        if shapes != self._shapes:
            self._shapes = None
            self._lay_out(ready)
            self._shapes = shapes
        return self._tensors.fit(ready, self._invoke(ready))

    def _lay_out(self, arrays: Sequence[Array]) -> None:
        """Lays out memory for these shapes, in a new interpreter: one that refused a shape cannot
        be used again."""
        self._interpreter = Interpreter(model_path=self._file, num_threads=self._threads)
        inputs = _numbers(self._interpreter.get_input_details())
        outputs = _numbers(self._interpreter.get_output_details())
        self._input_numbers = [inputs[_kept(name)] for name in self.inputs]
        # An output that the converter would have transposed has another name.
        self._output_numbers = [
            outputs.get(f"toolkit_output_{index}", outputs.get(_kept(name), -1))
            for index, name in enumerate(self.outputs)
        ]
        try:
            for number, array in zip(self._input_numbers, arrays, strict=True):
                self._interpreter.resize_tensor_input(number, array.shape)
            self._interpreter.allocate_tensors()
            self._invoke(arrays)  # Sizes that the network itself computes are known after a run.
        except (RuntimeError, ValueError) as error:
            raise ShapeRefused(f"LiteRT: {str(error).splitlines()[0]}") from error

    def _invoke(self, arrays: Sequence[Array]) -> list[Array]:
        for number, array in zip(self._input_numbers, arrays, strict=True):
            self._interpreter.set_tensor(number, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(number) for number in self._output_numbers]


def _numbers(details: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {detail["name"]: int(detail["index"]) for detail in details}


def _kept(name: str) -> str:
    """Returns a name as the converter keeps it."""
    return name.replace(":", "__")


if __name__ == "__main__":
    console.main(Model, "model.tflite")
