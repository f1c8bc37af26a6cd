"""ExecuTorch with XNNPACK, from the PyTorch source: exported, lowered, and its memory planned."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from toolkit.errors import ShapeRefused, TargetError, typed_line
from toolkit.runtimes.base import Call, Option, Placement, Program, known_source
from toolkit.sources import exchange, exported, factory
from toolkit.sources.exported import Signature
from toolkit.tensors import Array, Feed

FILE, SIGNATURE = "model.pte", "signature.json"

SINGLE, CHEAP = 512, 2**20
"""With one dynamic dimension memory is planned for 512 of it, if no input has more than 2**20
elements then."""
LEAST = 8
"""Else for four times the example, which is above every size that is judged, and never below 8.
With all dimensions at 512, a transformer of two small layers held 7 GB."""


class ExecuTorch:
    """ExecuTorch's portable runtime with the XNNPACK backend."""

    name: ClassVar[str] = "executorch"
    distributions: ClassVar[tuple[str, ...]] = ("executorch",)
    requirements: ClassVar[tuple[str, ...]] = (
        "executorch==1.5.1",
        "torch==2.13.0",
        "numpy==2.4.6",
        "safetensors==0.8.0",
    )
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "BSD-3-Clause"
    module: ClassVar[str] = "executorch"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "source"
    options: ClassVar[Mapping[str, Option]] = {
        "max": Option("auto", "the largest size of a dynamic dimension: memory is planned for it"),
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({},)
    environment: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        from executorch.extension.pybindings import portable_lib  # noqa: F401 - the library itself.
        from executorch.version import __version__

        return str(__version__)

    def library(self) -> Path:
        from executorch.extension.pybindings import _C

        return Path(str(_C.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

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

        assert program.converted is not None  # Rule R8.
        _limit_threads(program.threads)
        loaded = Runtime.get().load_program(program.converted / FILE)
        return ExecuTorchSession(loaded, exported.read(program.converted / SIGNATURE), program)


class ExecuTorchSession:
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

    def placement(self) -> Placement:
        return Placement({})

    def output_types(self) -> Mapping[str, str]:
        return {spec.name: spec.type for spec in self._program.outputs if spec.type == "bfloat16"}

    def copies(self) -> str:
        return "tensors in, new tensors out"

    def close(self) -> None:
        del self._method, self._loaded

    def _named(self, result: Sequence[Any]) -> dict[str, Array]:
        found = [value for value in result if hasattr(value, "dtype")]  # None is no tensor.
        names = [spec.name for spec in self._program.outputs]
        if len(found) != len(names):
            raise TargetError(f"the module gives {len(found)} outputs, the file {len(names)}")
        return dict(zip(names, map(exchange.array, found), strict=True))


def _most(program: Program, wanted: str) -> Callable[[int], int]:
    """From a dynamic dimension's size in the example to the largest that memory is planned for."""
    if wanted != "auto":
        if not wanted.isdecimal() or int(wanted) < 2:
            raise TargetError(f"executorch's option max is a size of 2 or more, not {wanted!r}")
        return lambda size: int(wanted)
    dynamic = {d for spec in program.inputs for d in spec.shape or () if not isinstance(d, int)}
    shapes = [
        [size if isinstance(size, int) else SINGLE for size in spec.shape or ()]
        for spec in program.inputs
    ]
    if len(dynamic) == 1 and max(map(math.prod, shapes)) <= CHEAP:
        return lambda size: max(SINGLE, 4 * size)
    return lambda size: max(LEAST, 4 * size)


def _lowered(graph: Any) -> bytes:
    """The program that the runtime reads. Raises TargetError where an operator has no kernel."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    try:
        edge = to_edge_transform_and_lower(graph, partitioner=[XnnpackPartitioner()])
        made = edge.to_executorch()
    except Exception as error:  # Its passes raise all kinds.
        operator = re.search(r"aten[.:]\w[\w.:]*", str(error))
        place = f" ({operator[0]})" if operator else ""
        raise TargetError(
            f"executorch cannot lower this model{place}: {typed_line(error)}"
        ) from error
    _check_kernels(made.executorch_program)
    return bytes(made.buffer)


def _check_kernels(made: Any) -> None:
    """Lowering takes operators that the runtime lacks, and loading then says `error 0x14` only."""
    from executorch.runtime import Runtime

    used = {
        f"{operator.name}.{operator.overload}" if operator.overload else operator.name
        for plan in made.execution_plan
        for operator in plan.operators
    }
    if lacking := sorted(used - Runtime.get().operator_registry.operator_names):
        raise TargetError(f"executorch has no kernel for {', '.join(lacking)}")


def _limit_threads(threads: int) -> None:
    """Rule R4. Two sessions of one process share the pool: it is not made anew for the second."""
    import torch
    from executorch.extension.pybindings import portable_lib

    torch.set_num_threads(1)  # It copies the outputs, with threads that are not the pool's.
    if portable_lib._threadpool_get_thread_count() != threads:
        portable_lib._unsafe_reset_threadpool(threads)  # There is no other way in from Python.
    if (found := portable_lib._threadpool_get_thread_count()) != threads:
        raise TargetError(f"executorch keeps {found} threads, {threads} were asked for")


RUNTIME = ExecuTorch
