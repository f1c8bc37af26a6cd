"""Computes the outputs for a feed in float64: the oracle.

For a PyTorch module it is the module itself in double. For a bare .onnx it is the file's portable
form in float64 on the ONNX reference evaluator, with our own operators where that one is wrong or
slow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from onnx import ModelProto

from toolkit import tensors
from toolkit.errors import ToolkitError, demand_room, typed_line
from toolkit.feeds.feed import Draws, Feed
from toolkit.feeds.sizes import BATCH
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.oracle import raised
from toolkit.oracle.enough import ENOUGH
from toolkit.oracle.evaluator import Evaluator, from_bits
from toolkit.oracle.portable import Unsupported
from toolkit.sources import attributes, calls
from toolkit.supervision import progress
from toolkit.tensors import Array, TensorSpec

if TYPE_CHECKING:
    import torch

MOST_MORE = 64
"""Feeds that are added at most to reach ENOUGH. A model of one output element a feed stays below
it: a thousand runs in float64 would take too long."""


class RefusedFeed(ToolkitError):
    """The model itself does not take a feed: no fault of the file, and no oracle for that size."""


Answer: TypeAlias = "dict[str, Array] | RefusedFeed | Unsupported"
"""The outputs for one feed by name, in the order of the model's; or why there are none."""


class Oracle(Protocol):
    """Says what is right for a feed."""

    @property
    def name(self) -> str:
        """Its name for people: 'torch in float64', 'reference evaluator in float64' …"""

    @property
    def exact(self) -> bool:
        """False: there is no float64 oracle, and the name says why."""

    @property
    def work(self) -> float | None:
        """All that its answers took so far, in multiplications; None: that is not counted."""

    def answer(self, feed: tensors.Feed) -> dict[str, Array]:
        """Computes the outputs by name, in the order of the model's.

        Raises RefusedFeed for what the model itself does not take, Unsupported for what the oracle
        cannot compute.
        """

    def answer_all(self, feeds: Sequence[tensors.Feed]) -> list[Answer]:
        """Computes the outputs of several feeds at once, which may cost less than one by one; the
        error of a feed stands in its place."""

    def in_float32(self, feed: tensors.Feed) -> dict[str, Array] | None:
        """Evaluates the model plainly in float32; None where it cannot. Raises as `answer`."""

    def all_in_float32(self, feeds: Sequence[tensors.Feed]) -> list[dict[str, Array] | None]:
        """Evaluates several feeds so, as `answer_all` does."""


@dataclass(frozen=True)
class ModelOracle:
    """The oracle of a bare .onnx: the file in float64 on the reference evaluator."""

    evaluator: Evaluator
    plain: Evaluator
    """Runs the same file in its own types."""
    name: str = "reference evaluator in float64"
    exact: bool = True

    @property
    def work(self) -> float | None:
        return self.evaluator.work

    def answer(self, feed: tensors.Feed) -> dict[str, Array]:
        return self.evaluator.run(feed)

    def answer_all(self, feeds: Sequence[tensors.Feed]) -> list[Answer]:
        return [*self.evaluator.run_all(feeds)]

    def in_float32(self, feed: tensors.Feed) -> dict[str, Array] | None:
        """Evaluates the file in its own types: the noise of float32 without another reading of the
        operators. None where the evaluator can do the file in float64 only."""
        return self.all_in_float32([feed])[0]

    def all_in_float32(self, feeds: Sequence[tensors.Feed]) -> list[dict[str, Array] | None]:
        answers = self.plain.run_all(feeds)
        return [answer if isinstance(answer, dict) else None for answer in answers]


class OneByOne:
    """Gives an oracle whose feeds have nothing to share what it does for several."""

    @property
    def work(self) -> float | None:
        """Nothing is counted (`Oracle.work`)."""
        return None

    def in_float32(self, feed: tensors.Feed) -> dict[str, Array] | None:
        """Evaluates one feed plainly in float32 (`Oracle.in_float32`)."""
        raise NotImplementedError

    def all_in_float32(self, feeds: Sequence[tensors.Feed]) -> list[dict[str, Array] | None]:
        """Evaluates one feed after the other (`Oracle.all_in_float32`)."""
        return [self.in_float32(feed) for feed in feeds]

    def answer(self, feed: tensors.Feed) -> dict[str, Array]:
        """Computes the outputs for one feed (`Oracle.answer`)."""
        raise NotImplementedError

    def answer_all(self, feeds: Sequence[tensors.Feed]) -> list[Answer]:
        """Computes the outputs of one feed after the other (`Oracle.answer_all`)."""
        return [self._answer_or_error(feed) for feed in feeds]

    def _answer_or_error(self, feed: tensors.Feed) -> Answer:
        try:
            return self.answer(feed)
        except (RefusedFeed, Unsupported) as error:
            return error


@dataclass(frozen=True)
class ModuleOracle(OneByOne):
    """The oracle of a PyTorch module: the module in double; or as it is where that fails, which its
    name then says."""

    module: torch.nn.Module
    """A copy of it that borrows its tensors, and is raised to float64 as it runs."""
    original: torch.nn.Module
    """The module itself. A copy of it, which shares its parameters, tells what the module refuses
    from what float64 breaks."""
    inputs: tuple[TensorSpec, ...]
    name: str = "torch in float64"
    exact: bool = True
    written: set[int] = dataclasses.field(default_factory=set)
    """The storages that calls were seen to write into: no copy shares those."""
    probed: tuple[tensors.Feed, Mapping[str, Array]] | None = None
    """The feed that it was tried with, and its outputs: mostly the first one that is asked for."""
    in_plain: list[tuple[tensors.Feed, dict[str, Array] | None]] = dataclasses.field(
        default_factory=list
    )
    """Feeds with their outputs in float32, which a proof may ask for twice, or know before."""
    branching: list[bool] = dataclasses.field(default_factory=list)
    """Not empty: the module has branches or loops of torch's own (`branches.py`)."""

    def answer(self, feed: tensors.Feed) -> dict[str, Array]:
        if self.probed is not None and _same(feed, self.probed[0]):
            return dict(self.probed[1])
        if not self.exact:
            return self._as_it_is(feed)
        try:
            return self._in_float64(feed)
        except (ToolkitError, MemoryError):
            raise
        except Exception as error:  # whatever a user's forward raises
            demand_room(error)
            self._as_it_is(feed)  # raises RefusedFeed where it is the feed that is at fault
            raise Unsupported(
                f"the module runs in float32 but not in float64: {typed_line(error)}"
            ) from error

    def in_float32(self, feed: tensors.Feed) -> dict[str, Array] | None:
        """Evaluates the module itself in float32: a file made from it is held against that, so that
        a fault of the file is no noise. None where the module is not float32 throughout, or where
        this is the oracle already."""
        for known, outputs in self.in_plain:
            if known is feed or _same(known, feed):
                return outputs
        outputs = self._as_it_is(feed) if self.exact and self._is_float32() else None
        self.in_plain.append((feed, outputs))
        return outputs

    def _is_float32(self) -> bool:
        import torch

        state = self.original.state_dict().values()
        return all(t.dtype == torch.float32 for t in state if t.is_floating_point())

    def _in_float64(self, feed: tensors.Feed) -> dict[str, Array]:
        if self.branching:
            return self._raised(feed, branching=True)
        try:
            return self._raised(feed)
        except (ToolkitError, MemoryError):
            raise
        except Exception:  # whatever a user's forward raises
            # PyTorch compiles torch.cond and its like by itself, which fails while floats are
            # raised. Where its compiler is not there, nothing was compiled.
            if "torch._dynamo" not in sys.modules:
                raise
            outputs = self._raised(feed, branching=True)
            self.branching.append(True)
            return outputs

    def _raised(self, feed: tensors.Feed, *, branching: bool = False) -> dict[str, Array]:
        values = {name: raised.tensor(each) for name, each in self._tensors(feed).items()}
        with contextlib.ExitStack() as stack:
            stack.enter_context(progress.waiting("the PyTorch module in float64"))
            if branching:
                from toolkit.oracle import branches

                stack.enter_context(branches.interpreted())
            mode = stack.enter_context(raised.float64())
            try:
                outputs = _outputs(self.module, values)
            finally:
                self.written.update(mode.written)
        return {name: _array(mode.value(tensor)) for name, tensor in outputs.items()}

    def _as_it_is(self, feed: tensors.Feed) -> dict[str, Array]:
        try:
            copied = raised.sharing(self.original, self.written)
            with progress.waiting("the PyTorch module"):
                outputs = _outputs(copied, self._tensors(feed))
        except (ToolkitError, MemoryError):
            raise
        except Exception as error:  # whatever a user's forward raises
            demand_room(error)
            raise RefusedFeed(f"the PyTorch module refuses it: {typed_line(error)}") from error
        return {name: _array(tensor) for name, tensor in outputs.items()}

    def _tensors(self, feed: tensors.Feed) -> dict[str, torch.Tensor]:
        return {spec.name: _tensor(feed[spec.name], spec.type) for spec in self.inputs}


def of_model(model: ModelProto | ThinModel, folder: Path | None = None) -> ModelOracle:
    """Makes the oracle of a bare .onnx. Raises Unsupported, naming what the evaluator cannot do.

    `folder` is that of the file, for external data that was not loaded.
    """
    exact = Evaluator(model, folder=folder)
    return ModelOracle(exact, Evaluator(model, exact=False, folder=folder))


def of_module(
    module: torch.nn.Module,
    inputs: Sequence[TensorSpec],
    probe: tensors.Feed,
    plain: Mapping[str, torch.Tensor] | None = None,
) -> ModuleOracle:
    """Makes the oracle of a PyTorch module, which is not changed.

    `probe` is a feed that it takes: where it does so in float32 only, the oracle is PyTorch in
    float32 and says so. `plain` is the module's own answer to it, where that is known. Raises
    RefusedFeed where the probe is refused.
    """
    oracle = ModuleOracle(raised.borrowing(module), module, tuple(inputs))
    if plain is not None and oracle._is_float32():
        oracle.in_plain.append((probe, {name: _array(tensor) for name, tensor in plain.items()}))
    try:
        outputs = oracle.answer(probe)
    except Unsupported as error:
        name = f"PyTorch in float32, since there is no float64 oracle: {error.what}"
        return dataclasses.replace(oracle, name=name, exact=False)
    return dataclasses.replace(oracle, probed=(probe, outputs))


@dataclass(frozen=True)
class Expected:
    """A feed with the outputs that are right for it."""

    feed: Feed
    outputs: Mapping[str, Array]
    """Name → array, in the order of the model's outputs."""
    unread: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    """Output of the file → the positions (batch, length) that a mask switches off, as booleans:
    nobody reads what stands there (unread.py). Empty: all counts."""


def expected(oracle: Oracle, feeds: Sequence[Feed], draws: Draws | None = None) -> list[Expected]:
    """Asks the oracle for the outputs of each feed.

    With `draws`, further feeds follow as `enough` adds them. Raises as `Oracle.answer`.
    """
    answered = [Expected(feed, oracle.answer(feed.arrays)) for feed in feeds]
    return answered if draws is None else enough(oracle, answered, draws)


def enough(oracle: Oracle, answered: Sequence[Expected], draws: Draws) -> list[Expected]:
    """Adds feeds of the largest sizes until each output has ENOUGH elements over all feeds, or
    until 64 were tried. A feed whose values the model does not take is left out: others of its size
    were taken."""
    pooled = list(answered)
    largest = max((each.feed for each in answered), key=lambda feed: feed.size)
    pooled += _widened(oracle, pooled, largest, draws)
    # Feeds of one size are told apart by their number.
    number = 1 + max(each.feed.number for each in answered if each.feed.dims == largest.dims)
    end = number + MOST_MORE
    while number < end and (lacking := _lacking(pooled, largest)):
        feeds = [draws.draw(largest.dims, n) for n in range(number, min(number + lacking, end))]
        number += len(feeds)
        answers = oracle.answer_all([feed.arrays for feed in feeds])
        pooled += [
            Expected(feed, answer)
            for feed, answer in zip(feeds, answers, strict=True)
            if isinstance(answer, dict)
        ]
    return pooled


def smallest(answered: Sequence[Expected]) -> list[Expected]:
    """Chooses the fewest small feeds that have ENOUGH elements of each output; all, where they have
    not."""
    chosen: list[Expected] = []
    for each in sorted(answered, key=lambda each: sum(a.size for a in each.outputs.values())):
        if chosen and all(sum(e.outputs[n].size for e in chosen) >= ENOUGH for n in each.outputs):
            break
        chosen.append(each)
    return chosen


def _widened(
    oracle: Oracle, pooled: Sequence[Expected], largest: Feed, draws: Draws
) -> list[Expected]:
    """One feed of so large a batch that it holds all that is lacking.

    It costs less than many feeds, each of which goes through every node and every target. There is
    none where the model has no batch or refuses this one, and where an output does not grow with
    it.
    """
    lacking = min(MOST_MORE, _lacking(pooled, largest))
    batch = next((name for name in largest.dims if BATCH.match(name)), None)
    if lacking < 2 or batch is None:
        return []
    (like,) = (each for each in pooled if each.feed is largest)
    if any(output.shape[:1] != (largest.dims[batch],) for output in like.outputs.values()):
        return []
    feed = draws.draw({**largest.dims, batch: lacking * largest.dims[batch]})
    (answer,) = oracle.answer_all([feed.arrays])
    return [Expected(feed, answer)] if isinstance(answer, dict) else []


def _lacking(pooled: Sequence[Expected], like: Feed) -> int:
    """Counts the feeds like one that was answered that every output lacks for ENOUGH elements."""
    (answered,) = (each for each in pooled if each.feed is like)
    counts = [
        (sum(each.outputs[name].size for each in pooled), answered.outputs[name].size)
        for name in answered.outputs
    ]
    # An output of no element here has some at other sizes alone: one feed more is as good as many.
    lacking = (-(-(ENOUGH - total) // (each or ENOUGH)) for total, each in counts)
    return max(0, *lacking)


def _same(feed: tensors.Feed, other: tensors.Feed) -> bool:
    return feed.keys() == other.keys() and all(
        array.dtype == other[name].dtype and np.array_equal(array, other[name])
        for name, array in feed.items()
    )


def _outputs(
    module: torch.nn.Module, values: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    import torch

    given = calls.arguments(module, values)
    with torch.no_grad(), attributes.kept(module):
        return calls.outputs(module(*given.args, **given.kwargs))


def _tensor(array: Array, onnx_type: str) -> torch.Tensor:
    import torch

    values = from_bits(array, onnx_type)
    if values.dtype.name == "bfloat16":
        return torch.from_numpy(values.astype(np.float32)).bfloat16()
    return torch.from_numpy(np.array(values))  # a copy: a forward may write into its input


def _array(tensor: torch.Tensor) -> Array:
    import torch

    # numpy knows neither conjugation nor negation that is yet to be done, nor bfloat16.
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array
