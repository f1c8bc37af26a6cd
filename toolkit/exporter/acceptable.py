"""Chooses, among drawings that make sense, one that the module itself takes.

A graph does not tell all: what a module checks in Python is not in it. So the module is called once
with what its graph lets one draw. Where it refuses that, or answers without any number, inputs get
values of the kind that it took before there was a graph: one of them, or else all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toolkit.exporter import tracing
from toolkit.exporter.request import ExportRequest
from toolkit.feeds.drawing import Drawer
from toolkit.feeds.feed import Draws, Feed
from toolkit.feeds.sizes import Dims
from toolkit.sources import calls, exchange

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Partly:
    """Draws some inputs as the module was first called: what it took then it mostly takes again."""

    drawn: Draws
    request: ExportRequest
    names: frozenset[str]

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of these sizes."""
        feed = self.drawn.draw(dims, number)
        # Other numbers are other seeds, and the seed of the trace is a feed too.
        kinds = self.request.traced.kinds
        first = tracing.draw(self.request.inputs, dims, kinds, seed=number)
        arrays = {
            name: exchange.array(first[name]) if name in self.names else array
            for name, array in feed.arrays.items()
        }
        return Feed(dict(dims), feed.origin, arrays, number)


@dataclass(frozen=True)
class Chosen:
    """A drawing, and the call of the module that spoke for it."""

    draws: Draws
    feed: Feed | None = None
    """The feed that the module took; None: it took none, or was not asked."""
    outputs: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Its answer to that feed."""


def of(request: ExportRequest, drawn: Drawer, at: Sequence[Dims] = ()) -> Chosen:
    """The first drawing that the module takes and answers with numbers; else the first that it
    takes; else what the graph tells.

    `at` are sizes to call it at, the next ones where it takes none of the drawings at those before;
    without any, and at last, the traced ones.
    """
    for dims in (*at, request.traced.sizes):
        taken: list[Chosen] = []
        for candidate in _candidates(request, drawn):
            feed = candidate.draw(dims)
            outputs = _outputs(request, feed)
            if outputs is None:
                continue
            taken.append(Chosen(candidate, feed, outputs))
            if _tells(outputs):
                return taken[-1]
        if taken:
            return taken[0]
    return Chosen(drawn)


def at_fault(request: ExportRequest, feed: Feed) -> tuple[str | None, str | None]:
    """The input whose values the module refuses, and the operator that raises, where they are
    known: it takes the feed with that input alone as it was for the trace."""
    tensors = _tensors(request, feed)
    operator = _operator(request.module, tensors)
    for name, tensor in request.traced.tensors.items():
        if _taken(request.module, {**tensors, name: tensor}) is not None:
            return name, operator
    return None, operator


def _candidates(request: ExportRequest, drawn: Drawer) -> Iterator[Draws]:
    yield drawn
    names = [stated.name for stated in request.inputs]
    whole = [stated.name for stated in request.inputs if "float" not in stated.type]
    for name in names if len(names) > 1 else ():
        yield Partly(drawn, request, frozenset([name]))
    if 1 < len(whole) < len(names):
        yield Partly(drawn, request, frozenset(whole))
    yield Partly(drawn, request, frozenset(names))


def _outputs(request: ExportRequest, feed: Feed) -> Mapping[str, torch.Tensor] | None:
    """The module's outputs for a feed; None where it refuses it."""
    return _taken(request.module, _tensors(request, feed))


def _taken(
    module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]
) -> Mapping[str, torch.Tensor] | None:
    try:
        return calls.outputs(tracing.call(module, tensors))
    except Exception:  # noqa: BLE001 - the user's code, which may raise anything.
        return None


def _tensors(request: ExportRequest, feed: Feed) -> dict[str, torch.Tensor]:
    types = {stated.name: stated.type for stated in request.inputs}
    return {
        name: exchange.tensor(feed.arrays[name], types[name]) for name in request.traced.tensors
    }


def _tells(outputs: Mapping[str, torch.Tensor]) -> bool:
    """Says whether each output holds a number somewhere: NaN everywhere shows nothing."""
    return all(
        not tensor.is_floating_point() or not tensor.numel() or bool(tensor.isfinite().any())
        for tensor in outputs.values()
    )


def _operator(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> str | None:
    """The function of torch that raises when the module is called; None where it is the module's
    own code that does."""
    from torch.overrides import TorchFunctionMode, resolve_name

    running: list[Any] = []

    class Watched(TorchFunctionMode):
        """Notes which function is running: one that raises stays noted."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            running.append(func)
            result = func(*args, **(kwargs or {}))
            running.pop()
            return result

    try:
        with Watched():
            tracing.call(module, tensors)
    except Exception:  # noqa: BLE001 - the user's code, which may raise anything.
        return resolve_name(running[-1]) if running else None
    return None
