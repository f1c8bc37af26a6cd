"""Finds which operators of a quantized file really run: those that the runtime's optimizer leaves.

A quantized file asks for products of integers in nodes of their own (QuantizeLinear and
DequantizeLinear around a Conv; DynamicQuantizeLinear before a MatMulInteger), which a runtime fuses
where it has a kernel for the whole. Where it does not, the file computes in floats, and converts
besides. That is read from the graph after its optimizer, which some runtimes write into a file.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from onnx import GraphProto, ModelProto

from toolkit.answers.declared import ROUNDING
from toolkit.engine.setup import ReadyTarget
from toolkit.errors import InputError, TargetError
from toolkit.onnxfiles import parsing
from toolkit.onnxfiles.graphs import graphs, makers
from toolkit.records import untrusted
from toolkit.records.schema import Kernels
from toolkit.runtimes import listing
from toolkit.units import Bytes
from toolkit.workers.launch import Worker

FLOAT_PRODUCTS = ("Conv", "FusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm")
"""Operators that multiply floats, ONNX's and those that ONNX Runtime's optimizer makes of them."""
LARGEST: Bytes = 64 << 20
"""The most that is read of an optimised graph, whose weights lie beside it: 100,000 nodes have 20
MB."""


def of(worker: Worker, target: ReadyTarget, work: Path) -> Kernels | None:
    """Loads the target's own file once more, and reads what its runtime made of it.

    None for a file that is not quantized or not its own, for a runtime that writes no such graph,
    and where it could not. `work` is a folder in which it may lie meanwhile, with its weights.
    """
    runtime = listing.facts(target.spec.entry)
    if runtime is None or not runtime.writes_optimised or target.variant is None:
        return None
    if not any(name.startswith(ROUNDING) for name in target.variant.file.operators):
        return None
    folder = work / "optimised"
    folder.mkdir(exist_ok=True)
    file = folder / "model.onnx"
    try:
        worker.load_program(replace(target.program, optimised=file))
        return read(parsing.from_bytes(file, untrusted.read(file, LARGEST)))
    except (TargetError, InputError):
        return None  # It is no fault of the target, which has loaded and answered.
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read(model: ModelProto) -> Kernels:
    """Counts the operators of an optimised graph."""
    operators = Counter(node.op_type for graph in graphs(model.graph) for node in graph.node)
    unfused = Counter(name for graph in graphs(model.graph) for name in _unfused(graph))
    return Kernels(operators=dict(operators), unfused=dict(unfused))


def _unfused(graph: GraphProto) -> Iterator[str]:
    """Yields the operators that multiply floats which were integers just before."""
    made = makers(graph)
    for node in graph.node:
        if node.op_type in FLOAT_PRODUCTS:
            inputs = (made.get(name) for name in node.input[:2])
            if all(maker is not None and maker.op_type == "DequantizeLinear" for maker in inputs):
                yield node.op_type
