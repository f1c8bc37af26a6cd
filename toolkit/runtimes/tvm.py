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
from typing import Any, ClassVar, Literal

import numpy as np

from toolkit.errors import ShapeRefused, TargetError, first_line
from toolkit.runtimes.base import Call, Moves, Option, Placement, Program, check_types
from toolkit.runtimes.support import fitting, fixedshapes, plainform
from toolkit.tensors import Array, Feed

ENTRY = "main"
"""What TVM's reader of .onnx calls the function that it makes of the graph."""
LIBRARY = "model.so"
PLAIN = "model.onnx"

LACKS = re.compile(r"not supported for frontend ONNX: (.+)")
"""How the reader names the operators that it lacks."""
CALL = re.compile(r"Offending call:\s+R\.([\w.]+)")
"""How the compiler names an operator of Relax for which it made no code."""
FIXED = "--target tvm,shapes=fixed    compiles it for the shapes of the first feed alone"
MISFIT = re.compile(r"param=(.+), annotation=R\.Tensor\((\(.*?\)), dtype.*match_cast", re.DOTALL)
"""How the compiled function names an input of another shape than it was made for."""


class Tvm:
    """TVM's reader of .onnx, its "zero" pipeline for LLVM, and its virtual machine."""

    name: ClassVar[str] = "tvm"
    distributions: ClassVar[tuple[str, ...]] = ("apache-tvm",)
    requirements: ClassVar[tuple[str, ...]] = (
        "apache-tvm==0.27.0.post1",
        "apache-tvm-ffi==0.1.15.post2",
        "onnx==1.23.2",
        "numpy==2.4.6",
    )
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "Apache-2.0"
    module: ClassVar[str] = "tvm"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the call", ("numpy", "bound")),
        "processor": Option("host", "what the code is compiled for", ("host", "generic")),
        "shapes": fixedshapes.OPTION,
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({}, {"io": "bound"})
    # The parent says on which cores the worker runs.
    environment: ClassVar[Mapping[str, str]] = {"TVM_BIND_THREADS": "0"}

    def version(self) -> str:
        import tvm

        return str(tvm.__version__)

    def library(self) -> Path:
        import tvm

        return Path(str(tvm.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

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
            made = _compiled(folder / PLAIN, program, shapes, options["processor"])
            made.export_library(str(folder / LIBRARY))
        except TargetError:
            raise
        except Exception as error:  # TVM's errors have no common base.
            sys.stderr.write(f"{error}\n")  # The worker's log.
            cures = () if shapes or not CALL.search(str(error)) else (FIXED,)
            raise TargetError(_words(error), *cures) from error
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


class TvmSession:
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
            shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
            raise ShapeRefused(f"at the shape {shapes}: {_words(error)}") from error
        fitted(read(left))  # What it gets wrong is refused here.
        if self._bound:
            return Call(run, lambda left: fitted(read(left)), moves=Moves())
        return Call(partial(_whole, into, run, read), fitted, moves=Moves(into))

    def placement(self) -> Placement:
        """TVM has one device here, and no nodes are left of the graph."""
        return Placement({}, copies=0)

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        if self._bound:
            return "inputs lie in TVM's tensors, outputs stay in new ones"
        return "inputs are copied to TVM's tensors, outputs are read where they lie"

    def close(self) -> None:
        del self._function


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
    """A name of its own for each dynamic dimension whose name is none: TVM calculates with '-' and
    '/' in a name, and takes all that have no name for one and the same."""
    made: dict[str, str] = {}
    for info in graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value") and not dim.dim_param.isidentifier():
                text = dim.dim_param or f"{len(made)}"
                dim.dim_param = made.setdefault(text, f"dimension_{len(made)}")


def _fill(views: Sequence[Array], arrays: Sequence[Array]) -> None:
    for view, array in zip(views, arrays, strict=True):
        np.copyto(view, array)


def _whole(
    into: Callable[[], None], run: Callable[[], Any], read: Callable[[Any], list[Array]]
) -> list[Array]:
    into()
    return read(run())


def _arrays(left: Any, *, several: bool) -> list[Array]:
    """The outputs where they lie. What is a shape to TVM is int64 to ONNX."""
    return [
        np.from_dlpack(one) if hasattr(one, "__dlpack__") else np.array(one, np.int64)
        for one in (left if several else [left])
    ]


def _words(error: Exception) -> str:
    """What went wrong, in one line."""
    told = str(error)
    if lacks := LACKS.search(told):
        return f"tvm has no {lacks[1]}"
    if call := CALL.search(told):
        return f"tvm has no code for {call[1]} at these dimensions"
    if misfit := MISFIT.search(told):
        return f"tvm compiled {misfit[1]!r} for {misfit[2]}"
    return f"tvm: {first_line(told or error)}"


RUNTIME = Tvm
