"""Sizes to trace with are found by asking the module itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.exporter import models
from toolkit.errors import InputError
from toolkit.exporter import tracing
from toolkit.sources import inputs


class Image(nn.Module):
    """Asks for 64 pixels at least, in multiples of 32."""

    def forward(self, x: Any) -> Any:
        if x.shape[2] < 64 or x.shape[2] % 32 or x.shape[3] % 32:
            raise ValueError("the image must be at least 64 and a multiple of 32")
        return x.mean((2, 3))


@pytest.mark.parametrize(
    ("module", "texts", "sizes"),
    [
        (models.Linear(), ["x:float32[batch,4]"], {"batch": 2}),
        (models.Branch(), ["x:float32[batch,seq]"], {"batch": 2, "seq": 3}),
        (models.Branch(), ["x:float32[batch,seq=16]"], {"batch": 2, "seq": 16}),
        (models.Branch(), ["x:float32[batch,seq=64..512]"], {"batch": 2, "seq": 66}),
        (models.Branch(), ["x:float32[batch,seq=64..65]"], {"batch": 2, "seq": 65}),
        (models.Strided(), ["x:float32[batch,2,width]"], {"batch": 2, "width": 16}),
        (models.Added(), ["x:float32[a,b]", "y:float32[a,b]"], {"a": 2, "b": 3}),
        (Image(), ["x:float32[n,3,h,w]"], {"n": 2, "h": 64, "w": 128}),
    ],
    ids=["free", "two", "stated", "range", "narrow range", "multiples", "shared", "image"],
)
def test_sizes_are_those_stated_or_the_first_that_the_module_accepts(
    module: nn.Module, texts: list[str], sizes: dict[str, int]
) -> None:
    assert models.traced(module, *texts)[1].sizes == sizes


def test_a_size_that_the_module_refuses_is_told_in_its_own_words() -> None:
    with pytest.raises(InputError) as caught:
        models.traced(Image(), "x:float32[n,3,h=10,w=10]")

    assert caught.value.what == (
        "the module does not accept x 2x3x10x10: ValueError: the image must be at least 64 and a"
        " multiple of 32"
    )
    assert caught.value.cures[0].endswith(
        'raise ValueError("the image must be at least 64 and a multiple of 32")'
    )


def test_where_no_size_is_accepted_the_error_says_how_to_state_one() -> None:
    with pytest.raises(InputError) as caught:
        models.traced(models.Linear(), "x:float32[batch,5]")

    assert caught.value.cures[-1] == (
        "Of all sizes tried for batch none was accepted; state one: --input 'x:float32[batch=16,5]'"
    )


def test_the_users_own_tensors_are_traced_with_and_give_the_sizes() -> None:
    given = {"x": torch.ones(3, 5)}

    traced = tracing.find(models.Branch(), inputs.parse_all(["x:float32[batch,seq]"]), given)

    assert traced.sizes == {"batch": 3, "seq": 5}
    assert traced.tensors["x"] is given["x"]


@pytest.mark.parametrize("text", ["x:float32[batch,seq,4]", "x:int64[batch,seq]", "x:float32[n,n]"])
def test_tensors_that_are_not_what_was_stated_are_refused(text: str) -> None:
    given = {"x": torch.ones(3, 5)}

    with pytest.raises(InputError) as caught:
        tracing.find(models.Branch(), inputs.parse_all([text]), given)

    assert caught.value.what == (f"example_inputs() gives x:float32[3,5], --input states {text}")


class Chance(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + torch.rand_like(x)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * self.calls


class Writing(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.add_(1) > 1


class Averaging(nn.Module):
    """Keeps a moving mean in a buffer, and answers by it."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Any) -> Any:
        self.mean.mul_(0.9).add_(x.mean(0) * 0.1)
        return x - self.mean


class Remembering(nn.Module):
    """Hands back the input of the call before: two calls with one input agree by luck."""

    last: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(2, 4))

    def forward(self, x: Any) -> Any:
        before = self.last
        self.last = x.clone()
        return torch.where(before.abs().sum() > 0, before, x)


class Counted(nn.Module):
    """Counts its calls, for nobody."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Any) -> Any:
        self.calls += 1
        return x * 2


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (Chance(), "forward draws random numbers (aten.rand_like.default): the module's output"),
        (Counting(), "the module's output is another one each time it is called with the same"),
        (Averaging(), "forward changes the buffer mean, and the module's output depends on it"),
        (Remembering(), "forward changes the buffer last, and the module's output depends on it"),
    ],
    ids=["random", "an attribute", "a buffer", "a buffer of the call before"],
)
def test_a_module_that_is_no_function_of_its_inputs_is_refused(
    module: nn.Module, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        models.traced(module, "x:float32[batch,4]")

    assert caught.value.what.startswith(says)


def test_the_line_that_draws_at_random_is_named() -> None:
    with pytest.raises(InputError) as caught:
        models.traced(Chance(), "x:float32[batch,4]")

    assert caught.value.cures[0].endswith("return x + torch.rand_like(x)")


def test_a_buffer_that_no_output_depends_on_is_told_and_refuses_nothing() -> None:
    assert models.traced(Counted(), "x:float32[batch,4]")[1].forgotten == ("calls",)
    assert models.traced(models.Linear(), "x:float32[batch,4]")[1].forgotten == ()


def test_a_module_that_writes_into_its_input_is_a_function_of_it() -> None:
    assert models.traced(Writing(), "x:float32[batch,4]")[1].outputs == ("output",)
