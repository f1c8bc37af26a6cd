"""Finds example tensors to trace a module with, of sizes that the module itself accepts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import InputError, demand_room, typed_line
from toolkit.exporter import repeatable, tracesizes, valuekinds
from toolkit.exporter.repeatable import BufferWatch
from toolkit.exporter.valuekinds import Kinds
from toolkit.feeds import kinds as valued
from toolkit.sources import attributes, calls, containers, lines
from toolkit.sources.inputs import Dimension, Stated, dimensions
from toolkit.units import Seconds

if TYPE_CHECKING:
    import torch
    from torch import nn

MOST_TRIED = 200
"""Sets of sizes that the module is called with until it accepts one. For two dimensions there are
159 candidates in all."""
FIRST = 4
"""Sets of sizes at which all kinds of values are tried."""


@dataclass(frozen=True)
class Traced:
    """Example tensors that the module accepts."""

    sizes: Mapping[str, int]
    """Dynamic dimension → its size in the tensors."""
    tensors: Mapping[str, torch.Tensor]
    """Input → tensor, in the order of the file's inputs."""
    outputs: tuple[str, ...]
    """The names of the module's outputs, in order."""
    seconds: Seconds
    """The time that the module's call with them took."""
    plain: bool = True
    """PyTorch itself can take the module's result apart."""
    forgotten: tuple[str, ...] = ()
    """Buffers that forward changes though no output was seen to depend on them."""
    kinds: Kinds = field(default_factory=dict)
    """Input → the kind of its values, where the module took no plain ones."""


def find(
    module: nn.Module,
    inputs: Sequence[Stated],
    given: Mapping[str, torch.Tensor] | None = None,
    *,
    repeats: bool = True,
) -> Traced:
    """Tensors of the sizes that were stated, and else of the first that the module accepts.

    `given` are tensors of the user's own, for some or all inputs. Without `repeats` the module may
    give other outputs at each call. Raises InputError with the module's own words where it accepts
    none, and where its outputs are not a function of its inputs.
    """
    given, dims = given or {}, dimensions(inputs)
    refusal: tuple[dict[str, int], Exception] | None = None
    for sizes, kinds in _with_kinds(_tried(dims, given, inputs), inputs, given):
        # All calls within one block: what the first leaves behind must not change the second.
        with attributes.kept(module):
            try:
                return _accepted(module, inputs, given, sizes, kinds, repeats=repeats)
            except _Refusal as refused:
                refusal = refusal or (sizes, refused.error)
    raise _refused(inputs, dims, refusal)


class _Refusal(Exception):
    """The module does not take some tensors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _accepted(
    module: nn.Module,
    inputs: Sequence[Stated],
    given: Mapping[str, torch.Tensor],
    sizes: Mapping[str, int],
    kinds: Kinds,
    *,
    repeats: bool,
) -> Traced:
    """The tensors of these sizes and kinds. Raises _Refusal where the module does not take them."""
    tensors = {**draw(inputs, sizes, kinds), **given}
    arguments = calls.arguments(module, tensors)
    ordered = {name: tensors[name] for name in arguments.order}
    memory = BufferWatch(module)
    try:
        result = _call(module, ordered)
    except Exception as error:
        demand_room(error)
        raise _Refusal(error) from error
    if kinds:
        kinds = _fewest(module, inputs, sizes, kinds, given)
        tensors = {**draw(inputs, sizes, kinds), **given}
        ordered = {name: tensors[name] for name in arguments.order}
        result = _call(module, ordered)
    outputs = calls.outputs(result)
    began = time.perf_counter()  # The first call of a module allocates, and starts threads.
    again = _outputs(module, ordered)
    seconds = time.perf_counter() - began
    forgotten = memory.changed()
    if repeats:
        repeatable.demand(
            forgotten,
            (outputs, again),
            partial(_outputs, module, ordered),
            partial(_outputs, module, _moved(ordered)),
        )
    plain = containers.is_plain(result)
    return Traced(sizes, ordered, tuple(outputs), seconds, plain, forgotten, kinds)


def call(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> object:
    """Calls the module with named tensors, without gradients, and returns its result. Its
    attributes are afterwards as before."""
    with attributes.kept(module):
        return _call(module, tensors)


def _call(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> object:
    import torch

    # Clones: a forward may write into its inputs.
    arguments = calls.arguments(module, {name: t.clone() for name, t in tensors.items()})
    # Not inference_mode: a tensor that a forward keeps from it could not be traced any more.
    with torch.no_grad():
        return module(*arguments.args, **arguments.kwargs)


def _outputs(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return calls.outputs(_call(module, tensors))


def accepts(
    module: nn.Module,
    inputs: Sequence[Stated],
    sizes: Mapping[str, int],
    kinds: Kinds | None = None,
    given: Mapping[str, torch.Tensor] | None = None,
) -> bool:
    """Says whether the module itself takes these sizes, with values of these kinds."""
    try:
        call(module, {**draw(inputs, sizes, kinds), **(given or {})})
    except Exception:  # noqa: BLE001 - the user's code, which may raise anything.
        return False
    return True


def draw(
    inputs: Sequence[Stated], sizes: Mapping[str, int], kinds: Kinds | None = None, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Seeded tensors: floats from 0 to 1; integers 0 and 1, which fit every vocabulary; those of
    other kinds as `feeds/kinds.py` has them."""
    import torch

    drawn = {}
    for index, stated in enumerate(inputs):
        random = np.random.default_rng([seed, index])
        kind = (kinds or {}).get(stated.name, valued.PLAIN)
        values = valued.first(kind, stated.shape(sizes), stated.type, random)
        drawn[stated.name] = torch.from_numpy(np.array(values)).to(getattr(torch, stated.type))
    return drawn


def _moved(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same values at other places: what a module took, it most likely takes so too."""
    return {name: t.flip(tuple(range(t.ndim))) if t.ndim else t for name, t in tensors.items()}


def _with_kinds(
    tried: Iterator[dict[str, int]],
    inputs: Sequence[Stated],
    given: Mapping[str, torch.Tensor],
) -> Iterator[tuple[dict[str, int], Kinds]]:
    """Sizes with kinds of values: a few sizes with plain values, the same with all other kinds, and
    then on so with many more sizes.

    A module that refuses its values refuses them at any size, and one that refuses its sizes does
    so whatever they hold: neither is to wait for all tries of the other.
    """
    free = [stated for stated in inputs if stated.name not in given]
    for count in (FIRST, MOST_TRIED):
        some = list(itertools.islice(tried, count))
        yield from ((sizes, {}) for sizes in some)
        for kinds in valuekinds.candidates(free):
            yield from ((sizes, kinds) for sizes in some[:FIRST])


def _fewest(
    module: nn.Module,
    inputs: Sequence[Stated],
    sizes: Mapping[str, int],
    kinds: Kinds,
    given: Mapping[str, torch.Tensor],
) -> Kinds:
    """The kinds without those that the module does not ask for: plain values show more."""
    needed = dict(kinds)
    for name in kinds:
        fewer = {other: kind for other, kind in needed.items() if other != name}
        if accepts(module, inputs, sizes, fewer, given):
            needed = fewer
    return needed


def _tried(
    dims: Mapping[str, Dimension],
    given: Mapping[str, torch.Tensor],
    inputs: Sequence[Stated],
) -> Iterator[dict[str, int]]:
    """Sizes to try, each once, in the range of each dimension."""
    fixed = {name: dim.traced for name, dim in dims.items() if dim.traced is not None}
    fixed |= _sizes_of(inputs, given)
    free = [dim for name, dim in dims.items() if name not in fixed]
    if not free:
        yield dict(fixed)
        return
    seen = set()
    for sizes in itertools.islice(tracesizes.candidates(free), MOST_TRIED):
        if sizes not in seen:
            seen.add(sizes)
            chosen = dict(zip((dim.name for dim in free), sizes, strict=True))
            yield {name: fixed.get(name) or chosen[name] for name in dims}


def _sizes_of(inputs: Sequence[Stated], given: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """The sizes of dynamic dimensions that the user's own tensors have.

    Raises InputError for a tensor that is not what was stated of its input.
    """
    sizes: dict[str, int] = {}
    for stated in inputs:
        if stated.name not in given:
            continue
        tensor = given[stated.name]
        kind, shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
        # The first tensor with a dimension sets its size; setdefault gives the others that one.
        fits = len(shape) == len(stated.dims) and all(
            sizes.setdefault(dim.name, size) == size and size in dim
            if isinstance(dim, Dimension)
            else dim == size
            for dim, size in zip(stated.dims, shape, strict=False)
        )
        if kind != stated.type or not fits:
            own = Stated(stated.name, kind, shape)
            raise InputError(f"example_inputs() gives {own.text}, --input states {stated.text}")
    return sizes


def _refused(
    inputs: Sequence[Stated],
    dims: Mapping[str, Dimension],
    refusal: tuple[dict[str, int], Exception] | None,
) -> InputError:
    if refusal is None:
        return InputError("no size lies in the ranges that were stated")
    sizes, error = refusal
    line = lines.of(error)
    shapes = ", ".join(
        f"{stated.name} {'x'.join(map(str, stated.shape(sizes))) or 'scalar'}" for stated in inputs
    )
    free = [name for name, dim in dims.items() if dim.traced is None]
    cures = [str(line)] if line else []
    if free:
        stated = next(i for i in inputs if any(isinstance(d, Dimension) for d in i.dims))
        cures.append(
            f"Of all sizes tried for {', '.join(free)} none was accepted; state one:"
            f" --input '{stated.with_dim(free[0], f'{free[0]}=16')}'"
        )
    return InputError(f"the module does not accept {shapes}: {typed_line(error)}", *cures)
