"""Runs a model on the ONNX reference evaluator, node by node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from toolkit.errors import first_line
from toolkit.onnxfiles import graphs, modelfile
from toolkit.oracle.operators import OWN
from toolkit.oracle.portable import Unsupported, portable, raised
from toolkit.tensors import BITS, Array, Feed

ROUNDED = {"float16", "float32", "bfloat16"}
"""numpy types that hold a float64 result rounded."""


class Evaluator:
    """A model that is run one node after the other, in float64 or as its file says.

    A result is dropped after its last use. In float64 a result of a lower type is refused: what an
    operator rounded on its way would be taken for an error of the model.
    """

    def __init__(self, model: ModelProto, *, exact: bool = True) -> None:
        """Prepares a model, which is not changed: in float64 where `exact`, else as its file says.

        Raises Unsupported for a model that the evaluator cannot run, or not in float64.
        """
        self.exact = exact
        ready = raised(model) if exact else portable(model)
        try:
            self._evaluator = ReferenceEvaluator(ready, new_ops=list(OWN))
        except Exception as error:  # of many classes, from the constructors of its operators
            raise Unsupported(
                f"the ONNX reference evaluator cannot run it: {_line(error)}"
            ) from error
        self._inputs = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
        self._outputs = [value.name for value in ready.graph.output]
        self._last_uses = list(_last_uses(ready, self._outputs))

    def run(self, feed: Feed) -> dict[str, Array]:
        """Computes the outputs by name, in their order.

        Inputs come in the file's types, bfloat16 as its bits. Raises Unsupported with the name of
        the node that fails.
        """
        # An optional input that is left out has the empty name.
        results: dict[str, Any] = {"": None, **self._evaluator.rt_inits_}
        results |= {name: self._value(name, array) for name, array in feed.items()}
        with np.errstate(all="ignore"):
            for node, done in zip(self._evaluator.rt_nodes_, self._last_uses, strict=True):
                # An operator may give more outputs than its node names.
                results.update(zip(node.output, self._step(node, results), strict=False))
                for name in done:
                    results.pop(name, None)
        return {name: _tensor(name, results[name]) for name in self._outputs}

    def _step(self, node: Any, results: Mapping[str, Any]) -> Sequence[Any]:
        # The bodies of If, Loop and Scan may read any result from around them.
        context = {"context": results} if node.need_context() else {}
        try:
            outputs: Sequence[Any] = node.run(*(results[name] for name in node.input), **context)
        except Exception as error:  # whatever an operator of the evaluator raises
            raise Unsupported(f"{_named(node)}: {_line(error)}") from error
        if not self.exact:
            return _as_typed(node, results, outputs) if isinstance(node, OWN) else outputs
        for output in outputs:
            if isinstance(output, np.ndarray) and output.dtype.name in ROUNDED:
                name = output.dtype.name
                raise Unsupported(f"{_named(node)}: the evaluator rounds it to {name}")
        return outputs

    def _value(self, name: str, array: Array) -> Array:
        element = self._inputs[name]
        values = from_bits(array, modelfile.type_name(element))
        return values.astype(np.float64) if self.exact and _rounded(values) else values


def _as_typed(node: Any, results: Mapping[str, Any], outputs: Sequence[Any]) -> list[Any]:
    """Brings results of our own operators, which are float64, to the type of the first input."""
    first = results[node.input[0]]
    wide = not _rounded(first) if isinstance(first, np.ndarray) else True
    return [
        output.astype(first.dtype)
        if not wide and isinstance(output, np.ndarray) and output.dtype == np.float64
        else output
        for output in outputs
    ]


def from_bits(array: Array, onnx_type: str) -> Array:
    """Gives an array its own type: bfloat16 and smaller floats travel as their bits."""
    if onnx_type not in BITS:
        return array
    element = getattr(onnx.TensorProto, onnx_type.upper())
    return array.view(onnx.helper.tensor_dtype_to_np_dtype(element))


def _tensor(name: str, result: Any) -> Array:
    if not isinstance(result, np.ndarray | np.generic):
        raise Unsupported(f"the output {name!r} is no tensor")
    return np.asarray(result)


def _rounded(array: Array) -> bool:
    return array.dtype.name in ROUNDED


def _last_uses(model: ModelProto, outputs: Sequence[str]) -> Iterator[list[str]]:
    """Yields for each node the results that nothing after it needs, initializers excepted."""
    kept = {*outputs, "", *(tensor.name for tensor in model.graph.initializer)}
    lasts: list[list[str]] = []
    # Seen from the end, the first use of a result is its last.
    for node in reversed(model.graph.node):
        used = [*node.input, *node.output, *_captured(node)]
        lasts.append([name for name in dict.fromkeys(used) if name not in kept])
        kept.update(used)
    yield from reversed(lasts)


def _captured(node: onnx.NodeProto) -> Iterator[str]:
    """Yields the names that the subgraphs of a node may take from around it."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graphs.nodes(graph):
                yield from inner.input
            yield from (value.name for value in graph.output)


def _named(node: Any) -> str:
    name = node.onnx_node.name
    return f"{node.op_type} {name!r}" if name else str(node.op_type)


def _line(error: BaseException) -> str:
    """Gives the first line of the innermost cause: the evaluator wraps what its operators raise."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
