"""Brings a model to the form that the ONNX reference evaluator runs, and raises it to float64.

The portable form has opset 17 or newer, since below 14 that evaluator normalises batches by their
own statistics and below 13 softmax along the wrong axis; its model-local functions are inlined,
since the evaluator does not hand our own operators down to them.
"""

from __future__ import annotations

import onnx
import onnx.inliner
from onnx import ModelProto, NodeProto, TensorProto

from toolkit.errors import ToolkitError, first_line
from toolkit.onnxfiles import graphs, unregistered
from toolkit.onnxfiles.floattypes import convert_floats
from toolkit.onnxfiles.graphs import STANDARD
from toolkit.oracle.operators import OWN

OPSET = 17
"""The evaluator is right from opset 14 on; files of 17 and newer, which today's exporters write,
are not converted at all."""
IR_VERSION = 8
"""The IR version that came with opset 17."""
LOW = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}
"""Types that are raised. The 8-bit and 4-bit floats stay: rounding to them is what the model
does."""

RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
"""Operators of which no two runs agree. Dropout is one only where it trains: `_drops`."""
NUMPY = {"ai.onnx.ml", "ai.onnx.preview.training"}
"""Domains whose operators the evaluator computes in the type of their inputs."""
TREE = ("treeids", "nodeids", "truenodeids", "falsenodeids", "modes")
"""Attributes of a TreeEnsembleRegressor or -Classifier that hold a list with an entry a node."""
KNOWN = {(operator.op_domain, operator.__name__) for operator in OWN}
"""Domain and name of the operators that we compute ourselves, in whatever domain."""


class Unsupported(ToolkitError):
    """The evaluator cannot run a model, or not in float64; names the operator."""


def is_portable(model: ModelProto) -> bool:
    """Says whether a file's opset is new enough for the reference evaluator."""
    return graphs.opset(model) >= OPSET


def portable(model: ModelProto) -> ModelProto:
    """Brings a model to the portable form. One that has it already is returned itself: change
    neither. Raises Unsupported where it cannot be brought there."""
    copy = onnx.inliner.inline_local_functions(model) if model.functions else model
    before = graphs.opset(copy)
    kinds = {node.op_type for node in graphs.nodes(copy.graph) if node.domain in STANDARD}
    if before < 9 and "Scan" in kinds:
        raise Unsupported("Scan of opset 8: the version converter takes it for that of opset 9")
    if kinds and before < OPSET:
        # Before IR 4 the converter knows no initializer that is not an input as well.
        copy = graphs.copied(copy)
        copy.ir_version = max(copy.ir_version, IR_VERSION)
        try:
            copy = unregistered.converted(copy, OPSET)
        except Exception as error:  # the converter raises RuntimeError, and others from its C++
            line = first_line(error)
            raise Unsupported(f"opset {before} cannot be converted to {OPSET}: {line}") from error
    return copy


def raised(model: ModelProto) -> ModelProto:
    """Copies a model in the portable form with all its floats, stored or declared, in float64.

    Raises Unsupported for what has no float64 result.
    """
    copy = portable(model)
    for node in graphs.nodes(copy.graph):
        _refuse(node)
        _refuse_circle(node)
    copy = graphs.copied(copy)
    convert_floats(copy.graph, LOW, TensorProto.DOUBLE)
    return copy


def _refuse(node: NodeProto) -> None:
    """Raises Unsupported for an operator that has no float64 result."""
    name = f"{node.op_type} {node.name!r}" if node.name else node.op_type
    if node.domain in STANDARD:
        if node.op_type in RANDOM or _drops(node):
            raise Unsupported(f"{name} draws at random: no two runs agree")
    elif node.domain not in NUMPY and (node.domain, node.op_type) not in KNOWN:
        raise Unsupported(f"{name} is of the domain {node.domain}, not of ONNX's own")


def _refuse_circle(node: NodeProto) -> None:
    """Raises Unsupported for a tree in which a walk from a root never comes to a leaf."""
    if not node.op_type.startswith("TreeEnsemble") or node.domain != "ai.onnx.ml":
        return
    given = {name: graphs.attribute(node, f"nodes_{name}", ()) for name in TREE}
    if not given["treeids"]:
        return  # TreeEnsemble of opset 5 has its branches by their places.
    branches = {
        (tree, number): [(tree, true), (tree, false)]
        for tree, number, true, false, mode in zip(*given.values(), strict=True)
        if mode != b"LEAF"
    }
    done = graphs.inner_first(branches)
    if len(done) < len(branches):
        tree = min(branches.keys() - {*done})[0]
        raise Unsupported(f"{node.op_type} {node.name!r}: tree {tree} leads in a circle")


def _drops(node: NodeProto) -> bool:
    """Finds a Dropout that is told whether it trains. If that is a constant False it draws nothing;
    such a one is refused all the same, since PyTorch's exporter leaves none behind."""
    return node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])
