"""Gives the floats of a graph another width: float64 for the oracle, float32 for simulations.

A float's type stands in four places of an ONNX graph: in the types of its inputs, outputs and
values, in stored tensors, in attributes that name a type, and in the defaults of some operators.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper

from toolkit.onnxfiles.graphs import attribute, graphs

TYPE_ATTRIBUTES = {
    "Bernoulli": "dtype",
    "Cast": "to",
    "EyeLike": "dtype",
    "RandomNormal": "dtype",
    "RandomNormalLike": "dtype",
    "RandomUniform": "dtype",
    "RandomUniformLike": "dtype",
    "SequenceEmpty": "dtype",
    "DequantizeLinear": "output_dtype",
    "Attention": "softmax_precision",
    "HannWindow": "output_datatype",
    "HammingWindow": "output_datatype",
    "BlackmanWindow": "output_datatype",
    "MelWeightMatrix": "output_datatype",
}
"""Operators whose result, or the inside of which, has the type that an attribute names.

`stash_type` of the normalizations is not among them: the ONNX reference evaluator takes no other
than float32, and computes in the type of the input whatever it says.
"""

DEFAULTS_TO_FLOAT32 = {"HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix"}
"""Operators that make float32 where their type attribute is missing. EyeLike and the others take
the type of their input."""


def convert_floats(graph: GraphProto, among: Collection[int], target: int) -> None:
    """Turns every float of the types `among` into `target`, in place, in all subgraphs too.

    Types are ONNX's element types. A stored value keeps its number where `target` can hold it.
    """
    for each in graphs(graph):
        for tensor in each.initializer:
            _convert_tensor(tensor, among, target)
        for sparse in each.sparse_initializer:
            _convert_tensor(sparse.values, among, target)
        for value in (*each.input, *each.output, *each.value_info):
            _convert_type(value.type, among, target)
        for node in each.node:
            _convert_attributes(node, among, target)
            if TensorProto.FLOAT in among:
                _convert_defaults(node, target)


def _convert_tensor(tensor: TensorProto, among: Collection[int], target: int) -> None:
    if tensor.data_type in among:
        array = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(target))
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _convert_type(kind: TypeProto, among: Collection[int], target: int) -> None:
    which = kind.WhichOneof("value")
    if which == "tensor_type" and kind.tensor_type.elem_type in among:
        kind.tensor_type.elem_type = target
    elif which == "sequence_type":
        _convert_type(kind.sequence_type.elem_type, among, target)
    elif which == "optional_type":
        _convert_type(kind.optional_type.elem_type, among, target)


def _convert_attributes(node: NodeProto, among: Collection[int], target: int) -> None:
    for given in node.attribute:
        if given.type == AttributeProto.TENSOR:
            _convert_tensor(given.t, among, target)
        elif given.name == TYPE_ATTRIBUTES.get(node.op_type) and given.i in among:
            given.i = target


def _convert_defaults(node: NodeProto, target: int) -> None:
    """Writes down what an operator takes for float32 without saying so."""
    dtype = helper.tensor_dtype_to_np_dtype(target)
    if node.op_type == "Constant":
        _convert_constant(node, dtype)
    elif node.op_type == "ConstantOfShape" and not node.attribute:
        zero = numpy_helper.from_array(np.zeros(1, dtype))
        node.attribute.append(helper.make_attribute("value", zero))
    elif node.op_type in DEFAULTS_TO_FLOAT32 and not attribute(node, "output_datatype", 0):
        node.attribute.append(helper.make_attribute("output_datatype", target))


def _convert_constant(node: NodeProto, dtype: np.dtype[np.generic]) -> None:
    """Makes tensors of `value_float` and `value_floats`, which as attributes are always float32."""
    for given in node.attribute:
        if given.name == "value_float":
            array = np.array(given.f, dtype)
        elif given.name == "value_floats":
            array = np.array(given.floats, dtype)
        else:
            continue
        given.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(array)))
