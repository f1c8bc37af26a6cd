"""Reads the calls that `example_inputs()` beside a factory gives.

It gives a tensor, a tuple of forward's arguments, a dictionary of them by name, a pair of both, or
a list of several such calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError
from toolkit.sources import calls, importing
from toolkit.sources.running import result
from toolkit.sources.source import Source

if TYPE_CHECKING:
    import torch
    from torch import nn

    from toolkit.sources.nested import CallForm

FUNCTION = "example_inputs"


@dataclass(frozen=True)
class Example:
    """One call: its form, and its tensors by the names that the file's inputs get."""

    form: CallForm
    tensors: dict[str, torch.Tensor]


def of(source: Source, module: nn.Module) -> list[Example]:
    """The calls that example_inputs() gives; none where there is no such function.

    Raises InputError where it raises, where it gives something else, and where its calls are not of
    one form.
    """
    from toolkit.sources import nested

    function = getattr(importing.module_of(source), FUNCTION, None)
    if function is None:
        return []
    where = f"{FUNCTION}() of {source.name.rpartition(':')[0]}"
    own = nested.inner(module)
    read = [_example(where, own, given) for given in _several(result(where, function))]
    for each in read[1:]:
        if each.form.names != read[0].form.names:
            raise InputError(
                f"{where} gives calls of different forms: {', '.join(read[0].form.names)} and"
                f" {', '.join(each.form.names)}"
            )
    return read


def flattened(source: Source, module: nn.Module) -> nn.Module:
    """The module, behind one that takes flat tensors where example_inputs() show that it takes
    more. Raises InputError as `of`."""
    from toolkit.sources import nested

    read = of(source, module)
    if not read or read[0].form.is_flat:
        return module
    form = read[0].form
    return nested.flat(module, form.names, form)


def _several(given: Any) -> list[Any]:
    """The calls in what was given: those of a list of tuples or dictionaries, else the one."""
    if isinstance(given, list) and given and all(isinstance(g, tuple | Mapping) for g in given):
        return given
    return [given]


def _example(where: str, module: nn.Module, given: Any) -> Example:
    import torch

    from toolkit.sources import nested

    args, kwargs = _arguments(module, (given,) if isinstance(given, torch.Tensor) else given, where)
    count = len(calls.by_place(module, len(args)))
    if count < len(args):
        raise InputError(f"{where} gives {len(args)} tensors, forward takes {count}")
    form, tensors = nested.of_call(module, args, kwargs)
    if not tensors:
        raise InputError(
            f"{where} gives {given!r}; a tensor, a tuple of tensors or a dictionary of tensors is"
            " needed"
        )
    return Example(form, tensors)


def _arguments(
    module: nn.Module, given: Any, where: str
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The arguments by place and by name."""
    if isinstance(given, tuple) and len(given) == 2 and _is_pair(module, *given):
        return given[0], given[1]
    if isinstance(given, Mapping):
        named = {str(name): value for name, value in given.items()}
        return ((given,), {}) if _is_one_argument(module, named) else ((), named)
    if isinstance(given, tuple | list):
        return tuple(given), {}
    raise InputError(
        f"{where} gives {given!r}; a tensor, a tuple of tensors or a dictionary of tensors is"
        " needed"
    )


def _is_pair(module: nn.Module, args: Any, kwargs: Any) -> bool:
    """Says whether a pair is arguments by place and by name, and not two arguments."""
    if not isinstance(args, tuple) or not isinstance(kwargs, Mapping):
        return False
    return all(isinstance(name, str) for name in kwargs) and _takes(module, kwargs)


def _is_one_argument(module: nn.Module, named: Mapping[str, Any]) -> bool:
    """Says whether a dictionary is the one argument of forward and not its arguments by name."""
    parameters = calls.all_parameters(module)
    return len(parameters) == 1 and not _takes(module, named)


def _takes(module: nn.Module, named: Mapping[str, Any]) -> bool:
    """Says whether forward has parameters of these names, or takes any name."""
    parameters = calls.signature(module).parameters.values()
    any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return any_name or set(named) <= {parameter.name for parameter in parameters}
