"""Calls a module with named tensors, and names its results.

One rule for all that call a module: the export, the oracle and the torch runtime.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError, unknown
from toolkit.sources import containers

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The arguments that forward is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    order: tuple[str, ...]
    """The inputs' names in the order in which they are handed over: args, then kwargs."""


def signature(module: nn.Module) -> inspect.Signature:
    """The signature of forward; that of TorchScript's own schema where the module is scripted or
    traced by it."""
    import torch

    if not isinstance(module, torch.jit.ScriptModule):
        return inspect.signature(module.forward)
    forward: Any = module.forward
    _, *schema = forward.schema.arguments  # The first one is the module.
    positional, named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                named if argument.kwarg_only else positional,
                default=argument.default_value
                if argument.has_default_value()
                else inspect.Parameter.empty,
            )
            for argument in schema
        ]
    )


def arguments(module: nn.Module, given: Mapping[str, Any]) -> Arguments:
    """Sorts named inputs into forward's arguments.

    A parameter of forward takes the input of its name; `*args` takes the inputs of other names in
    their order, `**kwargs` by their names. Raises InputError for a name that forward does not
    have, and for one that it needs. A module that says itself in which order it takes which inputs
    (`nested.flat`) gets them so.
    """
    fixed = getattr(module, "input_names", None)
    if isinstance(fixed, tuple) and fixed:
        if others := [name for name in given if name not in fixed]:
            raise InputError(unknown("input", others[0], fixed))
        if lacking := [name for name in fixed if name not in given]:
            raise InputError(f"the module needs {', '.join(lacking)} too")
        return Arguments(tuple(given[name] for name in fixed), {}, fixed)
    parameters = signature(module).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    own = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    others = [name for name in given if name not in own]
    if others and not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        raise InputError(unknown(f"input of {type(module).__name__}.forward", others[0], own))
    needed = [name for name, p in own.items() if p.default is p.empty and name not in given]
    if needed:
        raise InputError(
            f"{type(module).__name__}.forward needs {', '.join(needed)} too",
            *(f"--input '{name}:float32[batch,64]'   states its type and shape" for name in needed),
        )
    positional: list[str] = []
    named: list[str] = []
    # A parameter behind one that was left out can be reached by its name only.
    gap = False
    for name, parameter in own.items():
        gap = gap or name not in given or parameter.kind is parameter.KEYWORD_ONLY
        if name in given:
            (named if gap else positional).append(name)
    # With both *args and **kwargs, the names alone do not say which: they go to *args.
    (positional if inspect.Parameter.VAR_POSITIONAL in kinds else named).extend(others)
    return Arguments(
        tuple(given[name] for name in positional),
        {name: given[name] for name in named},
        (*positional, *named),
    )


def parameters(module: nn.Module) -> list[str]:
    """The names of forward's parameters that need a value, or of all where none does."""
    own = [
        p
        for p in signature(module).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return [p.name for p in own if p.default is p.empty] or [p.name for p in own]


def all_parameters(module: nn.Module) -> list[str]:
    """The names of forward's parameters, but for `*args` and `**kwargs`."""
    return [
        p.name
        for p in signature(module).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def by_place(module: nn.Module, count: int) -> list[str]:
    """The names of forward's first parameters; behind `*args` they are numbered."""
    names: list[str] = []
    for parameter in signature(module).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{n}" for n in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return names[:count]


def outputs(result: object) -> dict[str, torch.Tensor]:
    """A result's tensors by name, in the order in which PyTorch flattens it.

    One tensor is 'output'; in a tuple or list 'output_0', 'output_1' …; in a dictionary, a named
    tuple or a dataclass they have their keys, joined by '_' where one lies in another, and the
    tensors of an object, such as a cache, the names of its attributes. None, numbers and words are
    left out: a file gives tensors only. Raises InputError for anything else that is no tensor.
    """
    import torch

    plain = (int, float, complex, str, bytes, torch.SymInt, torch.SymFloat, torch.SymBool)
    tensors: dict[str, torch.Tensor] = {}
    for path, value in containers.tensors(result):
        head = () if path and isinstance(path[0], str) else ("output",)
        name = "_".join(map(str, (*head, *path)))
        if isinstance(value, plain):
            continue
        if not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise InputError(f"the module returns a {kind} as {name!r}; a file gives tensors only")
        while name in tensors:
            name += "_"
        tensors[name] = value
    if not tensors:
        raise InputError("the module returns no tensor")
    return tensors
