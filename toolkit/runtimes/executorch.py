"""ExecuTorch with XNNPACK, from the PyTorch source: exported, lowered, and its memory planned."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from toolkit.errors import ShapeRefused, TargetError, typed_line
from toolkit.runtimes.base import Call, Option, Program, Runtime, Session, known_source
from toolkit.sources import exchange, exported, factory
from toolkit.sources.exported import Signature
from toolkit.tensors import Array, Feed

FILE, SIGNATURE = "model.pte", "signature.json"

SINGLE, CHEAP = 512, 2**20
"""Where there is one dynamic dimension, memory is planned for 512 of it, unless an input would have
more than 2**20 elements then."""
LEAST = 8
"""Else memory is planned for four times the example, which is above every size that is judged, and
never for less than 8. With all dimensions at 512 a transformer of two small layers held 7 GB."""


class ExecuTorch(Runtime):
    """ExecuTorch's portable runtime with the XNNPACK backend."""

    name = "executorch"
    distributions = ("executorch",)
    requirements = (
        "executorch==1.5.1",
        "torch==2.13.0",
        "numpy==2.4.6",
        "safetensors==0.8.0",
    )
    licence = "BSD-3-Clause"
    module = "executorch"
    starts_from = "source"
    options: ClassVar[Mapping[str, Option]] = {
        "max": Option("auto", "the largest size of a dynamic dimension: memory is planned for it"),
    }

    def version(self) -> str:
        from executorch.extension.pybindings import portable_lib  # noqa: F401 - the library itself.
        from executorch.version import __version__

        return str(__version__)

    def library(self) -> Path:
        from executorch.extension.pybindings import _C

        return Path(str(_C.__file__))

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        source = known_source(program, self.name)
        wide = exported.widened(program.inputs, feed)
        tensors = {s.name: exchange.tensor(wide[s.name], s.type) for s in program.inputs}
        graph, signature = exported.export(
            factory.build(source), program.inputs, tensors, _most(program, options["max"])
        )
        (folder / FILE).write_bytes(_lowered(graph))
        signature.write(folder / SIGNATURE)

    def load(
        self, program: Program, provider: str, options: Mapping[str, str]
    ) -> ExecuTorchSession:
        from executorch.runtime import Runtime

        assert program.converted is not None  # R8
        _limit_threads(program.threads)
        loaded = Runtime.get().load_program(program.converted / FILE)
        return ExecuTorchSession(loaded, exported.read(program.converted / SIGNATURE), program)


class ExecuTorchSession(Session):
    """One method of one program."""

    def __init__(self, loaded: Any, signature: Signature, program: Program) -> None:
        # The method reads the program's memory, which ends with the program: SIGSEGV.
        self._loaded = loaded
        self._method = loaded.load_method("forward")
        self._signature = signature
        self._program = program

    def bind(self, feed: Feed) -> Call:
        if refusal := self._signature.refusal(feed):
            largest = max(max(array.shape, default=1) for array in feed.values())
            raise ShapeRefused(
                refusal, f"--target executorch,max={largest}    plans memory for larger sizes"
            )
        types = {spec.name: spec.type for spec in self._program.inputs}
        tensors = [exchange.tensor(feed[name], types[name]) for name in self._signature.order]
        return Call(partial(self._method.execute, tensors), self._named)

    def output_types(self) -> Mapping[str, str]:
        return {spec.name: spec.type for spec in self._program.outputs if spec.type == "bfloat16"}

    def copies(self) -> str:
        return "tensors in, new tensors out"

    def _named(self, result: Sequence[Any]) -> dict[str, Array]:
        tensors = [value for value in result if hasattr(value, "dtype")]  # None is no tensor.
        names = [spec.name for spec in self._program.outputs]
        if len(tensors) != len(names):
            raise TargetError(f"the module gives {len(tensors)} outputs, the file {len(names)}")
        return dict(zip(names, map(exchange.array, tensors), strict=True))


def _most(program: Program, option: str) -> Callable[[int], int]:
    """A function from a dynamic dimension's size in the example to the largest that memory is
    planned for. Raises TargetError for a value of `max` that is no size."""
    if option != "auto":
        if not option.isdecimal() or int(option) < 2:
            raise TargetError(f"executorch's option max is a size of 2 or more, not {option!r}")
        return lambda size: int(option)
    dynamic = {d for spec in program.inputs for d in spec.shape or () if not isinstance(d, int)}
    shapes = [
        [size if isinstance(size, int) else SINGLE for size in spec.shape or ()]
        for spec in program.inputs
    ]
    if len(dynamic) == 1 and max(map(math.prod, shapes)) <= CHEAP:
        return lambda size: max(SINGLE, 4 * size)
    return lambda size: max(LEAST, 4 * size)


def _lowered(graph: Any) -> bytes:
    """Lowers a graph to the bytes of a .pte. Raises TargetError where an operator has no kernel."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    try:
        edge = to_edge_transform_and_lower(graph, partitioner=[XnnpackPartitioner()])
        lowered = edge.to_executorch()
    except Exception as error:  # Its passes raise all kinds.
        operator = re.search(r"aten[.:]\w[\w.:]*", str(error))
        named = f" ({operator[0]})" if operator else ""
        raise TargetError(
            f"executorch cannot lower this model{named}: {typed_line(error)}"
        ) from error
    _check_kernels(lowered.executorch_program)
    return bytes(lowered.buffer)


def _check_kernels(program: Any) -> None:
    """Raises TargetError for operators that the runtime lacks: lowering takes them, and loading
    then says `error 0x14` only."""
    from executorch.runtime import Runtime

    used = {
        f"{operator.name}.{operator.overload}" if operator.overload else operator.name
        for plan in program.execution_plan
        for operator in plan.operators
    }
    if lacking := sorted(used - Runtime.get().operator_registry.operator_names):
        raise TargetError(f"executorch has no kernel for {', '.join(lacking)}")


def _limit_threads(threads: int) -> None:
    """Sets the number of threads (R4). Sessions of one process share the pool: the second finds it
    as it is."""
    import torch
    from executorch.extension.pybindings import portable_lib

    torch.set_num_threads(1)  # It copies the outputs, with threads that are not the pool's.
    if portable_lib._threadpool_get_thread_count() != threads:
        portable_lib._unsafe_reset_threadpool(threads)  # There is no other way in from Python.
    if (count := portable_lib._threadpool_get_thread_count()) != threads:
        raise TargetError(f"executorch keeps {count} threads, {threads} were asked for")


RUNTIME = ExecuTorch
