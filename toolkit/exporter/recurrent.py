"""Has torch trace recurrent layers that it unrolls, or cannot trace at all.

Plain RNNs come out at the traced length, LSTMs with projections do not come out, and a packed
sequence has a count of rows that depends on values (torch 2.13). While torch traces, such a layer
is written as one operator of ours, `toolkit::recurrent_layer` or `toolkit::lstm_layer`, whose ONNX
form is RNN, GRU or LSTM.

A packed sequence is traced as its padded rows with the lengths beside them: what is computed row by
row is the same, and the rows beyond a length are read by nobody. Whoever counts the rows, or takes
a mean over them, gets another function, which the proof finds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch.overrides import TorchFunctionMode

NAMESPACE = "toolkit"
SCHEMAS = {
    "recurrent_layer": "(Tensor x, Tensor? lengths, Tensor[] states, Tensor[] weights, str kind,"
    " bool has_biases) -> (Tensor, Tensor)",
    "lstm_layer": "(Tensor x, Tensor? lengths, Tensor[] states, Tensor[] weights, str kind,"
    " bool has_biases) -> (Tensor, Tensor, Tensor)",
}
"""One layer in D directions: x (T, B, I), lengths (B,), states (D, B, H) each → the outputs
(T, B, D·H), and the last states."""


class Lengths:
    """What stands for the batch sizes of a packed sequence while torch traces."""

    def __init__(self, lengths: torch.Tensor, time: Any, batch: Any) -> None:
        self.lengths = lengths
        self.time = time
        self.batch = batch
        self.device = lengths.device
        self._longest: Any = None

    def __getitem__(self, step: int) -> Any:
        """The count of sequences that have begun: all, at the first step."""
        if step != 0:
            raise TypeError("the batch sizes of a packed sequence depend on values")
        return self.batch

    def size(self, axis: int = 0) -> Any:
        """The count of steps: the longest length, which depends on values."""
        import torch

        if self._longest is None:
            self._longest = self.lengths.max().item()
            check: Callable[[Any], None] = torch._check
            check(self._longest >= 0)
            check(self._longest <= self.time)
        return self._longest

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Has torch's functions take it for a tensor; those that know it are written below."""
        return NotImplemented


@dataclass(frozen=True)
class _Call:
    """A call of torch.lstm, gru, rnn_tanh or rnn_relu: D directions, L layers."""

    x: Any
    """(T, B, I), or as its layout says."""
    lengths: Lengths | None
    states: Sequence[torch.Tensor]
    """(L·D, B, H) each."""
    weights: Sequence[torch.Tensor]
    has_biases: bool
    layers: int
    drops: bool
    directions: int
    batch_first: bool

    @property
    def each(self) -> int:
        """The number of weights of one direction of a layer."""
        return len(self.weights) // (self.layers * self.directions)

    @property
    def projects(self) -> bool:
        return self.each in (3, 5)


@contextlib.contextmanager
def traced() -> Iterator[None]:
    """Writes recurrent layers so while the block lasts."""
    from torch import nn

    known()
    kept = [(kind, kind.check_forward_args) for kind in (nn.RNNBase, nn.LSTM)]
    for kind, check in kept:
        kind.check_forward_args = _unless_packed(check)  # type: ignore[method-assign]
    try:
        with _mode()():
            yield
    finally:
        for kind, check in kept:
            kind.check_forward_args = check  # type: ignore[method-assign]


def _unless_packed(check: Callable[..., None]) -> Callable[..., None]:
    """A layer's check of its states, which makes a number of the batch size of packed ones."""

    def checked(self: Any, input: Any, hidden: Any, batch_sizes: Any) -> None:
        if not isinstance(batch_sizes, Lengths):
            check(self, input, hidden, batch_sizes)

    return checked


@cache
def known() -> Any:
    """Makes torch know our operators by the shapes of what they give; nothing computes them."""
    import torch

    made: Any = torch.library.Library  # torch has no types for it.
    library = made(NAMESPACE, "FRAGMENT")
    for name, schema in SCHEMAS.items():
        library.define(f"{name}{schema}")
        library.impl(name, _shapes_of(2 if name.startswith("lstm") else 1), "Meta")
    return library  # It forgets its operators when it goes.


def _shapes_of(count: int) -> Callable[..., tuple[torch.Tensor, ...]]:
    def shapes(x: Any, lengths: Any, states: Any, *other: Any) -> tuple[torch.Tensor, ...]:
        directions, batch, width = states[0].shape
        outputs = x.new_empty((x.shape[0], batch, directions * width))
        return (outputs, *(state.new_empty(state.shape) for state in states[:count]))

    return shapes


@cache
def _mode() -> type[TorchFunctionMode]:
    """The class of the mode; PyTorch is imported when the first is made."""
    import torch
    from torch.overrides import TorchFunctionMode

    kinds = {torch.lstm: "LSTM", torch.gru: "GRU", torch.rnn_tanh: "Tanh", torch.rnn_relu: "Relu"}
    packing: dict[Any, Callable[..., Any]] = {
        torch._VF._pack_padded_sequence: _packed,
        torch._VF._pad_packed_sequence: _padded,
    }

    class Recurrent(TorchFunctionMode):
        """Sees each call of torch's functions."""

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func in packing and not kwargs:
                return packing[func](*args)
            if func in kinds and not kwargs:
                kind, call = kinds[func], _call(*args)
                if call.lengths or kind in ("Tanh", "Relu") or call.projects:
                    return _whole(kind, call)
            return func(*args, **(kwargs or {}))

    return Recurrent


def _call(x: Any, second: Any, third: Any, *rest: Any) -> _Call:
    """Either form of torch's: of padded sequences, or of packed ones, with batch sizes second."""
    if isinstance(second, Lengths):
        weights, biases, layers, dropout, trains, both = rest
        lengths, states, batch_first = second, third, False
    else:
        biases, layers, dropout, trains, both, batch_first = rest
        lengths, states, weights = None, second, third
    states = states if isinstance(states, tuple | list) else (states,)
    drops = bool(trains and dropout)
    return _Call(x, lengths, states, weights, biases, layers, drops, 1 + both, batch_first)


def _whole(kind: str, call: _Call) -> tuple[torch.Tensor, ...]:
    """All layers, one after the other, in the layout of the call."""
    import torch
    import torch.nn.functional as F

    x = call.x
    if call.lengths is not None:
        x = x.unflatten(0, (call.lengths.time, call.lengths.batch))
    elif call.batch_first:
        x = x.transpose(0, 1)
    lasts: list[Sequence[torch.Tensor]] = []
    for layer in range(call.layers):
        if layer and call.drops:
            x = F.dropout(x)
        first = layer * call.directions
        states = [each[first : first + call.directions] for each in call.states]
        count = call.each * call.directions
        weights = call.weights[layer * count : (layer + 1) * count]
        x, *last = (_projected if call.projects else _layer)(kind, call, x, states, weights)
        lasts.append(last)
    ended = [torch.cat(each) for each in zip(*lasts, strict=True)]
    if call.lengths is not None:
        x = x.flatten(0, 1)
    elif call.batch_first:
        x = x.transpose(0, 1)
    return (x, *ended)


def _layer(
    kind: str,
    call: _Call,
    x: torch.Tensor,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
) -> tuple[torch.Tensor, ...]:
    """One layer by our operator."""
    import torch

    lengths = None if call.lengths is None else call.lengths.lengths
    name = "lstm_layer" if kind == "LSTM" else "recurrent_layer"
    operator = getattr(getattr(torch.ops, NAMESPACE), name)
    made: tuple[torch.Tensor, ...] = operator(
        x, lengths, list(states), list(weights), kind, call.has_biases
    )
    return made


def _projected(
    kind: str,
    call: _Call,
    x: torch.Tensor,
    states: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
) -> tuple[torch.Tensor, ...]:
    """One layer of an LSTM with projections, which ONNX's has none of: h = P·h', so that R·h is
    (R·P)·h' and the outputs are projected behind the layer.

    Where a direction begins there is no h' for the given h: there R·h comes as a further input.
    """
    import torch

    hidden, cells = states
    each, count = call.each, call.directions
    parts = [weights[d * each : (d + 1) * each] for d in range(count)]
    step = torch.arange(x.shape[0], device=x.device)[:, None]
    last = x.shape[0] - 1 if call.lengths is None else call.lengths.lengths.to(x.device) - 1
    begins = [(step == at)[..., None] for at in (0, last)][:count]
    blocks = [torch.where(begin, hidden[d], 0.0) for d, begin in enumerate(begins)]
    plain: list[torch.Tensor] = []
    for d, (w, r, *biases, p) in enumerate(parts):
        beside = [r if other == d else torch.zeros_like(r) for other in range(count)]
        plain += [torch.cat([w, *beside], 1), r @ p, *biases]
    zeros = torch.zeros_like(cells)
    y, h, c = _layer(kind, call, torch.cat([x, *blocks], -1), [zeros, cells], plain)
    outputs = [half @ part[-1].T for half, part in zip(y.chunk(count, -1), parts, strict=True)]
    ended = [h[d] @ part[-1].T for d, part in enumerate(parts)]
    return torch.cat(outputs, -1), torch.stack(ended), c


def _packed(input: torch.Tensor, lengths: torch.Tensor, batch_first: bool) -> tuple[Any, Any]:
    """The rows of padded sequences, all of them, and their lengths."""
    x = input.transpose(0, 1) if batch_first else input
    time, batch = x.shape[:2]
    return x.flatten(0, 1), Lengths(lengths, time, batch)


def _padded(
    data: Any, packed: Lengths, batch_first: bool, value: float, steps: Any
) -> tuple[Any, Any]:
    """The sequences at so many steps, with a value beyond each length; and the lengths."""
    import torch

    x = data.unflatten(0, (packed.time, packed.batch))
    if steps is not packed.time:
        step = torch.arange(steps, device=x.device)
        x = x.index_select(0, step.clamp(max=packed.time - 1))
    inside = torch.arange(x.shape[0], device=x.device)[:, None] < packed.lengths.to(x.device)
    x = torch.where(inside.reshape(*inside.shape, *[1] * (x.ndim - 2)), x, value)
    return (x.transpose(0, 1) if batch_first else x), packed.lengths
