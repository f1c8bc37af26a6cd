"""Holds a module to one answer for one input. Randomness, and what is kept from call to call, are
told by their name and line: a file has neither."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError
from toolkit.sources import lines
from toolkit.sources.lines import Line

if TYPE_CHECKING:
    import torch
    from torch import nn

Outputs = Mapping[str, "torch.Tensor"]


DROPOUT = "nn.Dropout is off in a module in eval mode; F.dropout needs training=self.training"


class BufferWatch:
    """The buffers of a module as they are now, to see later which of them forward changes."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        # The tensors are held: the address of one that is gone may be given to another.
        self._buffers = {name: (b, _version(b)) for name, b in module.named_buffers()}

    def changed(self) -> tuple[str, ...]:
        """The names of the buffers that were written to or replaced since."""
        now = dict(self._module.named_buffers())
        return tuple(
            name
            for name, (tensor, version) in self._buffers.items()
            if now.get(name) is not tensor or _version(tensor) != version
        )


@dataclass(frozen=True)
class Draw:
    """An operator that draws random numbers."""

    operator: str
    line: Line | None


def demand(
    changed: tuple[str, ...],
    twice: tuple[Outputs, Outputs],
    call: Callable[[], Outputs],
    call_otherwise: Callable[[], object],
) -> None:
    """Raises InputError for a module whose outputs are not a function of its inputs.

    `twice` are the outputs of two calls with the same inputs, and `changed` the buffers that these
    changed. `call` makes the same call again, `call_otherwise` one with other values.
    """
    once, again = twice
    differing = _differing(once, again)
    if not differing and changed:
        with contextlib.suppress(Exception):  # The user's code may refuse these values.
            call_otherwise()
        differing = _differing(once, call())
    if not differing:
        return
    if not changed:
        raise _by_chance(differing, _drawn(call))
    names = ", ".join(changed)
    raise InputError(
        f"forward changes the buffer {names}, and the module's {differing} depends on it: a file"
        " has no memory from call to call",
        f"--stateful    makes {names} an input and an output of the file, for the caller to hand"
        " back",
    )


def _version(tensor: torch.Tensor) -> int:
    """torch's count of writes to a tensor; one made in inference mode has none."""
    return 0 if tensor.is_inference() else tensor._version


def _by_chance(output: str, draw: Draw | None) -> InputError:
    if draw is None:
        return InputError(
            f"the module's {output} is another one each time it is called with the same inputs:"
            " no file can be shown to be the same function",
            "What is drawn at random, or kept from call to call, can be an input instead",
        )
    return InputError(
        f"forward draws random numbers ({draw.operator}): the module's {output} is another one each"
        " time it is called with the same inputs",
        *([str(draw.line)] if draw.line else []),
        *([DROPOUT] if any(word in draw.operator for word in ("dropout", "bernoulli")) else []),
        "Numbers that are needed can be drawn outside and handed in",
    )


def _differing(once: Outputs, again: Outputs) -> str:
    """The name of the first output that two calls give unlike; empty where there is none."""
    import torch

    for (name, first), second in zip(once.items(), again.values(), strict=True):
        # A NaN equals nothing, itself included.
        if not torch.equal(torch.nan_to_num(first), torch.nan_to_num(second)):
            return name
    return ""


def _drawn(call: Callable[[], Outputs]) -> Draw | None:
    """The first operator of a call that draws from torch's generator, None where none does."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    drawn: list[Draw] = []

    class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Sees each operator as it is called."""

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            before = torch.random.get_rng_state()
            result = func(*args, **(kwargs or {}))
            # Attention without dropout is tagged as random too: only what drew is.
            tagged = torch.Tag.nondeterministic_seeded in func.tags
            if tagged and not torch.equal(before, torch.random.get_rng_state()):
                drawn.append(Draw(str(func), _line(sys._getframe(1))))
            return result

    with Watching():  # type: ignore[no-untyped-call]
        call()
    return drawn[0] if drawn else None


def _line(frame: FrameType | None) -> Line | None:
    """The innermost line of the user's code that is running."""
    while frame is not None:
        if lines.theirs(frame.f_code.co_filename):
            return lines.at(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
