"""Lets ONNX's own checker and converter pass over what ONNX Runtime puts into ONNX's domain.

It writes LayerNormalization into files of opsets below 17, which brought it to ONNX, and
SimplifiedLayerNormalization into those of every opset. The two tools refuse both by name, though
they leave the operators of other domains alone.
"""

from __future__ import annotations

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from toolkit.onnxfiles import graphs, storedtensors
from toolkit.onnxfiles.graphs import STANDARD

KNOWN_FROM = {"LayerNormalization": 17, "SimplifiedLayerNormalization": None}
"""Operator → the opset from which on ONNX has it; None: in none."""
ASIDE = "com.microsoft.aside"
"""The domain in which they stand meanwhile; no file has it."""


def unregistered(model: ModelProto) -> list[NodeProto]:
    """Lists the nodes of a model that stand in ONNX's domain by ONNX Runtime's word alone."""
    opset = graphs.opset(model)
    return [node for node in graphs.nodes(model.graph) if _is_unregistered(node, opset)]


def check(model: ModelProto) -> bool:
    """Runs ONNX's checker on all but the weights and these nodes; the model is not changed.

    False: it cannot do so, since nodes or subgraphs have external data, which the checker would
    look for in the current folder. Raises onnx.checker.ValidationError.
    """
    skeleton = graphs.skeleton(model, largest=0)
    if any(t.data_location == TensorProto.EXTERNAL for t in storedtensors.stored(skeleton)):
        return False
    _set_aside(skeleton)
    onnx.checker.check_model(skeleton)
    return True


def converted(model: ModelProto, opset: int) -> ModelProto:
    """Converts a model, which is changed, to another opset of ONNX's own domain.

    These nodes stay as they are: LayerNormalization means in opset 17 what it meant before. Raises
    what onnx.version_converter.convert_version raises.
    """
    if not unregistered(model):
        return onnx.version_converter.convert_version(model, opset)
    _set_aside(model)
    result = onnx.version_converter.convert_version(model, opset)
    for node in graphs.nodes(result.graph):
        if node.domain == ASIDE:
            node.domain = ""
    kept = [each for each in result.opset_import if each.domain != ASIDE]
    del result.opset_import[:]
    result.opset_import.extend(kept)
    return result


def _set_aside(model: ModelProto) -> None:
    for node in unregistered(model):
        node.domain = ASIDE
    model.opset_import.append(helper.make_opsetid(ASIDE, 1))


def _is_unregistered(node: NodeProto, opset: int) -> bool:
    if node.domain not in STANDARD or node.op_type not in KNOWN_FROM:
        return False
    first = KNOWN_FROM[node.op_type]
    return first is None or opset < first
