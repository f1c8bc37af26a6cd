"""Runs a network in float32 and in every lower format, to see what errors each format makes.

A class is a band between simulations, not a point, so most are simulated in several forms. A form
rounds the weights in numpy and what is computed by nodes in a copy of the file. LSTM, GRU and
Attention are rounded at their edges only; the bodies of If, Loop and Scan are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from onnx import ModelProto, TensorProto

from toolkit.answers import formats, rewrite
from toolkit.answers.folding import folded
from toolkit.answers.formats import Precision
from toolkit.answers.judge import Simulation
from toolkit.errors import ToolkitError, first_line
from toolkit.onnxfiles.graphs import copied, float32_tensors, opset, subgraphs
from toolkit.tensors import Array, Feed

Runner: TypeAlias = Callable[[ModelProto, Sequence[Feed]], list[dict[str, Array]]]
"""Runs a file on each feed in float32, unoptimised, and returns the named outputs of each.

An optimiser may fold Mul, Sub, Sub or Cast, Cast back to nothing: all of its passes must be off.
"""

Where: TypeAlias = Literal["nowhere", "weights", "every node", "products", "their weights"]
"""What a form rounds: 'every node' and 'products' (their inputs) round the weights too."""


@dataclass(frozen=True)
class Form:
    """One way in which hardware or a runtime makes a network less precise."""

    precision: Precision
    name: str
    where: Where
    rounding: rewrite.Rounding | None = None
    channels: bool = False
    """Each output channel of a weight has its own scale."""
    folded: bool = False
    """It is run on the graph whose BatchNormalization is folded."""

    def title(self) -> str:
        """Names it as a note does: 'bfloat16, weights only'."""
        return f"{self.precision}, {self.name}"


@dataclass(frozen=True)
class Simulations:
    """The simulations of one model."""

    made: tuple[Simulation, ...]
    """All that could be run, float32 first."""
    left_out: tuple[str, ...] = ()
    """The forms that could not, and parts of the graph that are not rounded, in words."""


def simulate(model: ModelProto, feeds: Sequence[Feed], runner: Runner) -> Simulations:
    """Simulates every form of the model on every feed.

    `model` has its external data loaded; give the portable form of an old file, since opsets below
    11 lack what int8 needs. One copy of the weights is alive at a time. Outputs have the precision
    of the file's own output types. Any form that fails is left out; raises ToolkitError if float32
    itself cannot be run.
    """
    base = rewrite.float32_form(model)
    inputs = [_float32_feed(model, feed) for feed in feeds]
    types = {o.name: o.type.tensor_type.elem_type for o in model.graph.output}
    made, left_out = [], _limits(base)
    for form, copy in _copies(base, left_out):
        try:
            # A lower format may overflow: that is its error, not a fault of ours.
            with np.errstate(all="ignore"):
                raw = runner(copy, inputs)
        except Exception as error:  # the runner is another library's
            reason = first_line(error)
            if form.where == "nowhere":
                raise ToolkitError(f"the model cannot be run in float32: {reason}") from error
            left_out.append(f"{form.title()}: {reason}")
            continue
        outputs = tuple({n: _as_stored(a, types.get(n)) for n, a in o.items()} for o in raw)
        made.append(Simulation(form.precision, form.name, outputs))
    return Simulations(tuple(made), tuple(left_out))


def reference_runner(model: ModelProto, feeds: Sequence[Feed]) -> list[dict[str, Array]]:
    """Runs a file on the ONNX reference evaluator: slow, and always there."""
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(model)
    names = [o.name for o in model.graph.output]
    results = (session.run(names, dict(feed)) for feed in feeds)
    return [{n: np.asarray(a) for n, a in zip(names, r, strict=True)} for r in results]


def _forms(version: int, *, norms: bool) -> Iterator[Form]:
    """Lists the forms for an opset, 12 of them; 16 where a normalization can be folded."""
    bf16 = rewrite.BFLOAT16 if version >= rewrite.BFLOAT16.opset else rewrite.BFLOAT16_EARLY
    yield Form("float32", "plain", "nowhere")
    yield Form("tf32", "rounded", "products", rewrite.TF32)
    yield Form("tf32", "truncated", "products", rewrite.TF32_CUT)
    yield Form("bfloat16", "inputs of products", "products", bf16)
    yield Form("int8", "inputs of products", "products", rewrite.INT8)
    yield Form("int8", "weights only", "their weights", rewrite.INT8)
    yield Form("int8", "every node", "every node", rewrite.INT8)
    yield Form("int8", "weights per channel", "products", rewrite.INT8, channels=True)
    for fold in (False, True) if norms else (False,):
        after = ", BatchNormalization folded" if fold else ""
        rounding: tuple[tuple[Precision, rewrite.Rounding], ...]
        rounding = (("float16", rewrite.FLOAT16), ("bfloat16", bf16))
        for precision, how in rounding:
            yield Form(precision, f"full{after}", "every node", how, folded=fold)
            yield Form(precision, f"weights only{after}", "weights", how, folded=fold)


def _copies(base: ModelProto, left_out: list[str]) -> Iterator[tuple[Form, ModelProto]]:
    """Writes the copy for each form; appends to `left_out` the forms that its opset cannot hold."""
    graphs = {False: base, True: folded(base)}
    floats = {fold: float32_tensors(g) for fold, g in graphs.items() if g is not None}
    version = opset(base)
    for form in _forms(version, norms=graphs[True] is not None):
        graph = graphs[form.folded]
        # Weights are rounded in numpy, which needs no node.
        needs = form.rounding.opset if form.rounding and "weights" not in form.where else 1
        if version < needs:
            left_out.append(f"{form.title()}: needs opset {needs}, the file has {version}")
        elif graph is not None:
            yield form, _rounded(form, rewrite.RoundedCopy(copied(graph), floats[form.folded]))


def _rounded(form: Form, copy: rewrite.RoundedCopy) -> ModelProto:
    if form.rounding is None:
        return copy.model
    if form.where == "weights":
        copy.round_weights(form.rounding)
    elif form.where == "every node" and form.precision == "int8":
        # No runtime keeps a bias or a scale in 8 bits: weights as the products read them.
        copy.round_products(form.rounding, channels=False, computed=False)
        copy.round_every_node(form.rounding)
    elif form.where == "every node":
        copy.round_weights(form.rounding)
        copy.round_every_node(form.rounding)
    else:
        computed = form.where == "products"
        copy.round_products(form.rounding, channels=form.channels, computed=computed)
    return copy.model


def _limits(base: ModelProto) -> list[str]:
    """Says which parts of the graph are not rounded in any form."""
    bodies = sorted({n.op_type for n in base.graph.node if subgraphs(n)})
    limits = [f"the bodies of {', '.join(bodies)} are not rounded"] if bodies else []
    return limits + (["sparse weights are not rounded"] if base.graph.sparse_initializer else [])


def _float32_feed(model: ModelProto, feed: Feed) -> dict[str, Array]:
    kinds = {i.name: i.type.tensor_type.elem_type for i in model.graph.input}
    return {n: _float32(a, kinds.get(n)) for n, a in feed.items()}


def _float32(array: Array, kind: int | None) -> Array:
    if kind == TensorProto.BFLOAT16 and array.dtype == np.uint16:
        return formats.from_bfloat16(array)
    return array.astype(np.float32) if array.dtype in (np.float16, np.float64) else array


def _as_stored(array: Array, kind: int | None) -> Array:
    """Rounds an output to the file's own output type, as whatever computes it must."""
    if kind == TensorProto.FLOAT16:
        return formats.through_float16(array)
    return formats.rounded(array, 8) if kind == TensorProto.BFLOAT16 else array
