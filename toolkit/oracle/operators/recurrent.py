"""Runs recurrent layers, with what the evaluator ignores: lengths, clip, peepholes, activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]
Activation: TypeAlias = Callable[[Array], Array]

ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.logaddexp(0, x),
}
"""The activations that take no parameters, by their names in lower case."""


@dataclass(frozen=True)
class Direction:
    """The parameters of one direction of a layer: G gates, H states, I inputs."""

    w: Array
    """Weights of the input, (G·H, I)."""
    r: Array
    """Weights of the state, (G·H, H)."""
    bias: tuple[Array, Array]
    """Biases of the input and of the state, (G·H,) each."""
    peepholes: Array | None
    """Weights from an LSTM's cell to its gates, (3·H,)."""
    functions: Sequence[Activation]
    clip: float | None

    def bounded(self, x: Array) -> Array:
        """Clips what goes into an activation, where the layer clips."""
        return np.clip(x, -self.clip, self.clip) if self.clip else x


@dataclass(frozen=True)
class Layer:
    """The weights of a layer, each with D directions first."""

    w: Array
    r: Array
    bias: Array | None
    peepholes: Array | None

    def direction(
        self, number: int, functions: Sequence[Activation], clip: float | None
    ) -> Direction:
        """Picks one direction; a missing bias is 0."""
        bias = np.zeros(2 * self.w.shape[1]) if self.bias is None else self.bias[number]
        peepholes = None if self.peepholes is None else self.peepholes[number]
        return Direction(self.w[number], self.r[number], _halves(bias), peepholes, functions, clip)


class _Recurrent(OpRun):
    """One layer, in one or two directions.

    A sequence that has ended keeps its last state and gives zeros; backwards it begins at its own
    end.
    """

    states = 1
    """States that go from step to step; the first is the output."""
    default: tuple[str, ...] = ("Tanh",)
    """Names of the activations where the file names none."""

    def _run(
        self,
        x: Array,
        w: Array,
        r: Array,
        b: Array | None = None,
        lengths: Array | None = None,
        *more: Array | None,
        **given: Any,
    ) -> Outputs:
        layer = Layer(w, r, b, more[2] if len(more) > 2 else None)
        first = (*more, None, None)[: self.states]
        if given.get("layout"):  # 1: the batch comes before the time
            x = x.transpose(1, 0, 2)
            first = tuple(None if s is None else s.transpose(1, 0, 2) for s in first)
        zeros = np.zeros((len(w), x.shape[1], r.shape[2]), x.dtype)  # (D, B, H)
        starts = [zeros if s is None else s for s in first]
        ends = np.full(x.shape[1], len(x)) if lengths is None else lengths.astype(int)
        seen, lasts = [], []
        for d in range(len(w)):
            functions = self._functions(d, len(w), given.get("activations"))
            direction = layer.direction(d, functions, given.get("clip"))
            backwards = d == 1 or given.get("direction") == "reverse"
            turns = np.stack([ends, ends * backwards])
            outputs, last = self._over_time(x, direction, [s[d] for s in starts], turns, given)
            seen.append(outputs)
            lasts.append(last)
        y = np.stack(seen, axis=1)  # (T, D, B, H)
        ended = [np.stack(states) for states in zip(*lasts, strict=True)]  # (D, B, H)
        if given.get("layout"):
            return (y.transpose(2, 0, 1, 3), *(state.transpose(1, 0, 2) for state in ended))
        return (y, *ended)

    def _functions(
        self, direction: int, directions: int, names: Sequence[str] | None
    ) -> Sequence[Activation]:
        names = names or self.default * directions
        each = len(names) // directions
        return [_activation(n) for n in names[direction * each : (direction + 1) * each]]

    def _over_time(
        self,
        x: Array,
        direction: Direction,
        states: list[Array],
        ends: Array,
        given: dict[str, Any],
    ) -> tuple[Array, list[Array]]:
        """Runs one direction over time: x (T, B, I), states (B, H) → outputs (T, B, H) and the last
        states.

        `ends` (2, B) has the length of each sequence, and its length again where it is read
        backwards, else 0.
        """
        rows = np.arange(x.shape[1])
        seen = np.zeros((*x.shape[:2], direction.r.shape[1]), x.dtype)  # (T, B, H)
        for step in range(len(x)):
            at = np.where(ends[1] > 0, np.maximum(ends[1] - 1 - step, 0), step)
            alive = step < ends[0]
            new = self.step(x[at, rows], states, direction, given)
            states = [np.where(alive[:, None], n, s) for n, s in zip(new, states, strict=True)]
            seen[at[alive], rows[alive]] = new[0][alive]
        return seen, states

    def step(
        self, x: Array, states: list[Array], of: Direction, given: dict[str, Any]
    ) -> list[Array]:
        """Makes one step: x (B, I), states (B, H) → the new states, the output first."""
        raise NotImplementedError


class RNN(_Recurrent):
    """The simple layer: one gate."""

    def step(
        self, x: Array, states: list[Array], of: Direction, given: dict[str, Any]
    ) -> list[Array]:
        gate = x @ of.w.T + states[0] @ of.r.T + of.bias[0] + of.bias[1]
        return [of.functions[0](of.bounded(gate))]


class GRU(_Recurrent):
    """Gates in ONNX's order: update, reset, hidden."""

    default = ("Sigmoid", "Tanh")

    def step(
        self, x: Array, states: list[Array], of: Direction, given: dict[str, Any]
    ) -> list[Array]:
        (h,), (f, g) = states, of.functions
        xz, xr, xh = np.split(x @ of.w.T + of.bias[0], 3, axis=1)
        rz, rr, rh = np.split(of.r, 3)
        bz, br, bh = np.split(of.bias[1], 3)
        update = f(of.bounded(xz + h @ rz.T + bz))
        reset = f(of.bounded(xr + h @ rr.T + br))
        before = given.get("linear_before_reset")
        mixed = reset * (h @ rh.T + bh) if before else (reset * h) @ rh.T + bh
        return [(1 - update) * g(of.bounded(xh + mixed)) + update * h]


class LSTM(_Recurrent):
    """Gates in ONNX's order: input, output, forget, cell; peepholes: input, output, forget."""

    states = 2
    default = ("Sigmoid", "Tanh", "Tanh")

    def step(
        self, x: Array, states: list[Array], of: Direction, given: dict[str, Any]
    ) -> list[Array]:
        (h, c), (f, g, out) = states, of.functions
        gates = x @ of.w.T + h @ of.r.T + of.bias[0] + of.bias[1]
        i, o, forget, cell = np.split(gates, 4, axis=1)
        peepholes = np.zeros(3 * h.shape[1]) if of.peepholes is None else of.peepholes
        pi, po, pf = np.split(peepholes, 3)
        enter = f(of.bounded(i + pi * c))
        keep = 1 - enter if given.get("input_forget") else f(of.bounded(forget + pf * c))
        new = keep * c + enter * g(of.bounded(cell))
        return [f(of.bounded(o + po * new)) * out(new), new]


def _activation(name: str) -> Activation:
    if name.lower() not in ACTIVATIONS:
        raise NotImplementedError(f"the activation {name}")
    return ACTIVATIONS[name.lower()]


def _halves(bias: Array) -> tuple[Array, Array]:
    return bias[: len(bias) // 2], bias[len(bias) // 2 :]
