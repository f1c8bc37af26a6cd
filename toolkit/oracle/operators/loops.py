"""Runs Loop and Scan, turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class _WithBody(OpRun):
    """An operator whose `body` is an evaluator of its own, which OpRun made from the attribute."""

    body: Any

    def need_context(self) -> bool:
        return True  # a body may take any result from around it

    def turn(self, context: Mapping[str, Any], values: Sequence[Any], linked: Any) -> list[Any]:
        """Runs the body once, on values in the order of its inputs."""
        given = dict(zip(self.body.input_names, values, strict=True))
        outputs: list[Any] = self.body.run(None, {**context, **given}, attributes=linked)
        return outputs


class Loop(_WithBody):
    """Repeats its body while its condition holds, at most `most` times; collects what it scans."""

    def _run(
        self,
        most: Array | None = None,
        condition: Array | None = None,
        *states: Any,
        context: Mapping[str, Any],
        body: Any,
        attributes: Any = None,
    ) -> Outputs:
        # A missing condition is true, a missing number of turns has no end.
        going = condition is None or bool(condition)
        values, turn = list(states), 0
        collected: list[list[Array]] = [[] for _ in body.output_names[1 + len(states) :]]
        while going and (most is None or turn < int(np.asarray(most).item())):
            first = [np.array(turn, np.int64), np.array(going)]
            going_on, *results = self.turn(context, [*first, *values], attributes)
            values, scans = results[: len(states)], results[len(states) :]
            for each, new in zip(collected, scans, strict=True):
                each.append(new)
            going = bool(np.asarray(going_on).item())
            turn += 1
        return (*values, *(_stack(each) for each in collected))


class Scan(_WithBody):
    """Runs its body over slices of its inputs, each along an axis and in a direction of its own.

    The last `num_scan_inputs` inputs are sliced, those before are states.
    """

    def _run(
        self,
        *given: Any,
        context: Mapping[str, Any],
        body: Any,
        num_scan_inputs: int,
        attributes: Any = None,
        **how: Any,
    ) -> Outputs:
        kept = len(given) - num_scan_inputs
        states = list(given[:kept])
        over = _sliced(given[kept:], how)
        collected: list[list[Array]] = [[] for _ in body.output_names[kept:]]
        for step in range(len(over[0])):
            results = self.turn(context, [*states, *(array[step] for array in over)], attributes)
            states = results[:kept]
            for slices, new in zip(collected, results[kept:], strict=True):
                slices.append(new)
        return (*states, *_joined(collected, how))


def _sliced(arrays: Sequence[Array], how: Mapping[str, Any]) -> list[Array]:
    """Brings each scan input into the order of the steps: its first axis is the one to go along."""
    axes = how.get("scan_input_axes") or [0] * len(arrays)
    directions = how.get("scan_input_directions") or [0] * len(arrays)
    moved = [np.moveaxis(array, axis, 0) for array, axis in zip(arrays, axes, strict=True)]
    return [
        np.flip(array, 0) if backwards else array
        for array, backwards in zip(moved, directions, strict=True)
    ]


def _joined(collected: Sequence[list[Array]], how: Mapping[str, Any]) -> Iterator[Array]:
    """Joins what the steps gave along the axis of each scan output."""
    axes = how.get("scan_output_axes") or [0] * len(collected)
    directions = how.get("scan_output_directions") or [0] * len(collected)
    for slices, axis, backwards in zip(collected, axes, directions, strict=True):
        yield np.moveaxis(_stack(slices[::-1] if backwards else slices), 0, axis)


def _stack(arrays: Sequence[Array]) -> Array:
    # After no turn the shape of an element is unknown: all that can be said is that there is none.
    return np.stack(arrays) if arrays else np.zeros((0,))
