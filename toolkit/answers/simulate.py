"""Runs a network in float32 and in every lower format, to see what errors each format makes.

A class is a band between simulations, not a point, so most are simulated in several forms. A form
rounds the weights in numpy and what is computed by nodes in a copy of the graph. LSTM, GRU and
Attention are rounded at their edges only; the bodies of If, Loop and Scan are left alone.

A form is made when it is asked for, on the feeds that it is asked for, and kept.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from onnx import ModelProto, TensorProto

from toolkit.answers import formats, rewrite
from toolkit.answers.folding import folded
from toolkit.answers.formats import Precision
from toolkit.answers.judge import Simulation
from toolkit.answers.rule import HARDLY
from toolkit.errors import ToolkitError, demand_room, first_line
from toolkit.onnxfiles import thinmodels
from toolkit.onnxfiles.graphs import float32_tensors, opset, subgraphs
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.tensors import Array, Feed

Runner: TypeAlias = Callable[[ThinModel, Sequence[Feed]], list[dict[str, Array]]]
"""Runs a model on each feed in float32, unoptimised, and returns the named outputs of each.

An optimiser may fold Mul, Sub, Sub or Cast, Cast back to nothing: all of its passes must be off.
"""

RunWhole: TypeAlias = Callable[[ModelProto, Sequence[Feed]], list[dict[str, Array]]]
"""Does the same with a model that is in memory."""

RunHere: TypeAlias = Callable[[ThinModel, Sequence[Feed]], "list[dict[str, Array]] | None"]
"""Does the same in this process, for less; None where it cannot."""

StartRunner: TypeAlias = Callable[[], AbstractContextManager[Runner]]
"""Brings a runner, which lives as long as the context."""

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


PLAIN = Form("float32", "plain", "nowhere")
NEAR = (
    Form("tf32", "rounded", "products", rewrite.TF32),
    Form("float16", "weights only", "weights", rewrite.FLOAT16),
)
FULL = Form("float16", "full", "every node", rewrite.FLOAT16)
"""The near form where the weights are float16's already, or nearly so: then the second of these is
no lower format, but float32."""
"""The forms that stand for all lower ones where it is asked whether feeds can tell float32 from
less. Over the networks of tests/answers, six seeds each, one of them had the least error of
all forms in 32 of 36 cases; in the others it was a folded graph's, by a factor of 1.5 at most."""
SMALL = 4096
"""Elements of the weights that are read to see whether a form changes them."""
FEW_CHANGED = 0.01
"""The share of weights up to which a form of rounded weights hardly rounds. Of normal weights with
a deviation of 0.02 that lie on bfloat16's grid, float16 changes 0.24 %: those below 6.1e-5."""
SPACING = 4
"""Ulps by which rounding must change a weight to count: int8 gives back its own levels to within
two."""


@dataclass(frozen=True)
class Simulations:
    """The simulations of one model."""

    made: tuple[Simulation, ...]
    """All that could be run, float32 first."""
    left_out: tuple[str, ...] = ()
    """The forms that could not, and parts of the graph that are not rounded, in words."""


class Simulator:
    """Makes the forms of one model on numbered feeds, each once.

    `model` is a portable form of the file, since opsets below 11 lack what int8 needs. No copy of
    the weights is ever in memory, but the one tensor that is being rounded. Outputs have the
    precision of the file's own output types.

    The forms near to float32, which nearly every verdict asks for, are run by `here`, where that
    can: the runner's file of rounded weights would take longer to write than they take to run.
    """

    def __init__(
        self,
        model: ThinModel,
        feeds: Sequence[Feed],
        start: StartRunner,
        here: RunHere | None = None,
    ) -> None:
        self._inputs = [_float32_feed(model.proto, feed) for feed in feeds]
        self._types = {o.name: o.type.tensor_type.elem_type for o in model.proto.graph.output}
        self._plain = rewrite.float32_form(model)
        self._start = start
        self._here = here
        self._runner: Runner | None = None
        self._outputs: dict[tuple[Form, int], dict[str, Array]] = {}
        self._refused: dict[Form, str] = {}
        self._changed: dict[Form, float] = {}
        self._reached: dict[Form, frozenset[str]] = {}

    @property
    def left_out(self) -> tuple[str, ...]:
        """The forms that could not be made so far, and what is rounded in none, in words."""
        lacking = [
            f"{form.title()}: needs opset {_needs(form)}, the file has {self._opset}"
            for form in self._every_form
            if _needs(form) > self._opset
        ]
        failed = (f"{form.title()}: {reason}" for form, reason in self._refused.items())
        return (*_limits(self._plain.proto), *lacking, *failed)

    def made(self) -> frozenset[tuple[Form, int]]:
        """What was made so far: forms, each with the number of a feed."""
        return frozenset(self._outputs)

    @property
    def lower(self) -> tuple[Form, ...]:
        """The forms of lower formats that the file's opset can hold."""
        return tuple(form for form in self._every_form[1:] if _needs(form) <= self._opset)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keeps one runner for all that is asked for meanwhile; it is started when first needed."""
        if self._runner is not None:
            yield
            return
        with contextlib.ExitStack() as stack:
            started: list[Runner] = []

            def run(model: ThinModel, feeds: Sequence[Feed]) -> list[dict[str, Array]]:
                if not started:
                    started.append(stack.enter_context(self._start()))
                return started[0](model, feeds)

            self._runner = run
            try:
                yield
            finally:
                self._runner = None

    def simulation(
        self, form: Form, feeds: Sequence[int], *, here: bool = False
    ) -> Simulation | None:
        """Makes a form on these feeds, by their numbers; None where it cannot be run, and where it
        rounds nothing in this model: it is float32 then, and no lower format.

        It is run in this process, if that can, where `here` or the form is a near one. Raises
        ToolkitError if float32 itself cannot be run.
        """
        lacking = [feed for feed in feeds if (form, feed) not in self._outputs]
        if self.is_void(form):
            return None
        if lacking and form not in self._refused:
            self._make(form, lacking, here=here or form in (*NEAR, FULL))
        if form in self._refused or self.is_void(form):
            return None
        outputs = tuple(self._outputs[form, feed] for feed in feeds)
        hardly = self._changed.get(form, 1.0) <= FEW_CHANGED
        name = form.name + HARDLY * hardly
        return Simulation(form.precision, name, outputs, self._reaches(form))

    def simulations(self, forms: Sequence[Form], feeds: Sequence[int]) -> tuple[Simulation, ...]:
        """Makes several forms on these feeds, without those that cannot be run."""
        with self.running():
            made = [self.simulation(form, feeds) for form in forms]
        return tuple(each for each in made if each is not None)

    def _reaches(self, form: Form) -> frozenset[str] | None:
        """The tensors that a form can change; None: all."""
        if form.rounding is None or form.where == "every node":
            return None
        if form not in self._reached:
            self._reached[form] = self._reach(form, form.rounding)
        return self._reached[form]

    def _reach(self, form: Form, rounding: rewrite.Rounding) -> frozenset[str]:
        model = self._bases[form.folded]
        assert model is not None, "a folded form is listed only where something is folded"
        changed: set[str] = set()
        if form.where == "weights":
            for tensor in model.proto.graph.initializer:
                is_float = tensor.data_type == TensorProto.FLOAT
                # A large one is not read for this: hardly any lies on a lower format's grid.
                is_large = math.prod(tensor.dims) > SMALL
                if is_float and (is_large or _changes(rounding, model.array(tensor), None)):
                    changed.add(tensor.name)
        products = form.where in ("products", "their weights")
        return rewrite.reached(model.proto.graph, changed, products=products)

    def is_void(self, form: Form) -> bool:
        """Says whether a form of rounded weights rounds nothing, since there is no such weight or
        all lie on the format's own grid; of other forms, whether that was seen when it was made."""
        if form not in self._changed and "weights" in form.where and form.rounding is not None:
            self._changed[form] = self._changed_share(form, form.rounding)
        return not self._changed.get(form, 1.0)

    def _changed_share(self, form: Form, rounding: rewrite.Rounding) -> float:
        """The share of weights that rounding changes; once that is more than FEW_CHANGED the rest
        is not looked at."""
        model = self._bases[form.folded]
        assert model is not None, "a folded form is listed only where something is folded"
        as_it_is = rewrite.RoundedCopy(model, self._floats[form.folded])
        total = sum(math.prod(tensor.dims) for tensor in as_it_is.constants.values())
        changed = 0
        for values, axis in as_it_is.rounded_weights(form.where, channels=form.channels):
            changed += _changes(rounding, values, axis)
            if changed > FEW_CHANGED * total:
                return 1.0
        return changed / max(int(total), 1)

    def _make(self, form: Form, feeds: Sequence[int], *, here: bool) -> None:
        try:
            copy = self._copy(form)
            if copy is self._plain and form != PLAIN:
                self._changed[form] = 0.0
                return
            # A lower format may overflow: that is its error, not a fault of ours.
            with np.errstate(all="ignore"):
                raw = self._run(copy, [self._inputs[feed] for feed in feeds], here=here)
        except Exception as error:  # the runner is another library's
            demand_room(error)
            reason = first_line(error)
            if form == PLAIN:
                raise ToolkitError(f"the model cannot be run in float32: {reason}") from error
            self._refused[form] = reason
            return
        for feed, outputs in zip(feeds, raw, strict=True):
            self._outputs[form, feed] = {
                name: _as_stored(array, self._types.get(name)) for name, array in outputs.items()
            }

    def _run(
        self, model: ThinModel, feeds: Sequence[Feed], *, here: bool
    ) -> list[dict[str, Array]]:
        outputs = self._here(model, feeds) if here and self._here is not None else None
        if outputs is not None:
            return outputs
        with self.running():
            assert self._runner is not None, "running() brings it"
            return self._runner(model, feeds)

    def _copy(self, form: Form) -> ThinModel:
        if form == PLAIN:
            return self._plain
        model = self._bases[form.folded]
        assert model is not None, "a folded form is listed only where something is folded"
        copy = rewrite.RoundedCopy(model.copy(), self._floats[form.folded])
        rounded = _rounded(form, copy)
        return rounded if copy.is_rounded or form.folded else self._plain

    @cached_property
    def _bases(self) -> Mapping[bool, ThinModel | None]:
        """The graph to round, as it is and folded."""
        base = rewrite.lifted(self._plain)
        return {False: base, True: folded(base)}

    @cached_property
    def _floats(self) -> Mapping[bool, set[str]]:
        return {
            fold: set() if model is None else float32_tensors(model.proto)
            for fold, model in self._bases.items()
        }

    @cached_property
    def _opset(self) -> int:
        return opset(self._plain.proto)

    @cached_property
    def _every_form(self) -> tuple[Form, ...]:
        return tuple(_forms(self._opset, norms=self._bases[True] is not None))


@dataclass(frozen=True)
class LowerForms:
    """The lower formats of one model on some of its feeds: what a judge may ask for (`Lower`)."""

    simulator: Simulator
    feeds: tuple[int, ...]
    """Their numbers in the simulator."""

    def of(self, feeds: Sequence[int]) -> LowerForms:
        """Gives the same for some of these feeds, by their places here."""
        return LowerForms(self.simulator, tuple(self.feeds[i] for i in feeds))

    def near(self, feeds: Sequence[int]) -> tuple[Simulation, ...] | None:
        """Makes the forms nearest to float32, on some of these feeds; None where one cannot be run.
        What rounds nothing in this model is no lower form (`Simulator.simulation`)."""
        if not {*NEAR} <= {*self.simulator.lower}:
            return None
        near = self.simulator.simulations(NEAR, [self.feeds[i] for i in feeds])
        void = sum(self.simulator.is_void(form) for form in NEAR)
        return near if len(near) + void == len(NEAR) else None

    def full(self, feeds: Sequence[int]) -> tuple[Simulation, ...]:
        """Makes float16 in full, on some of these feeds; none where it cannot be run."""
        if FULL not in self.simulator.lower:
            return ()
        return self.simulator.simulations([FULL], [self.feeds[i] for i in feeds])

    def every(self) -> tuple[Simulation, ...]:
        """Makes every form on all of these feeds."""
        return self.simulator.simulations(self.simulator.lower, self.feeds)

    def left_out(self) -> tuple[str, ...]:
        """The forms that could not be made so far, in words."""
        return self.simulator.left_out


def simulate(
    model: ModelProto,
    feeds: Sequence[Feed],
    run: RunWhole,
) -> Simulations:
    """Simulates every form of a model in memory on every feed, by a function that runs it.

    Any form that fails is left out; raises ToolkitError if float32 itself cannot be run.
    """
    simulator = in_memory(model, feeds, run)
    forms = (PLAIN, *simulator.lower)
    return Simulations(simulator.simulations(forms, range(len(feeds))), simulator.left_out)


def in_memory(
    model: ModelProto,
    feeds: Sequence[Feed],
    run: RunWhole,
) -> Simulator:
    """Makes the simulator of a model in memory, by a function that runs whole models."""

    def whole(copy: ThinModel, each: Sequence[Feed]) -> list[dict[str, Array]]:
        return run(copy.whole(), each)

    return Simulator(thinmodels.of_model(model), feeds, lambda: contextlib.nullcontext(whole))


@contextmanager
def reference_runner() -> Iterator[Runner]:
    """Brings a runner on the ONNX reference evaluator: slow, and always there."""
    yield lambda model, feeds: run_on_reference(model.whole(), feeds)


def run_on_reference(model: ModelProto, feeds: Sequence[Feed]) -> list[dict[str, Array]]:
    """Runs a model on each feed on the ONNX reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(model)
    names = [o.name for o in model.graph.output]
    results = (session.run(names, dict(feed)) for feed in feeds)
    return [{n: np.asarray(a) for n, a in zip(names, r, strict=True)} for r in results]


def _forms(version: int, *, norms: bool) -> Iterator[Form]:
    """Lists the forms for an opset, 12 of them; 16 where a normalization can be folded."""
    bf16 = rewrite.BFLOAT16 if version >= rewrite.BFLOAT16.opset else rewrite.BFLOAT16_EARLY
    yield PLAIN
    yield NEAR[0]
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


def _needs(form: Form) -> int:
    """The opset that a form's nodes need. Weights are rounded in numpy, which needs no node."""
    return form.rounding.opset if form.rounding and "weights" not in form.where else 1


def _changes(rounding: rewrite.Rounding, values: Array, axis: int | None) -> int:
    """Counts the numbers that rounding changes by more than a few ulps."""
    with np.errstate(all="ignore"):  # masks hold the largest float32, which overflows
        change = np.abs(rounding.weights(values, axis) - values)
        return int(np.count_nonzero(change > SPACING * np.spacing(np.abs(values))))


def _rounded(form: Form, copy: rewrite.RoundedCopy) -> ThinModel:
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
