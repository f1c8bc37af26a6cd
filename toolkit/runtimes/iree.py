"""IREE on the CPU: the .onnx imported to MLIR and compiled ahead of time by LLVM."""

from __future__ import annotations

import importlib.metadata
import io
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from toolkit.errors import TargetError
from toolkit.runtimes.base import Call, Moves, Option, Placement, Program, check_types
from toolkit.runtimes.support import fixedshapes
from toolkit.runtimes.support.fixedshapes import Shapes
from toolkit.tensors import Array, Feed, dtype_of

ENTRY = "model"
"""The name of the compiled function: an .onnx may call its graph anything, or nothing."""
MODULE = "model.vmfb"

OLDEST = 17
"""The opset that IREE's importer wants at least: below it operators are read as newer ones."""


class Iree:
    """IREE's importer, its compiler for llvm-cpu, and its VM."""

    name: ClassVar[str] = "iree"
    distributions: ClassVar[tuple[str, ...]] = ("iree-base-runtime",)
    requirements: ClassVar[tuple[str, ...]] = (
        "iree-base-runtime==3.13.0",
        "iree-base-compiler==3.13.0",
        "onnx==1.23.2",
        "numpy==2.4.6",
    )
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "Apache-2.0"
    module: ClassVar[str] = "iree"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the call", ("numpy", "bound")),
        "optimize": Option("O2", "the compiler's level; its own is O0", ("O0", "O1", "O2", "O3")),
        "processor": Option("host", "what the code is compiled for", ("host", "generic")),
        "shapes": fixedshapes.OPTION,
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({}, {"io": "bound"})
    environment: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        import iree.runtime  # noqa: F401 - its own constant names the candidate that was released.

        return importlib.metadata.version("iree-base-runtime")

    def library(self) -> Path:
        import iree.runtime

        return Path(str(iree.runtime.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        check_types(program, self.name)
        _check_ranks(program)
        try:
            import onnx
            from iree.compiler.tools import CompilerToolError
        except ModuleNotFoundError as error:
            raise TargetError(
                f"iree compiles the model first, for which {error.name} is missing here",
                f"python -m pip install onnx iree-base-compiler=={self.version()}",
            ) from None
        model = onnx.load(str(program.model))
        shapes = fixedshapes.of(program, feed, options["shapes"])
        fixedshapes.fix(model.graph, shapes)
        try:
            _compile(_imported(model), program, options, folder / MODULE)
        except CompilerToolError as error:
            sys.stderr.write(f"{error}\n")
            raise TargetError(_refusal(str(error), model.graph), *_cures(str(error))) from None
        fixedshapes.write(shapes, folder)

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> IreeSession:
        import iree.runtime as rt

        if program.converted is None:
            raise TargetError("iree loads what it compiled, which is not there")
        device = _device(program.threads)
        instance = rt.VmInstance()
        module = rt.VmModule.mmap(instance, str(program.converted / MODULE))
        context = rt.VmContext(instance, [rt.create_hal_module(instance, device), module])
        shapes = fixedshapes.read(program.converted)
        call = partial(context.invoke, module.lookup_function(ENTRY))
        return IreeSession(call, device, program, shapes, bound=options["io"] == "bound")


class IreeSession:
    """One compiled function on one device."""

    def __init__(
        self,
        call: Any,
        device: Any,
        program: Program,
        shapes: Shapes,
        *,
        bound: bool,
    ) -> None:
        self._call = call
        self._device = device
        self._program = program
        self._shapes = shapes
        self._bound = bound

    def bind(self, feed: Feed) -> Call:
        fixedshapes.demand(self._shapes, feed)
        # By position: the names of the inputs are not kept.
        arrays = [np.asarray(feed[spec.name], order="C") for spec in self._program.inputs]
        arguments = self._arguments(arrays)
        if not self._bound:
            left = self._invoke(arguments)
            moves = Moves(partial(self._arguments, arrays), partial(self._fetched, left))
            return Call(partial(self._whole, arrays), self._named, moves=moves)
        return Call(
            partial(self._invoke, arguments),
            lambda results: self._named(self._fetched(results)),
            moves=Moves(),
        )

    def placement(self) -> Placement:
        return Placement({}, copies=0)

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        if self._bound:
            return "inputs lie in the runtime's buffers, outputs stay in new ones"
        return "inputs are copied to the runtime's buffers, outputs are read where they lie"

    def close(self) -> None:
        del self._call

    def _whole(self, arrays: Sequence[Array]) -> list[Array]:
        return self._fetched(self._invoke(self._arguments(arrays)))

    def _arguments(self, arrays: Sequence[Array]) -> Any:
        """The call's list of buffers of the runtime's own, filled from the arrays."""
        import iree.runtime as rt

        arguments = rt.VmVariantList(len(arrays))
        for array in arrays:
            view = self._device.allocator.allocate_buffer_copy(
                memory_type=rt.MemoryType.DEVICE_LOCAL,
                allowed_usage=rt.BufferUsage.DEFAULT,
                device=self._device,
                buffer=array,
                element_type=rt.array_interop.map_dtype_to_element_type(array.dtype),
            )
            arguments.push_ref(view.ref)
        return arguments

    def _invoke(self, arguments: Any) -> Any:
        """Returns when the work is done: the function waits for its own fence."""
        import iree.runtime as rt

        results = rt.VmVariantList(len(self._program.outputs))
        self._call(arguments, results)
        return results

    def _fetched(self, results: Any) -> list[Array]:
        import iree.runtime as rt

        return [
            rt.DeviceArray(self._device, results.get_as_object(i, rt.HalBufferView)).to_host()
            for i in range(len(results))
        ]

    def _named(self, arrays: Sequence[Array]) -> dict[str, Array]:
        specs = self._program.outputs
        return {
            spec.name: _unsigned(np.array(array), dtype_of(spec.type))
            for spec, array in zip(specs, arrays, strict=True)
        }


def _unsigned(array: Array, wanted: np.dtype[Any]) -> Array:
    """IREE computes with unsigned integers, and then calls them signed."""
    signed = array.dtype.kind == "i" and array.itemsize == wanted.itemsize
    return array.view(wanted) if signed and wanted.kind == "u" else array


def _check_ranks(program: Program) -> None:
    for spec in (*program.inputs, *program.outputs):
        if spec.shape is None:
            raise TargetError(f"iree needs the rank of {spec.name!r}, which the file does not say")


def _imported(model: Any) -> bytes:
    """The model in MLIR's torch dialect, as bytecode."""
    import onnx
    from iree.compiler.extras import onnx_importer
    from iree.compiler.ir import Context

    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), OLDEST)
    if opset < OLDEST:
        model = onnx.version_converter.convert_version(model, OLDEST)
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    model.graph.name = ENTRY
    info = onnx_importer.ModelInfo(model)
    module = info.create_module(context=Context()).operation
    onnx_importer.NodeImporter.define_function(info.main_graph, module).import_all()
    code = io.BytesIO()
    module.write_bytecode(code)
    return code.getvalue()


def _compile(code: bytes, program: Program, options: Mapping[str, str], file: Path) -> None:
    from iree.compiler import tools

    # By itself it compiles float64 as float32, and fills half of the memory of a float64 output.
    wide = "float64" in {spec.type for spec in (*program.inputs, *program.outputs)}
    tools.compile_str(
        code,
        output_file=str(file),
        input_type="onnx",
        extra_args=[
            "--iree-hal-target-device=local",
            "--iree-hal-local-target-device-backends=llvm-cpu",
            f"--iree-llvmcpu-target-cpu={options['processor']}",
            f"--iree-opt-level={options['optimize']}",
            f"--iree-input-demote-f64-to-f32={'false' if wide else 'true'}",
        ],
    )


def _refusal(text: str, graph: Any) -> str:
    """One line from a compiler's page: the operator, and its first error where that says more."""
    lines = [line.partition("error:")[2].strip() for line in text.splitlines() if "error:" in line]
    reason = lines[0] if lines else "the compiler gave no reason"
    if operator := re.search(r'name = "onnx\.([\w.]+)"', reason):
        return f"iree cannot compile the operator {operator[1]}"
    place, _, rest = reason.removeprefix('loc("').partition('"): ')
    operators = {node.name: node.op_type for node in graph.node}
    if place in operators:
        return f"iree cannot compile {operators[place]} (node {place!r}): {rest[:200]}"
    return f"iree cannot compile this model: {reason[:200]}"


def _cures(text: str) -> list[str]:
    """Fused kernels may want more stack than the compiler allows; those of O1 want less."""
    if "stack allocation limit" not in text:
        return []
    return ["--target iree,optimize=O1    fuses less, and needs less of the stack"]


def _device(threads: int) -> Any:
    """Works in the calling thread for one thread; else with workers, for which that one waits."""
    import iree.runtime as rt

    if threads == 1:
        return rt.get_device("local-sync")
    # Unpinned: the parent says on which cores it runs.
    rt.flags.parse_flags(f"--task_topology_group_count={threads}")
    return rt.get_device("local-task")


RUNTIME = Iree
