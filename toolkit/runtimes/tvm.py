"""Apache TVM on the CPU: the .onnx read into Relax and compiled ahead of time by LLVM, untuned.

Without tuning its loops are plain ones: slow, convolutions above all, and all in one thread.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ShapeRefused, TargetError, first_line
from toolkit.runtimes.base import (
    Call,
    Moves,
    Option,
    Program,
    Runtime,
    Session,
    check_types,
    shapes_of,
)
from toolkit.runtimes.support import fitting, fixedshapes, plainform
from toolkit.tensors import Array, Feed

ENTRY = "main"
"""The name that TVM's reader of .onnx gives the function that it makes of the graph."""
LIBRARY = "model.so"
PLAIN = "model.onnx"

LACKS = re.compile(r"not supported for frontend ONNX: (.+)")
"""Matches the place where the reader names the operators that it lacks."""
CALL = re.compile(r"Offending call:\s+R\.([\w.]+)")
"""Matches the place where the compiler names an operator of Relax for which it made no code."""
FIXED = "--target tvm,shapes=fixed    compiles it for the shapes of the first feed alone"
MISFIT = re.compile(r"param=(.+), annotation=R\.Tensor\((\(.*?\)), dtype.*match_cast", re.DOTALL)
"""Matches the words in which the compiled function refuses an input of another shape."""


class Tvm(Runtime):
    """TVM's reader of .onnx, its "zero" pipeline for LLVM, and its virtual machine."""

    name = "tvm"
    distributions = ("apache-tvm",)
    requirements = (
        "apache-tvm==0.27.0.post1",
        "apache-tvm-ffi==0.1.15.post2",
        "onnx==1.23.2",
        "numpy==2.4.6",
    )
    licence = "Apache-2.0"
    module = "tvm"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the call", ("numpy", "bound")),
        "processor": Option("host", "what the code is compiled for", ("host", "generic")),
        "shapes": fixedshapes.OPTION,
    }
    variants = ({}, {"io": "bound"})
    # The parent says on which cores the worker runs.
    environment: ClassVar[Mapping[str, str]] = {"TVM_BIND_THREADS": "0"}

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        """Fills `folder` with a shared library (R8)."""
        check_types(program, self.name)
        _check_linker()
        assert program.model is not None  # It starts from the model.
        plainform.write(program.model, folder / PLAIN)
        shapes = fixedshapes.of(program, feed, options["shapes"])
        try:
            executable = _compiled(folder / PLAIN, program, shapes, options["processor"])
            executable.export_library(str(folder / LIBRARY))
        except TargetError:
            raise
        except Exception as error:  # TVM's errors have no common base.
            sys.stderr.write(f"{error}\n")  # The worker's log.
            cures = () if shapes or not CALL.search(str(error)) else (FIXED,)
            raise TargetError(_reason(error), *cures) from error
        (folder / PLAIN).unlink()
        fixedshapes.write(shapes, folder)

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> TvmSession:
        import tvm

        assert program.converted is not None  # R8
        # R4: its pool reads that when it starts, with the first loop that asks for threads.
        os.environ["TVM_NUM_THREADS"] = str(program.threads)
        library = tvm.runtime.load_module(str(program.converted / LIBRARY))
        machine = tvm.relax.VirtualMachine(library, tvm.cpu())
        shapes = fixedshapes.read(program.converted)
        return TvmSession(machine[ENTRY], program, shapes, bound=options["io"] == "bound")


class TvmSession(Session):
    """One compiled function."""

    def __init__(
        self, function: Any, program: Program, shapes: fixedshapes.Shapes, *, bound: bool
    ) -> None:
        self._function = function
        self._program = program
        self._shapes = shapes
        self._bound = bound

    def bind(self, feed: Feed) -> Call:
        import tvm

        fixedshapes.demand(self._shapes, feed)
        # By position, in the order that `convert` has compared.
        arrays = [np.asarray(feed[spec.name], order="C") for spec in self._program.inputs]
        buffers = [tvm.runtime.empty(array.shape, array.dtype.name) for array in arrays]
        into = partial(_fill, [np.from_dlpack(buffer) for buffer in buffers], arrays)
        run = partial(self._function, *buffers)
        fitted = partial(fitting.outputs, self._program, feed)
        read = partial(_arrays, several=len(self._program.outputs) > 1)
        into()
        try:
            left = run()
        except Exception as error:  # TVM's errors have no common base.
            raise ShapeRefused(f"at the shape {shapes_of(feed)}: {_reason(error)}") from error
        fitted(read(left))  # A shape that it gets wrong is refused here.
        if self._bound:
            return Call(run, lambda left: fitted(read(left)), moves=Moves())
        return Call(partial(_whole, into, run, read), fitted, moves=Moves(into))

    def copies(self) -> str:
        if self._bound:
            return "inputs lie in TVM's tensors, outputs stay in new ones"
        return "inputs are copied to TVM's tensors, outputs are read where they lie"


def _check_linker() -> None:
    from tvm.support import cc

    if cc.get_cc() is None:
        raise TargetError(
            "tvm links what it compiled with a C++ compiler, and there is none on the PATH",
            "sudo apt install g++    on Debian and Ubuntu; CXX= names another one",
        )


def _compiled(file: Path, program: Program, shapes: fixedshapes.Shapes, processor: str) -> Any:
    import onnx
    import tvm
    from tvm.relax.frontend.onnx import from_onnx

    model = onnx.load(str(file))
    fixedshapes.fix(model.graph, shapes)
    _name_dimensions(model.graph)
    module = from_onnx(model, sanitize_input_names=False)
    names = [parameter.name for parameter in module[ENTRY].params]
    if names != [spec.name for spec in program.inputs]:
        raise TargetError(f"tvm kept other inputs than the model's: {', '.join(names)}")
    target = {"kind": "llvm"}
    if processor == "host":
        target["mcpu"] = tvm.get_global_func("target.llvm_get_system_cpu")()
    module = tvm.relax.get_pipeline("zero")(module)
    return tvm.compile(module, target=tvm.target.Target(target))


def _name_dimensions(graph: Any) -> None:
    """Gives each dynamic dimension whose name is no identifier a name of its own: TVM calculates
    with '-' and '/' in a name, and takes all that have no name for one and the same."""
    names: dict[str, str] = {}
    for info in graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value") and not dim.dim_param.isidentifier():
                text = dim.dim_param or f"{len(names)}"
                dim.dim_param = names.setdefault(text, f"dimension_{len(names)}")


def _fill(views: Sequence[Array], arrays: Sequence[Array]) -> None:
    for view, array in zip(views, arrays, strict=True):
        np.copyto(view, array)


def _whole(
    into: Callable[[], None], run: Callable[[], Any], read: Callable[[Any], list[Array]]
) -> list[Array]:
    into()
    return read(run())


def _arrays(left: Any, *, several: bool) -> list[Array]:
    """Reads the outputs where they lie. What is a shape to TVM is int64 to ONNX."""
    return [
        np.from_dlpack(output) if hasattr(output, "__dlpack__") else np.array(output, np.int64)
        for output in (left if several else [left])
    ]


def _reason(error: Exception) -> str:
    """An error of TVM's, which prints pages, in one line."""
    text = str(error)
    if lacks := LACKS.search(text):
        return f"tvm has no {lacks[1]}"
    if call := CALL.search(text):
        return f"tvm has no code for {call[1]} at these dimensions"
    if misfit := MISFIT.search(text):
        return f"tvm compiled {misfit[1]!r} for {misfit[2]}"
    if isinstance(error, AssertionError | AttributeError | LookupError | TypeError):
        # A slip of its importer: the text alone, such as 'num_heads', would tell nothing.
        slip = f"{type(error).__name__} {first_line(text) if text else ''}".rstrip()
        return f"tvm's own code fails on this model: {slip}"
    return f"tvm: {first_line(error)}"


RUNTIME = Tvm
