"""Exports a module by torch.export, and keeps the sizes that the result holds for.

torch finds those out while it traces, and does not check them when the program runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from toolkit.errors import ExportError, demand_room, typed_line
from toolkit.sources import calls
from toolkit.tensors import Feed, TensorSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

Range: TypeAlias = tuple[int, int | None]
"""The least and the most that a dimension may be; None: no end."""


@dataclass(frozen=True)
class Signature:
    """The arguments that an exported module takes, and the sizes that it holds for."""

    positional: tuple[str, ...]
    """Inputs that are handed over by place."""
    named: tuple[str, ...]
    """Inputs that come after them by name."""
    ranges: Mapping[str, tuple[Range, ...]]
    """Input → the range of each of its dimensions."""

    @property
    def order(self) -> tuple[str, ...]:
        """The inputs in the order in which torch flattens them."""
        return (*self.positional, *self.named)

    def arguments(self, tensors: Mapping[str, torch.Tensor]) -> calls.Arguments:
        """Sorts named inputs into the arguments of a call."""
        return calls.Arguments(
            tuple(tensors[name] for name in self.positional),
            {name: tensors[name] for name in self.named},
            self.order,
        )

    def refusal(self, feed: Feed) -> str:
        """A sentence about a size of the feed that the program does not hold for; empty where all
        fit."""
        for name, ranges in self.ranges.items():
            for axis, (least, most) in enumerate(ranges):
                size = feed[name].shape[axis]
                if size < least or (most is not None and size > most):
                    allowed = str(least) if least == most else f"{least} to {most or 'any size'}"
                    return f"dimension {axis} of {name!r} may be {allowed}, the feed has {size}"
        return ""

    def write(self, file: Path) -> None:
        """Writes the signature as JSON: it is kept beside the converted model."""
        file.write_text(json.dumps(asdict(self)), "utf-8")


def read(file: Path) -> Signature:
    """Reads the signature that `write` wrote."""
    stored = json.loads(file.read_text("utf-8"))
    ranges = {
        name: tuple((least, most) for least, most in rows)
        for name, rows in stored["ranges"].items()
    }
    return Signature(tuple(stored["positional"]), tuple(stored["named"]), ranges)


def export(
    module: nn.Module,
    inputs: Sequence[TensorSpec],
    tensors: Mapping[str, torch.Tensor],
    most: Callable[[int], int | None] = lambda size: None,
) -> tuple[Any, Signature]:
    """The torch.export.ExportedProgram of a module, and its signature.

    `tensors` are examples of the inputs without a dynamic dimension of 1 (`widened`), since torch
    makes that one fixed. `most` gives, for a dynamic dimension's size in them, the largest that is
    wanted. A dimension that the module itself fixes, or bounds, shows in the signature's ranges.
    Raises ExportError.
    """
    import torch
    from torch.export import Dim

    given = calls.arguments(module, tensors)
    by_name = {
        spec.name: {
            axis: Dim.AUTO(max=most(tensors[spec.name].shape[axis]))
            for axis, dim in enumerate(spec.shape or ())
            if not isinstance(dim, int)
        }
        for spec in inputs
    }
    try:
        with torch.no_grad():
            program = torch.export.export(
                module,
                given.args,
                given.kwargs,
                dynamic_shapes=dynamic_shapes(module, given, by_name),
            )
    except ExportError:  # That of dynamic_shapes, which has its own words.
        raise
    except Exception as error:  # torch's tracer raises all kinds.
        demand_room(error)
        raise ExportError(f"torch.export refuses the module: {typed_line(error)}") from error
    names = given.order
    return program, Signature(
        names[: len(given.args)], names[len(given.args) :], _ranges(program, names)
    )


def widened(inputs: Sequence[TensorSpec], feed: Feed) -> Feed:
    """The feed with every dynamic dimension of 1 doubled: torch takes 0 and 1 for fixed sizes."""
    arrays = {}
    for spec in inputs:
        array = feed[spec.name]
        for axis, dim in enumerate(spec.shape or ()):
            if not isinstance(dim, int) and array.shape[axis] == 1:
                array = np.repeat(array, 2, axis)
        arrays[spec.name] = array
    return arrays


def dynamic_shapes(
    module: nn.Module, arguments: calls.Arguments, by_name: Mapping[str, dict[int, Any]]
) -> dict[str, Any] | None:
    """Each input's dynamic dimensions by forward's parameters, as torch.export matches them: those
    of `*args` in a tuple. None where nothing is dynamic.

    Raises ExportError for dynamic inputs that `**kwargs` takes: torch's own halves do not agree on
    their form (2.13).
    """
    if not any(by_name.values()):
        return None
    dynamic: dict[str, Any] = {}
    rest = list(arguments.order)
    for parameter in calls.signature(module).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            starred = [name for name in rest if name not in arguments.kwargs]
            dynamic[parameter.name] = tuple(by_name[name] for name in starred)
            rest = [name for name in rest if name not in starred]
        elif parameter.kind is parameter.VAR_KEYWORD and rest:
            raise ExportError(
                f"torch.export makes no dimension dynamic of what forward takes by"
                f" **{parameter.name}: {', '.join(rest)}",
                "Name it among forward's parameters, or state fixed sizes",
            )
        elif parameter.name in rest:
            rest.remove(parameter.name)
            dynamic[parameter.name] = by_name[parameter.name]
    return dynamic


def _ranges(program: Any, names: Sequence[str]) -> dict[str, tuple[Range, ...]]:
    """Input → the range of each of its dimensions, as the program states it."""
    nodes = {node.name: node for node in program.graph.nodes}
    placeholders = zip(names, program.graph_signature.user_inputs, strict=True)
    return {
        name: tuple(_range(size, program) for size in nodes[placeholder].meta["val"].shape)
        for name, placeholder in placeholders
    }


def _range(size: Any, program: Any) -> Range:
    from torch.utils._sympy.numbers import int_oo

    # The symbol of a dimension that the module fixed stands for its number.
    expression = None if isinstance(size, int) else size.node.expr
    if expression is None or expression.is_number:
        return int(size), int(size)
    bounds = program.range_constraints.get(expression)
    if bounds is None:  # Arithmetic on other dimensions, which have ranges of their own.
        return 1, None
    # 2 is where torch begins whenever nothing else is known: it leaves 1 aside, and does not
    # exclude it.
    least = int(bounds.lower)
    return 1 if least <= 2 else least, None if bounds.upper == int_oo else int(bounds.upper)
