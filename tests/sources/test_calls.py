"""Named tensors into forward, named tensors out of its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from toolkit.errors import InputError
from toolkit.sources import calls

ONE, TWO = torch.zeros(1), torch.zeros(2)


class Plain(nn.Module):
    def forward(self, x: Any, mask: Any = None, *, scale: Any = None) -> Any:
        return x


class Star(nn.Module):
    def forward(self, *xs: Any) -> Any:
        return xs[0]


class Words(nn.Module):
    def forward(self, **named: Any) -> Any:
        return named["x"]


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


@pytest.mark.parametrize(
    ("module", "given", "order", "positional"),
    [
        (Plain(), {"mask": 2, "x": 1}, ("x", "mask"), (1, 2)),
        (Plain(), {"scale": 3, "x": 1}, ("x", "scale"), (1,)),
        (Star(), {"b": 2, "a": 1}, ("b", "a"), (2, 1)),
        (Words(), {"x": 1}, ("x",), ()),
    ],
    ids=["in the order of forward", "keyword only", "*args", "**kwargs"],
)
def test_inputs_go_where_forward_takes_them(
    module: nn.Module, given: dict[str, Any], order: tuple[str, ...], positional: tuple[Any, ...]
) -> None:
    arguments = calls.arguments(module, given)

    assert arguments.order == order
    assert arguments.args == positional
    assert list(arguments.kwargs) == list(order[len(positional) :])


def test_an_unknown_input_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        calls.arguments(Plain(), {"x": ONE, "msk": ONE})

    assert caught.value.what == (
        "no input of Plain.forward is called 'msk'; there are: mask, scale, x. Did you mean mask?"
    )


def test_an_input_that_forward_needs_is_asked_for() -> None:
    with pytest.raises(InputError) as caught:
        calls.arguments(Plain(), {"mask": ONE})

    assert caught.value.what == "Plain.forward needs x too"


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (ONE, ["output"]),
        ((ONE, TWO), ["output_0", "output_1"]),
        ([ONE, (TWO, ONE)], ["output_0", "output_1_0", "output_1_1"]),
        ({"zeta": ONE, "alpha": (TWO, ONE)}, ["zeta", "alpha_0", "alpha_1"]),
        (Pair(ONE, TWO), ["left", "right"]),
        (Output(ONE), ["logits"]),
        ({"a_0": ONE, "a": [TWO]}, ["a_0", "a_0_"]),
    ],
    ids=["tensor", "tuple", "nested", "dictionary", "named tuple", "dataclass", "same name"],
)
def test_outputs_are_named_by_where_they_lie(result: object, names: list[str]) -> None:
    assert list(calls.outputs(result)) == names


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (3.0, "the module returns no tensor"),
        ({"n": 1}, "the module returns no tensor"),
        ({"f": range(3)}, "the module returns a range as 'f'; a file gives tensors only"),
        (None, "the module returns no tensor"),
        ({}, "the module returns no tensor"),
    ],
)
def test_results_that_are_no_tensors_are_refused(result: object, error: str) -> None:
    with pytest.raises(InputError) as caught:
        calls.outputs(result)

    assert caught.value.what == error
