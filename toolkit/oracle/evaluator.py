"""Runs a model node by node, in float64 or as its file says.

The ONNX reference evaluator has the operators; ours (operators/) take their place where it is
wrong, inexact or slow. The large constants of a model stay where they are: each is read at the
node that needs it, raised there, and dropped after it. Several feeds go through a node together,
so that a constant is raised once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from toolkit.errors import first_line
from toolkit.onnxfiles import graphs, modelfile, thinmodels
from toolkit.onnxfiles.tensordata import Weight
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.oracle import steps
from toolkit.oracle.operators import OWN, kernels
from toolkit.oracle.operators.microsoft import nchwc
from toolkit.oracle.portable import Unsupported, portable, raised
from toolkit.supervision import progress
from toolkit.tensors import BITS, Array, Feed

ROUNDED = {"float16", "float32", "bfloat16"}
"""numpy types that hold a float64 result rounded."""
OURS = frozenset(OWN)
"""Our operators by their classes, as a set: a graph of 20,000 nodes asks for each of them."""
PICKS = {"Gather", "GatherElements", "GatherND", "Slice"}
"""Operators that take a few elements of a table as they are: raising those is enough."""
TOGETHER = 1 << 20
"""Bytes of the feeds that go through a node together. Token ids are few bytes, and their model's
weights are many: all feeds go together. Images are large, and so is what is computed from them."""

ELEMENT = 30.0
"""Multiplications in a product that take as long as one element of anything else."""

Results: TypeAlias = dict[str, Any]
"""Name → array, of one feed; a sequence is a list of arrays."""


class Evaluator:
    """A model that is run one node after the other, in float64 or as its file says.

    A result is dropped after its last use. In float64 a result of a lower type is refused: what an
    operator rounded on its way would be taken for an error of the model.
    """

    def __init__(
        self, model: ModelProto | ThinModel, *, exact: bool = True, folder: Path | None = None
    ) -> None:
        """Prepares a model, which is not changed: in float64 where `exact`, else as its file says.

        `folder` is that of the model's file, for external data that was not loaded. Raises
        Unsupported for a model that the evaluator cannot run, or not in float64.
        """
        self.exact = exact
        self.work = 0.0
        """All that was computed so far, in multiplications of products: the same on any machine."""
        progress.step("preparing the graph")
        thin = model if isinstance(model, ThinModel) else thinmodels.of_model(model, folder)
        light, weights = thin.apart()
        self._weights: Mapping[str, Weight] = weights
        self._inputs = {value.name: value.type.tensor_type.elem_type for value in light.graph.input}
        _call_standard_by_one_name(light)
        nchwc.state_blocks(light.graph)
        ready = raised(light) if exact else portable(light)
        try:
            self._evaluator = ReferenceEvaluator(ready, new_ops=list(OWN))
        except Exception as error:  # of many classes, from the constructors of its operators
            raise Unsupported(
                f"the ONNX reference evaluator cannot run it: {_line(error)}"
            ) from error
        self._outputs = [value.name for value in ready.graph.output]
        self._last_uses = list(_last_uses(ready, self._outputs))
        self._reads = [
            [name for name in dict.fromkeys(_read(node)) if name in self._weights]
            for node in ready.graph.node
        ]
        self._captured = [[*dict.fromkeys(_captured(node))] for node in ready.graph.node]

    def run(self, feed: Feed) -> dict[str, Array]:
        """Computes the outputs by name, in their order.

        Inputs come in the file's types, bfloat16 as its bits. Raises Unsupported with the name of
        the node that fails.
        """
        (outputs,) = self.run_all([feed])
        if isinstance(outputs, Unsupported):
            raise outputs
        return outputs

    def run_all(self, feeds: Sequence[Feed]) -> list[dict[str, Array] | Unsupported]:
        """Computes the outputs of several feeds, or why there are none of a feed; see `run`."""
        outputs: list[dict[str, Array] | Unsupported] = []
        for group in _groups(feeds):
            outputs += self._run_together(group)
        return outputs

    def _run_together(self, feeds: Sequence[Feed]) -> list[dict[str, Array] | Unsupported]:
        alive: dict[int, Results] = {
            # An optional input that is left out has the empty name.
            number: {"": None, **self._evaluator.rt_inits_, **self._fed(feed)}
            for number, feed in enumerate(feeds)
        }
        failed: dict[int, Unsupported] = {}
        nodes = zip(
            self._evaluator.rt_nodes_, self._captured, self._reads, self._last_uses, strict=True
        )
        with np.errstate(all="ignore"), kernels.reusing():
            for place, (node, captured, reads, done) in enumerate(nodes):
                progress.step(_named(node), place, len(self._reads))
                picks = self.exact and node.op_type in PICKS and not node.domain
                try:
                    constants = {name: self._constant(name, as_stored=picks) for name in reads}
                except MemoryError as error:
                    reason = Unsupported(f"{_named(node)}: {_line(error)}")
                    return [failed.get(number, reason) for number in range(len(feeds))]
                together = _shares_factor(node, constants, alive) and self._multiply_together(
                    node, constants[node.input[1]], alive
                )
                for number, results in list(alive.items()):
                    try:
                        if not together:
                            self._take_step(node, captured, results, constants, raise_after=picks)
                    except Unsupported as error:
                        failed[number] = error
                        del alive[number]
                        continue
                    for name in done:
                        results.pop(name, None)
                if not alive:  # no later node is computed: none is to be named as running
                    break
            return [
                failed[number] if number in failed else self._tensors(alive[number])
                for number in range(len(feeds))
            ]

    def _multiply_together(self, node: Any, factor: Array, alive: Mapping[int, Results]) -> bool:
        """Multiplies the rows of all feeds by one matrix (K, N) at once; False where that fails, as
        it does for want of memory. Each alone may still be computed then.

        A product of many rows reads the matrix once; as many products as feeds would each read it.
        """
        taken = [results[node.input[0]] for results in alive.values()]  # (…, K) each
        try:
            rows = np.concatenate([each.reshape(-1, len(factor)) for each in taken])
            (products,) = self._step(node, (), {node.input[0]: rows, node.input[1]: factor})
        except (MemoryError, Unsupported):
            return False
        ends = np.cumsum([each.size // len(factor) for each in taken])
        for results, each, part in zip(
            alive.values(), taken, np.split(products, ends[:-1]), strict=True
        ):
            results[node.output[0]] = part.reshape(*each.shape[:-1], factor.shape[1])
        return True

    def _take_step(
        self,
        node: Any,
        captured: Sequence[str],
        results: Results,
        constants: Mapping[str, Array],
        *,
        raise_after: bool,
    ) -> None:
        """Runs a node and adds what it gives to the results."""
        # What was fed comes before the constant that is an input's default.
        outputs = self._step(node, captured, {**constants, **results} if constants else results)
        if raise_after:
            outputs = [_raised(output) for output in outputs]
        # An operator may give more outputs than its node names.
        results.update(zip(node.output, outputs, strict=False))

    def _step(
        self, node: Any, captured: Sequence[str], results: Mapping[str, Any]
    ) -> Sequence[Any]:
        # The bodies of If, Loop and Scan may read results from around them. They get those alone:
        # a body that runs many times copies its context each time.
        around = {name: results[name] for name in captured if name in results}
        if missing := [name for name in node.input if name not in results]:
            raise Unsupported(f"{_named(node)}: its input {missing[0]!r} is computed by no node")
        context = {"context": around} if node.need_context() else {}
        taken = [results[name] for name in node.input]
        if self.exact and not node.domain and steps.takes(node.op_type, getattr(node, "to", 0)):
            taken[0] = steps.onto(taken[0])
        try:
            outputs: Sequence[Any] = node.run(*taken, **context)
        except Exception as error:  # whatever an operator of the evaluator raises
            raise Unsupported(f"{_named(node)}: {_line(error)}") from error
        self.work += _work(node, results, outputs)
        if not self.exact:
            return _as_typed(node, results, outputs) if type(node) in OURS else outputs
        if node.op_type in PICKS:
            return outputs
        for output in outputs:
            if isinstance(output, np.ndarray) and output.dtype.name in ROUNDED:
                name = output.dtype.name
                raise Unsupported(f"{_named(node)}: the evaluator rounds it to {name}")
        return outputs

    def _constant(self, name: str, *, as_stored: bool) -> Array:
        """Reads a large constant, raised where the model is run in float64."""
        array = self._weights[name].array(few=as_stored)
        return _raised(array) if self.exact and not as_stored else array

    def _fed(self, feed: Feed) -> dict[str, Array]:
        return {name: self._value(name, array) for name, array in feed.items()}

    def _value(self, name: str, array: Array) -> Array:
        values = from_bits(array, modelfile.type_name(self._inputs[name]))
        return _raised(values) if self.exact else values

    def _tensors(self, results: Mapping[str, Any]) -> dict[str, Array] | Unsupported:
        """Picks the outputs; a constant may be one, too."""
        outputs = {}
        for name in self._outputs:
            is_constant = name in self._weights and name not in results
            if not is_constant and name not in results:
                return Unsupported(f"the output {name!r} is computed by no node")
            value = self._constant(name, as_stored=False) if is_constant else results[name]
            if not isinstance(value, np.ndarray | np.generic):
                return Unsupported(f"the output {name!r} is no tensor")
            outputs[name] = np.asarray(value)
        return outputs


def _shares_factor(node: Any, constants: Mapping[str, Array], alive: Mapping[int, Results]) -> bool:
    """Says whether a node multiplies several feeds by one large matrix."""
    if node.op_type != "MatMul" or node.domain or len(alive) < 2:
        return False
    factor = constants.get(node.input[1])
    taken = [results.get(node.input[0]) for results in alive.values()]
    return (
        factor is not None
        and factor.ndim == 2
        and all(
            isinstance(each, np.ndarray)
            and each.ndim > 1
            and each.shape[-1] == len(factor)
            and each.dtype == factor.dtype
            for each in taken
        )
    )


def _call_standard_by_one_name(model: ModelProto) -> None:
    """Gives ONNX's own domain its empty name everywhere, which is the one that operators go by."""
    for imported in model.opset_import:
        imported.domain = "" if imported.domain in graphs.STANDARD else imported.domain
    for owner in (model.graph, *model.functions):
        for node in graphs.nodes(owner):
            node.domain = "" if node.domain in graphs.STANDARD else node.domain


def _groups(feeds: Sequence[Feed]) -> Iterator[list[Feed]]:
    """Yields the feeds in their order, in groups that are not too large to go together."""
    group: list[Feed] = []
    held = 0
    for feed in feeds:
        size = sum(array.nbytes for array in feed.values())
        if group and held + size > TOGETHER:
            yield group
            group, held = [], 0
        group.append(feed)
        held += size
    if group:
        yield group


def _work(node: Any, results: Mapping[str, Any], outputs: Sequence[Any]) -> float:
    """What a node computed, in multiplications. Where several arrays go into an operator of ours,
    it is taken for a product of matrices, whose sizes tell how many: √(mk · kn · mn)."""
    made = sum(output.size for output in outputs if isinstance(output, np.ndarray))
    if type(node) not in OURS:
        return ELEMENT * made
    taken = [results[name] for name in node.input[:2]]
    if not all(isinstance(each, np.ndarray) for each in taken) or len(taken) < 2:
        return ELEMENT * made
    if node.op_type == "MatMul":
        return float(made * (taken[0].shape or (1,))[-1])
    if node.op_type == "Conv":
        return float(made * taken[1].size / max(1, taken[1].shape[0]))
    return ELEMENT * made + math.sqrt(float(taken[0].size) * taken[1].size * made)


def _raised(array: Any) -> Any:
    """Gives floats of a lower type in float64, anything else as it is."""
    lower = isinstance(array, np.ndarray) and array.dtype.name in ROUNDED
    return array.astype(np.float64) if lower else array


def _as_typed(node: Any, results: Mapping[str, Any], outputs: Sequence[Any]) -> list[Any]:
    """Brings results of our own operators, which are float64, to the type that the operator makes
    of whatever it is fed, else to that of the first input."""
    first = results[node.input[0]]
    own = first.dtype if isinstance(first, np.ndarray) and _rounded(first) else np.float64
    dtype = getattr(node, "makes", own)
    return [
        output.astype(dtype)
        if isinstance(output, np.ndarray) and output.dtype == np.float64
        else output
        for output in outputs
    ]


def from_bits(array: Array, onnx_type: str) -> Array:
    """Gives an array its own type: bfloat16 and smaller floats travel as their bits."""
    if onnx_type not in BITS:
        return array
    element = getattr(onnx.TensorProto, onnx_type.upper())
    return array.view(onnx.helper.tensor_dtype_to_np_dtype(element))


def _rounded(array: Array) -> bool:
    return array.dtype.name in ROUNDED


def _last_uses(model: ModelProto, outputs: Sequence[str]) -> Iterator[list[str]]:
    """Yields for each node the results that nothing after it needs, initializers excepted."""
    kept = {*outputs, "", *(tensor.name for tensor in model.graph.initializer)}
    lasts: list[list[str]] = []
    # Seen from the end, the first use of a result is its last.
    for node in reversed(model.graph.node):
        used = [*_read(node), *node.output]
        lasts.append([name for name in dict.fromkeys(used) if name not in kept])
        kept.update(used)
    yield from reversed(lasts)


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Yields the names that a node takes, and those that its subgraphs may take from around it."""
    yield from node.input
    yield from _captured(node)


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
