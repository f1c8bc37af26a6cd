"""What the module is traced with: example tensors of a size that the module itself accepts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import InputError, typed_line
from toolkit.sources import calls, lines
from toolkit.sources.inputs import Dimension, Stated, dimensions
from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch
    from torch import nn

MULTIPLES = (4, 8, 16, 32, 64, 128, 224, 256, 512)
"""Sizes that networks with strides, heads, patches or a smallest image ask for."""


@dataclass(frozen=True)
class Traced:
    """Example tensors that the module accepts."""

    sizes: Mapping[str, int]
    """Of the dynamic dimensions."""
    tensors: Mapping[str, torch.Tensor]
    """By input, in the order of the file."""
    outputs: tuple[str, ...]
    """The names of what comes out."""


def find(
    module: nn.Module, inputs: Sequence[Stated], given: Mapping[str, torch.Tensor] | None = None
) -> Traced:
    """Traces with the sizes that were stated, and else with the first that the module accepts.

    `given` are tensors of the user's own, for some or all inputs. Raises InputError with the
    module's own words where it accepts none.
    """
    given, dims = given or {}, dimensions(inputs)
    refusal: tuple[dict[str, int], Exception] | None = None
    for sizes in _within(dims, given, inputs):
        tensors = {**draw(inputs, sizes), **given}
        arguments = calls.arguments(module, tensors)
        ordered = {name: tensors[name] for name in arguments.order}
        try:
            result = call(module, ordered)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything.
            refusal = refusal or (sizes, error)
            continue
        found = calls.outputs(result)
        _refuse_chance(found, calls.outputs(call(module, ordered)))
        return Traced(sizes, ordered, tuple(found))
    raise _refused(inputs, dims, refusal)


def call(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> object:
    """What the module returns for named tensors."""
    import torch

    # Clones: a forward may write into its inputs.
    arguments = calls.arguments(module, {name: t.clone() for name, t in tensors.items()})
    # Not inference_mode: what a forward keeps for later could not be traced any more.
    with torch.no_grad():
        return module(*arguments.args, **arguments.kwargs)


def accepts(module: nn.Module, inputs: Sequence[Stated], sizes: Mapping[str, int]) -> bool:
    """Whether the module itself takes these sizes."""
    try:
        call(module, draw(inputs, sizes))
    except Exception:  # noqa: BLE001 - the user's code, which may raise anything.
        return False
    return True


def arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """The same values as feeds hold them: bfloat16 as its bits."""
    import torch

    return {
        name: tensor.detach().view(torch.uint16).numpy()
        if tensor.dtype == torch.bfloat16
        else tensor.detach().numpy()
        for name, tensor in tensors.items()
    }


def draw(inputs: Sequence[Stated], sizes: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """Seeded tensors: floats from 0 to 1; integers 0 and 1, which fit every vocabulary."""
    import torch

    generator = torch.Generator().manual_seed(0)
    drawn = {}
    for stated in inputs:
        kind: torch.dtype = getattr(torch, stated.type)
        shape = stated.shape(sizes)
        if kind.is_floating_point:
            drawn[stated.name] = torch.rand(shape, generator=generator).to(kind)
        else:
            drawn[stated.name] = torch.randint(0, 2, shape, generator=generator).to(kind)
    return drawn


def _refuse_chance(once: Mapping[str, torch.Tensor], again: Mapping[str, torch.Tensor]) -> None:
    """Raises InputError for a module whose outputs are not a function of its inputs."""
    import torch

    for (name, one), other in zip(once.items(), again.values(), strict=True):
        if not torch.equal(torch.nan_to_num(one), torch.nan_to_num(other)):
            raise InputError(
                f"the module's {name} is another one each time it is called with the same inputs:"
                " no file can be shown to be the same function",
                "What is drawn at random, or kept from call to call, can be an input instead",
            )


def _within(
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
    for sizes in itertools.islice(candidates(free), 200):
        if sizes not in seen:
            seen.add(sizes)
            chosen = dict(zip((dim.name for dim in free), sizes, strict=True))
            yield {name: fixed.get(name) or chosen[name] for name in dims}


def candidates(free: Sequence[Dimension]) -> Iterator[tuple[int, ...]]:
    """Sizes for several dimensions at once, the likeliest first.

    Different sizes for different dimensions come before equal ones, since two dimensions of one
    size may be taken for one; the first dimension, mostly the batch, stays small while the others
    grow. No size is 0 or 1: PyTorch treats those apart.
    """
    count = len(free)
    small = (2, 3, 5, 7, 11, 13, 17, 19)
    yield _clip(free, [small[i % 8] for i in range(count)])
    yield _clip(free, [2, *(16 + 3 * i for i in range(count - 1))])
    for base in MULTIPLES:
        yield _clip(free, [2, *(base * (i + 1) for i in range(count - 1))])
        yield _clip(free, [2, *([base] * (count - 1))])
    for base in MULTIPLES:
        yield _clip(free, [base * (i + 1) for i in range(count)])
        yield _clip(free, [base] * count)
    grid = [(2, 3, *MULTIPLES)] * min(count, 4)
    for head in itertools.product(*grid):
        yield _clip(free, [*head, *([2] * (count - len(head)))])


def _clip(free: Sequence[Dimension], sizes: Sequence[int]) -> tuple[int, ...]:
    """The sizes moved into their ranges, above the end that is never left: 13.. gives 16."""
    return tuple(
        size if size in dim else min(_above(dim.least, size), dim.most or 1 << 62)
        for dim, size in zip(free, sizes, strict=True)
    )


def _above(least: int, size: int) -> int:
    """The smallest multiple of `size` from `least` on."""
    return -(-least // size) * size


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
        fits = len(shape) == len(stated.dims) and all(
            sizes.setdefault(dim.name, size) == size and size in dim
            if isinstance(dim, Dimension)
            else dim == size
            for dim, size in zip(stated.dims, shape, strict=False)
        )
        if kind != stated.type or not fits:
            own = Stated(stated.name, kind, shape)
            raise InputError(
                f"example_inputs() gives {own.with_dim('', '')}, --input states"
                f" {stated.with_dim('', '')}"
            )
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
    shapes = ", ".join(f"{i.name} {'x'.join(map(str, i.shape(sizes))) or 'scalar'}" for i in inputs)
    free = [name for name, dim in dims.items() if dim.traced is None]
    cures = [str(line)] if line else []
    if free:
        stated = next(i for i in inputs if any(isinstance(d, Dimension) for d in i.dims))
        cures.append(
            f"Of all sizes tried for {', '.join(free)} none was accepted; state one:"
            f" --input '{stated.with_dim(free[0], f'{free[0]}=16')}'"
        )
    return InputError(f"the module does not accept {shapes}: {typed_line(error)}", *cures)
