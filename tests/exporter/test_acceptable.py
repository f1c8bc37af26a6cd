"""A drawing is tried on the module itself, and what it refuses is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.exporter import drawnmodels, models
from tests.feeds.test_uses import parse
from toolkit.errors import InputError
from toolkit.exporter import acceptable, proofplan, tracing
from toolkit.exporter.acceptable import Chosen
from toolkit.exporter.conditions import Evidence
from toolkit.exporter.request import ExportRequest
from toolkit.exporter.resampled import Resampled
from toolkit.feeds import uses
from toolkit.feeds.drawing import Drawer
from toolkit.feeds.kinds import Kind
from toolkit.sources.source import Source
from toolkit.tensors import TensorSpec

STATED = ("x:float32[batch,4]", "ids:int64[batch]")


def request(module: object, *stated: str) -> ExportRequest:
    inputs, traced = models.traced(module, *stated)  # type: ignore[arg-type]
    return ExportRequest(Source("m:M"), module, inputs, traced, own_values=False)  # type: ignore[arg-type]


def test_what_the_module_refuses_is_drawn_as_it_was_for_the_trace_and_the_rest_is_not() -> None:
    asked = request(drawnmodels.Strict(), *STATED)
    drawn = Drawer(tuple(asked.specs), kinds=asked.traced.kinds, seed=1)

    feed = acceptable.of(asked, drawn).draws.draw({"batch": 2})

    assert asked.traced.kinds == {"ids": Kind(4)}
    assert feed.arrays["ids"].tolist() == [4, 4]
    assert feed.arrays["x"].tolist() == drawn.draw({"batch": 2}).arrays["x"].tolist()


def test_the_input_and_the_operator_at_fault_are_found() -> None:
    asked = request(drawnmodels.Table(), "ids:int64[n]")
    feed = Drawer(tuple(asked.specs)).draw({"n": 9})  # From 0 on.

    assert acceptable.at_fault(asked, feed) == ("ids", "torch.nn.functional.embedding")


def test_where_the_modules_own_code_raises_there_is_no_operator() -> None:
    asked = request(drawnmodels.Strict(), *STATED)
    feed = Drawer(tuple(asked.specs)).draw({"batch": 2}, number=1)

    assert acceptable.at_fault(asked, feed) == ("ids", None)


def test_the_last_resort_names_the_input_and_the_operator() -> None:
    asked = request(drawnmodels.Table(), "ids:int64[n]")

    with pytest.raises(InputError) as caught:
        proofplan.oracle(asked, Chosen(Drawer(tuple(asked.specs))), proofplan.sizes(asked, (), 1.0))

    assert caught.value.what == (
        "drawn inputs are not what this module takes: input 'ids' in torch.nn.functional.embedding:"
        " the PyTorch module refuses it: IndexError: index out of range in self"
    )


def test_a_users_own_values_are_varied_in_their_order_and_within_their_use() -> None:
    inputs = (
        TensorSpec("x", "float32", ("n", 4)),
        TensorSpec("at", "int64", ("k",)),
        TensorSpec("t", "float32", ("k",)),
    )
    model = parse(
        "g (float[n, 4] x, int64[k] at, float[k] t) => (float[k, 4] y) { y = Gather (x, at) }"
    )
    values = {
        "x": np.ones((9, 4), np.float32),
        "at": np.array([8, 0, 5, 2]),
        "t": np.array([0, 1, 4, 9], np.float32),
    }
    drawn = Resampled(inputs, values, {"n": 9, "k": 4}, uses.of(model)).draw({"n": 3, "k": 30})

    assert set(drawn.arrays["at"]) == {0, 2}  # 8 and 5 are 2 of three rows.
    assert (np.diff(drawn.arrays["t"]) >= 0).all()
    assert set(drawn.arrays["t"]) == {0, 1, 4, 9}


@pytest.mark.parametrize(
    ("module", "stated", "kinds"),
    [
        (drawnmodels.Bags(), ["ids:int64[n=9]", "offsets:int64[b=3]"], {"offsets": Kind(None, -1)}),
        (drawnmodels.Times(), ["times:float32[batch=2,seq=9]"], {"times": Kind(None, -1)}),
        (drawnmodels.Table(), ["ids:int64[n]"], {"ids": Kind(16)}),
        (drawnmodels.Divided(), ["x:float32[b,4]", "n:int64[b]"], {}),
    ],
    ids=["offsets", "sorted times", "ids from 10 on", "plain values"],
)
def test_a_module_is_called_with_other_kinds_of_values_as_it_asks_for(
    module: object, stated: list[str], kinds: dict[str, Kind]
) -> None:
    inputs, traced = models.traced(module, *stated)  # type: ignore[arg-type]

    assert traced.kinds == kinds
    assert tracing.accepts(module, inputs, traced.sizes, kinds)  # type: ignore[arg-type]


class Counting(nn.Module):
    """Doubles its input, and notes the rows of each call in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4,), 2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype == torch.float32:
            CALLS.append(len(x))
        return x * self.weight


CALLS: list[int] = []


@pytest.mark.parametrize(("dear", "rows"), [(False, 2), (True, 1)])
def test_the_call_that_speaks_for_a_drawing_is_the_answer_in_float32_of_the_proof(
    dear: bool, rows: int
) -> None:
    asked = request(Counting(), "x:float32[batch,4]")
    at = replace(proofplan.sizes(asked, (), 1.0), dear=dear)
    CALLS.clear()

    chosen = acceptable.of(asked, Drawer(tuple(asked.specs)), [at.first()])
    oracle, at = proofplan.oracle(asked, chosen, at)
    feed = chosen.draws.draw(at.called_at or at.traced)
    plain = oracle.in_float32(feed.arrays)

    assert [rows] == CALLS
    assert plain is not None
    assert plain["output"].dtype == np.float32
    assert np.array_equal(plain["output"], 2 * feed.arrays["x"])


def test_where_the_module_takes_no_drawing_at_the_first_sizes_it_is_asked_at_the_traced() -> None:
    class Pairs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(-1, 2, 4)

    asked = request(Pairs(), "x:float32[batch,4]")

    chosen = acceptable.of(asked, Drawer(tuple(asked.specs)), [{"batch": 1}])

    assert chosen.feed is not None
    assert chosen.feed.dims == asked.traced.sizes


def test_sizes_that_a_module_took_are_not_asked_again() -> None:
    asked = request(Counting(), "x:float32[batch,4]")
    evidence = Evidence(asked.module, asked.inputs, asked.traced, None)  # type: ignore[arg-type]
    evidence.took({"batch": 1})
    CALLS.clear()

    assert evidence.accepted("batch", [1]) == 1
    assert CALLS == []
