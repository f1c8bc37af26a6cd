"""Finds which dimensions of example tensors are dynamic, from what the user wrote for PyTorch.

dynamic_shapes()   beside the factory: a dimension of each tensor, as torch.export takes them
several calls      of example_inputs(): what differs between them is dynamic
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError
from toolkit.sources import containers, importing, inputs
from toolkit.sources.inputs import Dimension, Stated
from toolkit.sources.running import result
from toolkit.sources.source import Source

if TYPE_CHECKING:
    import torch

    from toolkit.sources.examples import Example
    from toolkit.sources.nested import Tree

FUNCTION = "dynamic_shapes"
BATCH = "batch"
"""The name of a first dimension of which only the examples tell that it is dynamic."""


def of(source: Source, examples: Sequence[Example]) -> tuple[Stated, ...]:
    """The inputs of the example calls, dynamic as dynamic_shapes() or several calls say; none where
    neither is there. Raises InputError for what is no such specification."""
    function = getattr(importing.module_of(source), FUNCTION, None)
    if function is None:
        return _of_differences(examples) if len(examples) > 1 else ()
    where = f"{FUNCTION} of {source.name.rpartition(':')[0]}"
    if not examples:
        raise InputError(
            f"{where} says which dimensions are dynamic, and nothing says what goes in",
            "a function example_inputs() beside the factory gives tensors",
        )
    specification = result(where, function) if callable(function) else function
    by_name = _by_name(where, examples[0], specification)
    return _stated(examples[0].tensors, by_name)


def with_batch(stated: Sequence[Stated]) -> tuple[Stated, ...]:
    """The inputs with their first dimension as the batch, where all that have one agree on it; else
    none."""
    firsts = {each.dims[0] for each in stated if each.dims}
    if len(firsts) != 1 or not all(isinstance(size, int) for size in firsts):
        return ()
    return tuple(
        Stated(each.name, each.type, (Dimension(BATCH), *each.dims[1:])) if each.dims else each
        for each in stated
    )


def widened(
    tensors: Mapping[str, torch.Tensor], stated: Sequence[Stated]
) -> dict[str, torch.Tensor]:
    """The tensors with every dynamic dimension of 1 doubled: torch takes 0 and 1 for fixed sizes,
    and what is traced at 1 holds nowhere else."""
    by_name = {each.name: each for each in stated}
    wide = {}
    for name, tensor in tensors.items():
        for axis, dim in enumerate(by_name[name].dims if name in by_name else ()):
            if isinstance(dim, Dimension) and axis < tensor.ndim and tensor.shape[axis] == 1:
                tensor = tensor.repeat_interleave(2, axis)
        wide[name] = tensor
    return wide


def _of_differences(examples: Sequence[Example]) -> tuple[Stated, ...]:
    """The inputs with what differs between the calls as dynamic. Dimensions that have the same
    sizes in all calls are one."""
    names: dict[tuple[int, ...], str] = {}
    by_name: dict[str, dict[int, Dimension]] = {}
    for name, first in examples[0].tensors.items():
        shapes = [tuple(each.tensors[name].shape) for each in examples]
        if len({len(shape) for shape in shapes}) > 1:
            raise InputError(f"example_inputs() gives {name} with different numbers of dimensions")
        for axis in range(first.ndim):
            sizes = tuple(shape[axis] for shape in shapes)
            if len(set(sizes)) > 1:
                new = BATCH if axis == 0 and BATCH not in names.values() else f"{name}_{axis}"
                shown = names.setdefault(sizes, _identifier(new))
                by_name.setdefault(name, {})[axis] = Dimension(shown)
    return _stated(examples[0].tensors, by_name)


def _stated(
    tensors: Mapping[str, torch.Tensor], by_name: Mapping[str, Mapping[int, Dimension]]
) -> tuple[Stated, ...]:
    fixed = inputs.of_examples(tensors)
    stated = tuple(
        Stated(
            each.name,
            each.type,
            tuple(by_name.get(each.name, {}).get(axis, dim) for axis, dim in enumerate(each.dims)),
        )
        for each in fixed
    )
    inputs.dimensions(stated)  # Raises where two statements of one dimension contradict each other.
    return stated


def _by_name(where: str, example: Example, specification: Any) -> dict[str, dict[int, Dimension]]:
    """Tensor → axis → dimension, of a specification in the form of the call."""
    trees = [*example.form.positional, *example.form.named]
    found: dict[str, dict[int, Dimension]] = {}
    specified: Iterator[tuple[Tree, Any]]
    if specification is None:
        return found
    if isinstance(specification, Mapping):
        own = dict(trees)
        if unknown := [name for name in specification if str(name) not in own]:
            raise InputError(f"{where} names {unknown[0]!r}; the inputs are {', '.join(own)}")
        specified = ((own[str(name)], each) for name, each in specification.items())
    elif isinstance(specification, tuple | list) and len(specification) <= len(trees):
        specified = ((tree, each) for (_, tree), each in zip(trees, specification, strict=False))
    else:
        raise InputError(f"{where} is {specification!r}, not in the form of the module's inputs")
    for tree, each in specified:
        for name, axes in _walk(where, tree, each):
            found[name] = _dimensions(where, name, axes, example.tensors[name])
    _demand_one_size(where, found)
    return found


def _demand_one_size(where: str, found: Mapping[str, Mapping[int, Dimension]]) -> None:
    """Raises InputError for a name that stands for a dimension and for so many times it."""
    multiples: dict[str, int] = {}
    for dim in (dim for axes in found.values() for dim in axes.values()):
        other = multiples.setdefault(dim.name, dim.multiple)
        if other != dim.multiple:
            one, more = sorted((other, dim.multiple))
            first = dim.name if one == 1 else f"{one}*{dim.name}"
            raise InputError(
                f"{where}: {first} and {more}*{dim.name} are sizes of one call, and how one follows"
                " from the other is not read here",
                "--input states each tensor's dimensions by a name of their own",
            )


def _walk(where: str, tree: Tree, specification: Any) -> Iterator[tuple[str, Any]]:
    """Each tensor below a part of the call with what was specified for it."""
    from toolkit.sources import nested

    if specification is None or isinstance(tree, nested.Constant):
        return
    if isinstance(tree, nested.Leaf):
        yield tree.name, specification
        return
    parts = dict(tree.parts)
    if isinstance(specification, Mapping):
        for key, each in specification.items():
            part = parts.get(key, parts.get(str(key)))
            if part is not None:
                yield from _walk(where, part, each)
        return
    if containers.is_object(tree.value):
        # torch flattens such an object into lists of its own order: each tensor has one place.
        names, leaves = list(nested.leaves(tree)), list(_leaves(specification))
        if len(names) == len(leaves):
            yield from ((n, each) for n, each in zip(names, leaves, strict=True) if each)
            return
    elif isinstance(specification, tuple | list) and len(specification) == len(
        containers.parts(tree.value) or ()
    ):
        held = containers.parts(tree.value) or ()
        for (key, _), each in zip(held, specification, strict=True):
            if key in parts:
                yield from _walk(where, parts[key], each)
        return
    raise InputError(f"{where}: {specification!r} is not in the form of the module's inputs")


def _leaves(specification: Any) -> Iterator[Any]:
    """The specifications of single tensors in nested lists."""
    if isinstance(specification, tuple | list):
        for each in specification:
            yield from _leaves(each)
    else:
        yield specification


def _dimensions(where: str, name: str, axes: Any, tensor: torch.Tensor) -> dict[int, Dimension]:
    """Axis → dimension of one tensor."""
    pairs = axes.items() if isinstance(axes, Mapping) else enumerate(axes)
    found = {}
    for axis, each in pairs:
        place = int(axis) % max(tensor.ndim, 1)
        dimension = _dimension(where, each, f"{name}_{place}")
        if dimension is not None:
            found[place] = dimension
    return found


def _dimension(where: str, each: Any, own_name: str) -> Dimension | None:
    """One dimension as torch.export names it; None for a fixed one."""
    if each is None or isinstance(each, int):
        return None
    if isinstance(each, str):
        return Dimension(_identifier(each))
    if hasattr(each, "root"):
        return _multiple(where, each)
    least, most = getattr(each, "min", None), getattr(each, "max", None)
    bounds = max(1, least or 1), most if isinstance(most, int) and most < 1 << 60 else None
    hint = getattr(each, "type", None)  # Dim.DYNAMIC, Dim.AUTO, Dim.STATIC
    if hint is not None:
        is_static = getattr(hint, "name", "") == "STATIC"
        return None if is_static else Dimension(_identifier(own_name), None, *bounds)
    return Dimension(_identifier(str(getattr(each, "__name__", own_name))), None, *bounds)


def _multiple(where: str, each: Any) -> Dimension:
    """A dimension that torch.export computes from its root: 32*Dim("h") is a multiple of 32, called
    as the root is."""
    root = each.root
    nothing, times = int(each.fn(0)), int(each.fn(1))
    if nothing != 0 or times < 1:
        raise InputError(
            f"{where}: {each.__name__} is computed from another dimension; only multiples are read"
            " here",
            "--input states each tensor's dimensions by name",
        )
    most = root.max if isinstance(root.max, int) and root.max < 1 << 60 else None
    return Dimension(
        _identifier(str(root.__name__)),
        None,
        times * max(1, root.min or 1),
        None if most is None else times * most,
        times,
    )


def _identifier(text: str) -> str:
    """A name that a dimension of a file may have."""
    kept = "".join(c if c.isalnum() or c == "_" else "_" for c in text)
    return kept if kept.isidentifier() else f"dim_{kept}"
