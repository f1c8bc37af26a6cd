"""Loop and Scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class _WithBody(OpRun):
    """`self.body` is an evaluator of its own, which OpRun made from the attribute."""

    body: Any

    def need_context(self) -> bool:
        return True  # a body may take any result from around it

    def turn(self, context: Mapping[str, Any], values: Sequence[Any], linked: Any) -> list[Any]:
        """The body, once."""
        given = dict(zip(self.body.input_names, values, strict=True))
        outputs: list[Any] = self.body.run(None, {**context, **given}, attributes=linked)
        return outputs


class Loop(_WithBody):
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
        collected: list[list[Array]] = []
        while going and (most is None or turn < int(np.asarray(most).item())):
            first = [np.array(turn, np.int64), np.array(going)]
            going_on, *made = self.turn(context, [*first, *values], attributes)
            values, scans = made[: len(states)], made[len(states) :]
            collected = [
                [*old, new] for old, new in zip(collected or [[]] * len(scans), scans, strict=True)
            ]
            going = bool(np.asarray(going_on).item())
            turn += 1
        if not turn:
            collected = [[]] * (len(body.output_names) - 1 - len(states))
        return (*values, *(_stack(each) for each in collected))


class Scan(_WithBody):
    def _run(
        self,
        *given: Any,
        context: Mapping[str, Any],
        body: Any,
        num_scan_inputs: int,
        attributes: Any = None,
        **how: Any,
    ) -> Outputs:
        states = list(given[: len(given) - num_scan_inputs])
        kept = len(states)
        over = [
            np.flip(turned, 0) if backwards else turned
            for array, axis, backwards in zip(
                given[kept:],
                how.get("scan_input_axes") or [0] * num_scan_inputs,
                how.get("scan_input_directions") or [0] * num_scan_inputs,
                strict=True,
            )
            for turned in [np.moveaxis(array, axis, 0)]
        ]
        scans = len(body.output_names) - kept
        collected: list[list[Array]] = [[] for _ in range(scans)]
        for step in range(len(over[0])):
            made = self.turn(context, [*states, *(array[step] for array in over)], attributes)
            states = made[:kept]
            for each, new in zip(collected, made[kept:], strict=True):
                each.append(new)
        stacked = (
            np.moveaxis(_stack(each[::-1] if backwards else each), 0, axis)
            for each, axis, backwards in zip(
                collected,
                how.get("scan_output_axes") or [0] * scans,
                how.get("scan_output_directions") or [0] * scans,
                strict=True,
            )
        )
        return (*states, *stacked)


def _stack(arrays: Sequence[Array]) -> Array:
    # Of no turn the shape is unknown; no elements is what there is to say.
    return np.stack(arrays) if arrays else np.zeros((0,))
