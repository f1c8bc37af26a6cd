"""Runs the model in this folder with IREE, on the CPU.

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

import iree.runtime as rt
import numpy as np

import console
from console import Array
from tensors import Tensors


class Model:
    """The compiled network; `run` is for one thread at a time."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        if threads == 1:
            device = rt.get_device("local-sync")  # Works in the calling thread.
        else:
            rt.flags.parse_flags(f"--task_topology_group_count={threads}")
            device = rt.get_device("local-task")
        config = rt.Config(device=device)
        module = rt.VmModule.mmap(config.vm_instance, str(file))
        self._call = rt.load_vm_module(module, config)["model"]
        self._tensors = Tensors(file.with_name("tensors.json"))
        self.runtime = f"iree {importlib.metadata.version('iree-base-runtime')}"
        self.inputs = [tensor.name for tensor in self._tensors.inputs]
        self.outputs = [tensor.name for tensor in self._tensors.outputs]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Inputs in the order of `inputs`, outputs in that of `outputs`."""
        returned = self._call(*self._tensors.check(arrays))
        outputs = returned if isinstance(returned, (tuple, list)) else [returned]
        # `fit` casts: IREE gives unsigned integers as signed ones.
        return self._tensors.fit(arrays, [np.array(output.to_host()) for output in outputs])


if __name__ == "__main__":
    console.main(Model, "model.vmfb")
