"""Calls that hold lists, dictionaries and caches become flat tensors and are put together again."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from toolkit.errors import InputError
from toolkit.sources import calls, containers, nested

ONE, TWO, THREE = torch.full((1,), 1.0), torch.full((2,), 2.0), torch.full((3,), 3.0)


class Pair(NamedTuple):
    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class Frozen:
    x: Tensor
    scale: float = 2.0


class Layer:
    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.keys, self.values, self.length = keys, values, 5


class Cache:
    """Holds tensors as the caches of transformers do."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = list(layers)
        self.offloaded = False


class Seen(nn.Module):
    """Keeps what it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Mapping[str, Any]] = []

    def forward(self, x: Any, past: Any = None, *, flag: Any = None) -> Any:
        self.calls.append({"x": x, "past": past, "flag": flag})
        return x


def taken(
    args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
) -> tuple[list[str], Mapping[str, Any]]:
    """The names of a call's tensors, and what forward gets where each is replaced by its double."""
    module = Seen()
    form, tensors = nested.of_call(module, args, kwargs or {})
    flat = nested.flat(module, form.names, form)
    # Whoever copies the module, as the oracle does, gets one that calls alike.
    again = copy.deepcopy(flat)
    for each in (flat, again):
        given = calls.arguments(each, {name: 2 * tensor for name, tensor in tensors.items()})
        each(*given.args)
    assert given.order == form.names
    copied = again.module
    assert isinstance(copied, Seen)
    return list(tensors), copied.calls[-1]


def test_what_lies_in_lists_and_dictionaries_is_named_by_the_way_to_it() -> None:
    names, seen = taken(({"ids": ONE, "more": [TWO, (THREE, None)]},))

    assert names == ["x.ids", "x.more.0", "x.more.1.0"]
    assert torch.equal(seen["x"]["ids"], 2 * ONE)
    assert torch.equal(seen["x"]["more"][1][0], 2 * THREE)
    assert seen["x"]["more"][1][1] is None


def test_numbers_words_and_none_are_constants_of_the_call() -> None:
    names, seen = taken((ONE, [TWO, 3, "word"]), {"flag": True})

    assert names == ["x", "past.0"]
    assert seen["past"][1:] == [3, "word"]
    assert seen["flag"] is True


def test_named_tuples_dataclasses_and_ordered_dictionaries_keep_their_types() -> None:
    names, seen = taken((Pair(ONE, TWO), OrderedDict(b=Frozen(THREE), a=ONE)))

    assert names == ["x.key", "x.value", "past.b.x", "past.a"]
    assert isinstance(seen["x"], Pair)
    assert isinstance(seen["past"], OrderedDict)
    assert seen["past"]["b"] == Frozen(seen["past"]["b"].x, 2.0)
    assert torch.equal(seen["past"]["b"].x, 2 * THREE)


def test_a_cache_is_a_copy_with_other_tensors_and_the_example_keeps_its_own() -> None:
    cache = Cache(Layer(ONE, TWO), Layer(TWO, THREE))

    names, seen = taken((ONE, cache))

    assert names == ["x", "past.0.keys", "past.0.values", "past.1.keys", "past.1.values"]
    assert isinstance(seen["past"], Cache)
    assert torch.equal(seen["past"].layers[1].values, 2 * THREE)
    assert seen["past"].layers[1].length == 5
    assert torch.equal(cache.layers[1].values, THREE)


def test_arguments_by_name_come_in_the_order_of_forward() -> None:
    names, _ = taken((), {"flag": [ONE], "x": TWO})

    assert names == ["x", "flag.0"]


def test_an_object_that_leads_back_to_itself_has_an_end() -> None:
    cache = Cache(Layer(ONE, TWO))
    cache.layers[0].owner = cache  # type: ignore[attr-defined]

    names, _ = taken((ONE, cache))

    assert names == ["x", "past.0.keys", "past.0.values"]
    assert list(calls.outputs([cache, ONE])) == ["output_0_0_keys", "output_0_0_values", "output_1"]
    assert not containers.holds_tensor(endless())


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@dataclass
class Result:
    logits: Tensor
    cache: Cache
    hidden: list[Tensor] = field(default_factory=list)


def test_the_tensors_of_a_cache_are_outputs() -> None:
    result = Result(ONE, Cache(Layer(TWO, THREE)), [ONE, TWO])

    outputs = calls.outputs(result)

    assert list(outputs) == ["logits", "cache_0_keys", "cache_0_values", "hidden_0", "hidden_1"]
    assert not containers.is_plain(result)
    assert containers.is_plain({"a": [ONE, (TWO, None)]})


def test_inputs_that_a_flat_module_lacks_or_does_not_know_are_named() -> None:
    form, tensors = nested.of_call(Seen(), ([ONE, TWO],), {})
    flat = nested.flat(Seen(), form.names, form)

    with pytest.raises(InputError, match=r"needs x\.1 too"):
        calls.arguments(flat, {"x.0": ONE})
    with pytest.raises(InputError, match=r"no input is called 'x\.2'"):
        calls.arguments(flat, {**tensors, "x.2": ONE})
