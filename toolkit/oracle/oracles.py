"""The oracle: what the outputs for a feed are in float64.

Of a PyTorch module: the module itself in double. Of a bare .onnx: its portable form in float64 on
the ONNX reference evaluator, with our own operators where that one is wrong or slow.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from onnx import ModelProto

from toolkit import tensors
from toolkit.errors import ToolkitError, typed_line
from toolkit.feeds.drawing import Draws, Feed
from toolkit.oracle.evaluator import Evaluator, from_bits
from toolkit.oracle.portable import Unsupported
from toolkit.oracle.raised import float64
from toolkit.sources import calls
from toolkit.tensors import Array, TensorSpec

if TYPE_CHECKING:
    import torch

ENOUGH = 1000
"""Elements of each output, over all feeds, below which a verdict is not sure."""
MOST_MORE = 64
"""Feeds that are drawn to reach it: a model of one output element a feed stays below it."""


class RefusedFeed(ToolkitError):
    """The model itself does not take a feed: no fault of the file, and no oracle for that size."""


class Oracle(Protocol):
    """Says what is right."""

    @property
    def name(self) -> str:
        """'torch in float64', 'reference evaluator in float64' …"""

    @property
    def exact(self) -> bool:
        """False: there is no float64 oracle, and the name says why."""

    def answer(self, feed: tensors.Feed) -> dict[str, Array]:
        """The outputs by name, in the order of the model's. Raises Refused or Unsupported."""

    def in_float32(self, feed: tensors.Feed) -> dict[str, Array] | None:
        """A plain float32 evaluation of its own, or None where it has none."""


@dataclass(frozen=True)
class ModelOracle:
    """The .onnx in float64 on the reference evaluator."""

    evaluator: Evaluator
    plain: Evaluator
    """The same in the file's own types."""
    name: str = "reference evaluator in float64"
    exact: bool = True

    def answer(self, feed: tensors.Feed) -> dict[str, Array]:
        return self.evaluator.run(feed)

    def in_float32(self, feed: tensors.Feed) -> dict[str, Array] | None:
        """What the same evaluator gives in the file's own types: the noise of float32 without
        another reading of the operators. None where it can do the file in float64 only."""
        try:
            return self.plain.run(feed)
        except Unsupported:
            return None


@dataclass(frozen=True)
class ModuleOracle:
    """A PyTorch module in double; or, where that fails, as it is, with that said in its name."""

    module: torch.nn.Module
    """A copy of ours, in eval mode, already in double where `exact`."""
    original: torch.nn.Module
    """A copy in its own types: tells what the module refuses from what float64 breaks."""
    inputs: tuple[TensorSpec, ...]
    name: str = "torch in float64"
    exact: bool = True

    def answer(self, feed: tensors.Feed) -> dict[str, Array]:
        if not self.exact:
            return self._as_it_is(feed)
        try:
            with float64():
                return self._call(self.module, feed, raise_floats=True)
        except ToolkitError:
            raise
        except Exception as error:  # whatever a user's forward raises
            self._as_it_is(feed)
            raise Unsupported(
                f"the module runs in float32 but not in float64: {typed_line(error)}"
            ) from error

    def in_float32(self, feed: tensors.Feed) -> dict[str, Array] | None:
        """What the module itself gives in float32: the plain evaluation that a file made from it is
        held against, so that a fault of the file is no noise. None where the module is not float32
        throughout, or where this is the oracle already."""
        import torch

        floats = [t.dtype for t in self.original.state_dict().values() if t.is_floating_point()]
        if not self.exact or any(dtype != torch.float32 for dtype in floats):
            return None
        return self._as_it_is(feed)

    def _as_it_is(self, feed: tensors.Feed) -> dict[str, Array]:
        try:
            return self._call(self.original, feed, raise_floats=False)
        except ToolkitError:
            raise
        except Exception as error:  # whatever a user's forward raises
            raise RefusedFeed(f"the PyTorch module refuses it: {typed_line(error)}") from error

    def _call(
        self, module: torch.nn.Module, feed: tensors.Feed, *, raise_floats: bool
    ) -> dict[str, Array]:
        import torch

        given = calls.arguments(
            module,
            {spec.name: _tensor(feed[spec.name], spec.type, raise_floats) for spec in self.inputs},
        )
        with torch.no_grad():
            result = module(*given.args, **given.kwargs)
        return {name: _array(tensor) for name, tensor in calls.outputs(result).items()}


def of_model(model: ModelProto) -> ModelOracle:
    """The oracle of a bare .onnx. Raises Unsupported, naming what the evaluator cannot do."""
    return ModelOracle(Evaluator(model), Evaluator(model, exact=False))


def of_module(
    module: torch.nn.Module,
    inputs: Sequence[TensorSpec],
    probe: tensors.Feed,
) -> ModuleOracle:
    """The oracle of a PyTorch module, which is not changed. `probe` is a feed that it takes: where
    it does so in float32 only, the oracle is PyTorch in float32 and says so.
    Raises Refused where the probe is refused.
    """
    original = copy.deepcopy(module).eval()
    oracle = ModuleOracle(copy.deepcopy(original).double(), original, tuple(inputs))
    try:
        oracle.answer(probe)
    except Unsupported as error:
        name = f"PyTorch in float32, since there is no float64 oracle: {error.what}"
        return dataclasses.replace(oracle, name=name, exact=False)
    return oracle


@dataclass(frozen=True)
class Expected:
    """A feed and what is right for it."""

    feed: Feed
    outputs: Mapping[str, Array]


def expected(oracle: Oracle, feeds: Sequence[Feed], draws: Draws | None = None) -> list[Expected]:
    """The oracle's answers. With `draws`, further feeds of the largest sizes follow until each
    output has 1,000 elements in all, or until 64 were drawn. Raises as `Oracle.answer`."""
    found = [Expected(feed, oracle.answer(feed.arrays)) for feed in feeds]
    return found if draws is None else enough(oracle, found, draws)


def enough(oracle: Oracle, found: Sequence[Expected], draws: Draws) -> list[Expected]:
    """What was found, with further feeds as `expected` adds them. One whose values the model does
    not take is left out: others of its size were taken."""
    pooled = list(found)
    largest = max((each.feed for each in found), key=lambda feed: feed.size)
    # Feeds of one size are told apart by their number.
    last = max(each.feed.number for each in found if each.feed.dims == largest.dims)
    for number in range(last + 1, last + 1 + MOST_MORE):
        if _fewest(pooled) >= ENOUGH:
            break
        feed = draws.draw(largest.dims, number)
        with contextlib.suppress(Unsupported, RefusedFeed):
            pooled.append(Expected(feed, oracle.answer(feed.arrays)))
    return pooled


def _fewest(found: Sequence[Expected]) -> int:
    sizes = (sum(each.outputs[name].size for each in found) for name in found[0].outputs)
    return min(sizes, default=0)


def _tensor(array: Array, onnx_type: str, raise_floats: bool) -> torch.Tensor:
    import torch

    values = from_bits(array, onnx_type)
    if values.dtype.name == "bfloat16":
        wide = torch.from_numpy(values.astype(np.float32))
        return wide.double() if raise_floats else wide.bfloat16()
    tensor = torch.from_numpy(np.array(values))  # a copy: a forward may write into its input
    return tensor.double() if raise_floats and tensor.is_floating_point() else tensor


def _array(tensor: torch.Tensor) -> Array:
    import torch

    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array
