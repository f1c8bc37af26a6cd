"""IREE on the CPU: the .onnx imported to MLIR and compiled ahead of time by LLVM."""

from __future__ import annotations

import importlib.metadata
import io
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import TargetError
from toolkit.runtimes.base import Call, Moves, Option, Program, Runtime, Session, check_types
from toolkit.runtimes.support import fixedshapes, plainform
from toolkit.runtimes.support.fixedshapes import Shapes
from toolkit.tensors import Array, Feed, dtype_of

ENTRY = "model"
"""The name given to the compiled function: an .onnx may call its graph anything, or nothing."""
MODULE = "model.vmfb"

OLDEST = 17
"""The oldest opset that IREE's importer reads right: it takes older operators for newer ones."""


class Iree(Runtime):
    """IREE's importer, its compiler for llvm-cpu, and its VM."""

    name = "iree"
    distributions = ("iree-base-runtime",)
    requirements = (
        "iree-base-runtime==3.13.0",
        "iree-base-compiler==3.13.0",
        "onnx==1.23.2",
        "numpy==2.4.6",
    )
    licence = "Apache-2.0"
    module = "iree"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the call", ("numpy", "bound")),
        "optimize": Option("O2", "the compiler's level; its own is O0", ("O0", "O1", "O2", "O3")),
        "processor": Option("host", "what the code is compiled for", ("host", "generic")),
        "shapes": fixedshapes.OPTION,
    }
    variants = ({}, {"io": "bound"})

    def version(self) -> str:
        import iree.runtime  # noqa: F401 - its own constant names the candidate that was released.

        return importlib.metadata.version("iree-base-runtime")

    def library(self) -> Path:
        import iree.runtime

        return Path(str(iree.runtime.__file__))

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
        assert program.model is not None  # It starts from the model.
        plainform.demand_one_file(program.model)  # Shape inference takes it as one message.
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


class IreeSession(Session):
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
        if not self._bound:
            moves = partial(self._moves, arrays)
            return Call(partial(self._whole, arrays), self._named, moves=moves)
        return Call(
            partial(self._invoke, self._arguments(arrays)),
            lambda results: self._named(self._fetched(results)),
            moves=Moves(),
        )

    def copies(self) -> str:
        if self._bound:
            return "inputs lie in the runtime's buffers, outputs stay in new ones"
        return "inputs are copied to the runtime's buffers, outputs are read where they lie"

    def _moves(self, arrays: Sequence[Array]) -> Moves:
        """Makes the copies of a call.

        A run fills the outputs. Made in `bind`, it was the true first call, which no cold start
        saw, and every answer that is only judged took two runs.
        """
        left = self._invoke(self._arguments(arrays))
        return Moves(partial(self._arguments, arrays), partial(self._fetched, left))

    def _whole(self, arrays: Sequence[Array]) -> list[Array]:
        return self._fetched(self._invoke(self._arguments(arrays)))

    def _arguments(self, arrays: Sequence[Array]) -> Any:
        """Copies the arrays to buffers of the runtime's own, in the list that a call takes."""
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
        """Calls the function, which returns when the work is done: it waits for its own fence."""
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


def _unsigned(array: Array, dtype: np.dtype[Any]) -> Array:
    """Reads an unsigned output as unsigned: IREE computes with the right bits and then calls them
    signed."""
    signed = array.dtype.kind == "i" and array.itemsize == dtype.itemsize
    return array.view(dtype) if signed and dtype.kind == "u" else array


def _check_ranks(program: Program) -> None:
    for spec in (*program.inputs, *program.outputs):
        if spec.shape is None:
            raise TargetError(f"iree needs the rank of {spec.name!r}, which the file does not say")


def _imported(model: Any) -> bytes:
    """Imports the model to MLIR's torch dialect; returns the bytecode of that."""
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

    # By itself it compiles float64 as float32, and then fills half of the memory of an output that
    # the model gives as float64.
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
    """A compiler's page in one line: the operator, and its first error where that says more."""
    errors = [line.partition("error:")[2].strip() for line in text.splitlines() if "error:" in line]
    reason = errors[0] if errors else "the compiler gave no reason"
    if operator := re.search(r'name = "onnx\.([\w.]+)"', reason):
        return f"iree cannot compile the operator {operator[1]}"
    node_name, _, rest = reason.removeprefix('loc("').partition('"): ')
    operators = {node.name: node.op_type for node in graph.node}
    if node_name in operators:
        return f"iree cannot compile {operators[node_name]} (node {node_name!r}): {rest[:200]}"
    return f"iree cannot compile this model: {reason[:200]}"


def _cures(text: str) -> list[str]:
    """A cure for kernels that want more stack than the compiler allows: O1 fuses less."""
    if "stack allocation limit" not in text:
        return []
    return ["--target iree,optimize=O1    fuses less, and needs less of the stack"]


def _device(threads: int) -> Any:
    """A device that works in the calling thread for one thread, else with workers for which that
    thread waits (R4)."""
    import iree.runtime as rt

    if threads == 1:
        return rt.get_device("local-sync")
    # Unpinned: the parent says on which cores it runs.
    rt.flags.parse_flags(f"--task_topology_group_count={threads}")
    return rt.get_device("local-task")


RUNTIME = Iree
