"""Gives a module that takes or returns lists, dictionaries and caches flat tensors instead.

A file has named tensors and nothing else. Whatever a call holds is taken apart once: its tensors
get names from the way that leads to them ('past.0.key'), all else (numbers, words, None) is a
constant of the exported function. The flat module puts the call together again and calls the
user's, so the export, the oracle and the runtime `torch` see a module like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from toolkit.sources import calls, containers
from toolkit.sources.containers import Key

if TYPE_CHECKING:
    import torch
    from torch import nn

    from toolkit.sources.calls import Arguments

INNER = "module"
"""The attribute in which a flat module has the user's: the first part of its weights' names."""


@dataclass(frozen=True)
class Leaf:
    """The place of a tensor."""

    name: str


@dataclass(frozen=True)
class Constant:
    """A value without tensors, which is the same in every call."""

    value: object


@dataclass(frozen=True)
class Holder:
    """A container of tensors, with what stands at each key that leads to one."""

    value: object
    """The container of the example: a copy of it gets other tensors."""
    parts: tuple[tuple[Key, Tree], ...]


Tree: TypeAlias = "Leaf | Constant | Holder"


@dataclass(frozen=True)
class CallForm:
    """The form of a call: its arguments, each as a tree whose leaves have names."""

    positional: tuple[tuple[str, Tree], ...]
    named: tuple[tuple[str, Tree], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tensors, in the order in which PyTorch flattens the call."""
        trees = (*self.positional, *self.named)
        return tuple(name for _, tree in trees for name in leaves(tree))

    @property
    def is_flat(self) -> bool:
        """Says whether each argument is a tensor itself."""
        return all(isinstance(tree, Leaf) for _, tree in (*self.positional, *self.named))

    def arguments(self, given: Mapping[str, torch.Tensor]) -> Arguments:
        """Puts the call together again, with these tensors."""
        return calls.Arguments(
            tuple(_filled(tree, given) for _, tree in self.positional),
            {name: _filled(tree, given) for name, tree in self.named},
            self.names,
        )


def flat(module: nn.Module, names: Sequence[str], form: CallForm | None = None) -> nn.Module:
    """Puts the user's module behind a forward of named tensors, which returns named tensors.

    `names` are those of the inputs, in order. `form` says how they lie in the arguments; None: each
    is an argument of its own name.
    """
    return _flat_class()(module, names, form).eval()


def is_flat(module: nn.Module) -> bool:
    """Says whether a module is one that `flat` made."""
    return type(module) is _flat_class()


@cache
def _flat_class() -> type[nn.Module]:
    """The class of flat modules; PyTorch is imported when the first is made."""
    from torch import nn

    class Flat(nn.Module):
        """Calls the user's module with tensors in the order of its inputs."""

        def __init__(self, module: nn.Module, names: Sequence[str], form: CallForm | None) -> None:
            super().__init__()
            self.module = module
            self.input_names = tuple(names)
            self.form = form

        def forward(self, *tensors: torch.Tensor) -> dict[str, torch.Tensor]:
            given = dict(zip(self.input_names, tensors, strict=True))
            form = self.form
            call = calls.arguments(self.module, given) if form is None else form.arguments(given)
            return calls.outputs(self.module(*call.args, **call.kwargs))

    return Flat


def of_call(
    module: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[CallForm, dict[str, torch.Tensor]]:
    """Takes a call of a module apart: its form, and its tensors by name."""
    tensors: dict[str, torch.Tensor] = {}
    positional = tuple(
        (name, _tree(value, (name,), tensors))
        for name, value in zip(calls.by_place(module, len(args)), args, strict=True)
    )
    # PyTorch flattens arguments by name in the order of forward's parameters.
    order = [*calls.all_parameters(module), *kwargs]
    named = tuple(
        (name, _tree(kwargs[name], (name,), tensors))
        for name in dict.fromkeys(order)
        if name in kwargs
    )
    return CallForm(positional, named), tensors


def arguments(module: nn.Module, given: Mapping[str, torch.Tensor]) -> Arguments:
    """Sorts named inputs into the arguments of the user's own module. Raises InputError as
    `calls.arguments`."""
    form: CallForm | None = getattr(module, "form", None) if is_flat(module) else None
    return calls.arguments(inner(module), given) if form is None else form.arguments(given)


def inner(module: nn.Module) -> nn.Module:
    """Gives the user's own module."""
    user: nn.Module = getattr(module, INNER) if is_flat(module) else module
    return user


def leaves(tree: Tree) -> Iterator[str]:
    """Yields the names of the tensors in a tree, in their order."""
    if isinstance(tree, Leaf):
        yield tree.name
    elif isinstance(tree, Holder):
        for _, part in tree.parts:
            yield from leaves(part)


def _tree(
    value: object,
    path: tuple[Key, ...],
    tensors: dict[str, torch.Tensor],
    above: tuple[int, ...] = (),
) -> Tree:
    import torch

    if isinstance(value, torch.Tensor):
        name = ".".join(map(str, path))
        while name in tensors:
            name += "_"
        tensors[name] = value
        return Leaf(name)
    among = containers.holding(value, above)
    if not among:
        return Constant(value)
    short = containers.is_object(value) and len(among) == 1
    parts = []
    for key, part in among:
        way = path if short else (*path, key)
        parts.append((key, _tree(part, way, tensors, (*above, id(value)))))
    return Holder(value, tuple(parts))


def _filled(tree: Tree, given: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(tree, Leaf):
        return given[tree.name]
    if isinstance(tree, Constant):
        return tree.value
    return containers.rebuilt(tree.value, [(key, _filled(part, given)) for key, part in tree.parts])
