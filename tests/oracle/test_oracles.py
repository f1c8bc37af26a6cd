"""A module and a file have an oracle in float64, or it is said why not."""

from __future__ import annotations

import copy
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from toolkit.errors import InputError
from toolkit.feeds.feed import Feed
from toolkit.oracle import dispatch, oracles
from toolkit.oracle.oracles import Expected, Oracle, RefusedFeed
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array, TensorSpec

X = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
SPEC = (TensorSpec("x", "float32", ("batch", 8)),)


def ask(module: nn.Module, **feed: Array) -> dict[str, Array]:
    specs = [TensorSpec(name, array.dtype.name, None) for name, array in feed.items()]
    oracle = oracles.of_module(module, specs, feed)
    assert oracle.exact, oracle.name
    return oracle.answer(feed)


class Lowering(nn.Module):
    """Asks for float32 and less at every turn."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.register_buffer("third", torch.ones(8) / 3)
        self.ramp = torch.linspace(0, 1, 8)  # no buffer: .double() does not see it

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x.float()) + torch.zeros(8, dtype=torch.float32)
        y = y + self.ramp.to(torch.float32) * torch.tensor([0.1] * 8) + torch.arange(8) / 3
        y = y + torch.full((8,), 0.7, dtype=torch.float32).sqrt() + torch.ones_like(x).half() / 7
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = y + self.linear(y)
        result: torch.Tensor = (y + self.third.half()).bfloat16().float()
        return result


@pytest.mark.process
def test_the_oracle_does_not_load_torchs_compiler() -> None:
    """It takes longer than torch itself."""
    program = """
import sys
import torch
from toolkit.oracle.raised import float64

with float64():
    print(torch.ones(2, dtype=torch.float32).add(1).dtype, "torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.split() == ["torch.float64", "False"], done.stderr


def test_a_module_that_asks_for_less_is_followed_in_float64() -> None:
    torch.manual_seed(0)
    module = Lowering()
    (got,) = ask(module, x=X).values()
    w = module.linear.weight.detach().double().numpy()
    b = module.linear.bias.detach().double().numpy()
    y = X.astype(float) @ w.T + b
    y = y + module.ramp.double().numpy() * 0.1 + np.arange(8) / 3 + np.sqrt(0.7) + 1 / 7
    y = y + y @ w.T + b + module.get_buffer("third").double().numpy()
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, y, rtol=1e-14)


class Remembering(nn.Module):
    """Writes into a tensor that is no buffer, and reads it again."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(4, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.kept[:] = x / 3
        return self.kept * 1


def test_what_is_written_into_a_plain_tensor_is_read_again() -> None:
    (got,) = ask(Remembering(), x=X).values()
    assert got.tolist() == (X.astype(float) / 3).tolist()


class Writing(nn.Module):
    """Writes into its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)


def test_neither_the_module_nor_the_feed_nor_torch_is_changed() -> None:
    module = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), Writing()).train()
    before, feed = copy.deepcopy(module.state_dict()), X.copy()
    first, second = ask(module, input=feed), ask(module, input=feed)
    assert first["output"].tolist() == second["output"].tolist()
    assert feed.tolist() == X.tolist()
    assert module.training
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())
    assert torch.get_default_dtype() == torch.float32


class CallCounting(nn.Module):
    """Counts its calls in a buffer, which its output shows, and shifts a parameter each time."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.shift = nn.Parameter(torch.ones(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.shift.add_(1 / 3)
        return x * self.calls + self.shift


def test_what_a_call_leaves_in_the_module_is_gone_with_the_next_one() -> None:
    module = CallCounting()
    calls, shift = module.calls, module.shift
    oracle = oracles.of_module(module, SPEC, {"x": X})

    answers = [oracle.answer({"x": X})["output"] for _ in range(2)]
    plain = [oracle.in_float32({"x": X}) for _ in range(2)]

    for answer in answers:
        assert answer.tolist() == (X.astype(float) + (1 + 1 / 3)).tolist()
    for each in plain:
        assert each is not None
        np.testing.assert_allclose(each["output"], answers[0], rtol=0, atol=1e-6)
    assert module.calls is calls
    assert module.shift is shift
    assert (int(calls), shift.tolist()) == (0, [1.0] * 8)


def test_the_feed_that_it_was_tried_with_is_not_computed_again() -> None:
    module = CallCounting()
    oracle = oracles.of_module(module, SPEC, {"x": X})
    calls: list[None] = []
    oracle.module.register_forward_hook(lambda *_: calls.append(None))

    first, second = oracle.answer({"x": X.copy()}), oracle.answer({"x": X + 1})

    assert len(calls) == 1
    assert first["output"].tolist() == (X.astype(float) + (1 + 1 / 3)).tolist()
    assert second["output"].tolist() == ((X + 1).astype(float) + (1 + 1 / 3)).tolist()


class Tied(nn.Module):
    """Uses its weights by all kinds of views: one table for words and logits, a slice of another,
    an expanded token, a bundle that is cut, and writes into a view that another one shows."""

    turns: torch.Tensor
    kept: torch.Tensor
    order: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.logits = nn.Linear(8, 20, bias=False)
        self.logits.weight = self.words.weight
        self.places = nn.Parameter(torch.randn(30, 8))
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.bundle = nn.Parameter(torch.randn(24, 8))
        self.register_buffer("turns", torch.polar(torch.ones(4), torch.rand(4)))
        self.register_buffer("kept", torch.rand(4, 8))
        self.register_buffer("order", torch.arange(8).flip(0))

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.words(ids) + self.places[: ids.shape[1]]
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        query, key, value = (x @ part.T for part in self.bundle.chunk(3))
        x = nn.functional.scaled_dot_product_attention(self.token.expand_as(query), key, value)
        x = torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], 4, 2)) * self.turns)
        self.kept[1:3].t()[0] = x.flatten()[:2]
        x = torch.tensordot(x.flatten(2), self.bundle[:8], dims=1)[..., self.order]
        logits: torch.Tensor = self.logits(x)
        return logits, self.kept.sum(1) / 3, self.kept.view(2, 16), self.token


def test_views_of_weights_give_the_numbers_of_the_module_in_double() -> None:
    torch.manual_seed(0)
    module, ids = Tied().eval(), np.array([[1, 5, 5], [0, 19, 7]])
    # .double() leaves complex numbers.
    double = copy.deepcopy(module).double()
    double.turns = module.turns.to(torch.complex128)
    with torch.no_grad():
        want = double(torch.from_numpy(ids))

    got = ask(module, ids=ids)

    for mine, theirs in zip(got.values(), want, strict=True):
        assert mine.dtype == np.float64
        assert mine.tolist() == theirs.tolist()


class Deep(nn.Module):
    """A table of words that is larger than all its layers together."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5000, 16)
        self.layers = nn.Sequential(*(nn.Linear(16, 16) for _ in range(40)))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(self.words(ids))
        return result


def test_the_weights_are_never_all_raised_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = [0]

    def noted(low: torch.Tensor, **kwargs: bool) -> torch.Tensor:
        raised = original(low, **kwargs)
        storages[raised.untyped_storage().data_ptr()] = weakref.ref(raised)
        peaks.append(sum(t.nbytes for ref in storages.values() if (t := ref()) is not None))
        return raised

    storages: dict[int, weakref.ref[torch.Tensor]] = {}
    original = dispatch.raised
    monkeypatch.setattr(dispatch, "raised", noted)

    ask(Deep(), ids=np.array([[1, 2]]))

    assert len(peaks) > 80
    assert 0 < max(peaks) <= 4 * 16 * 16 * 8


class Turning(nn.Module):
    table: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.ones(8, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.table.t_()


def test_a_module_that_turns_its_own_tensor_round_has_no_float64_oracle() -> None:
    module = Turning()
    oracle = oracles.of_module(module, SPEC, {"x": X.T[:2, :2]})
    assert "TypeError: it gives a tensor of the module another shape in place" in oracle.name
    assert module.table.shape == (8, 2)


@dataclass
class Point:
    """A dataclass, which some modules return."""

    left: torch.Tensor
    right: torch.Tensor


class Many(nn.Module):
    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> dict[str, object]:
        return {"z": x, "a": [ids, (None, x > 0)], "p": Point(x[0], x[1])}


def test_all_kinds_of_outputs_have_names_in_their_order() -> None:
    got = ask(Many(), x=X, ids=np.array([3, 4]))
    assert list(got) == ["z", "a_0", "a_1_1", "p_left", "p_right"]
    assert got["a_0"].dtype == np.int64
    assert got["a_1_1"].dtype == np.bool_


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, tuple[int, ...]]] = {
    "transformer": (
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        "src",
        (2, 5, 16),
    ),
    "lstm": (lambda: nn.LSTM(16, 8, 2, bidirectional=True), "input", (5, 2, 16)),
    "conv": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.BatchNorm2d(8)),
        "input",
        (2, 3, 9, 9),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_agrees_with_its_own_double(name: str) -> None:
    make, parameter, shape = NETWORKS[name]
    torch.manual_seed(0)
    module = make().eval()
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    result = copy.deepcopy(module).double()(torch.from_numpy(x).double())
    want = result[0] if isinstance(result, tuple) else result
    got = next(iter(ask(module, **{parameter: x}).values()))
    np.testing.assert_allclose(got, want.detach().numpy(), rtol=0, atol=1e-14)


class Bits(nn.Module):
    """Cuts a float32 to bfloat16's bits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.view(torch.int32) & -65536).view(torch.float32)


def test_where_float64_cannot_follow_the_oracle_is_float32_and_says_so() -> None:
    oracle = oracles.of_module(Bits(), SPEC, {"x": X})
    assert not oracle.exact
    assert oracle.name == (
        "PyTorch in float32, since there is no float64 oracle: the module runs in float32 but not"
        " in float64: TypeError: it reads the bits of a float as another type"
    )
    want = (X.view(np.int32) & -65536).view(np.float32)
    assert oracle.answer({"x": X})["output"].tolist() == want.tolist()


class Paired(nn.Module):
    """Takes multiples of four only: x (4, 8) becomes (2, 1, 16)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, -1, 16)


def test_a_size_that_the_module_refuses_is_refused() -> None:
    oracle = oracles.of_module(Paired(), SPEC, {"x": X})
    with pytest.raises(RefusedFeed, match=r"^the PyTorch module refuses it: RuntimeError: shape"):
        oracle.answer({"x": X[:3]})
    with pytest.raises(RefusedFeed):
        oracles.of_module(Paired(), SPEC, {"x": X[:3]})


class Picky(nn.Module):
    """Fails in float64 for some sizes only."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Bits()(x) if len(x) == 3 else x


def test_a_name_that_forward_does_not_have_is_told_as_such() -> None:
    with pytest.raises(InputError, match=r"^no input of Linear.forward is called 'x'; there are:"):
        oracles.of_module(nn.Linear(8, 8), SPEC, {"x": X})


def test_a_size_at_which_only_float64_fails_is_told_apart() -> None:
    oracle = oracles.of_module(Picky(), SPEC, {"x": X})
    with pytest.raises(Unsupported, match=r"^the module runs in float32 but not in float64"):
        oracle.answer({"x": X[:3]})


def test_a_module_in_bfloat16_and_its_bits() -> None:
    module = nn.Linear(8, 2).bfloat16()
    bits = torch.from_numpy(X).bfloat16().view(torch.uint16).numpy()
    specs = [TensorSpec("input", "bfloat16", ("batch", 8))]
    oracle = oracles.of_module(module, specs, {"input": bits})
    x = torch.from_numpy(X).bfloat16().double()
    want = x @ module.weight.double().T + module.bias.double()
    np.testing.assert_allclose(oracle.answer({"input": bits})["output"], want.detach(), rtol=1e-14)


def test_the_oracle_of_a_file_is_the_file_in_float64() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> g (float[n] x) => (float[n] y) { y = Tanh (x) }'
    )
    oracle = oracles.of_model(model)
    assert (oracle.name, oracle.exact) == ("reference evaluator in float64", True)
    assert oracle.answer({"x": X[0]})["y"].tolist() == np.tanh(X[0].astype(float)).tolist()


# Enough elements.


@dataclass(frozen=True)
class Echo(oracles.OneByOne):
    """An oracle whose outputs are its input, and one number for each feed."""

    name: str = "echo"
    exact: bool = True

    def answer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        return {"all": feed["x"], **({"one": feed["x"][:1]} if self.name == "one" else {})}

    def in_float32(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        return self.answer(feed)


@dataclass(frozen=True)
class Counting:
    """Draws feeds whose every element is their number."""

    def draw(self, dims: Mapping[str, int], number: int = 0) -> Feed:
        return Feed(dims, "counted", {"x": np.full(max(dims.values()), float(number))}, number)


def pooled(source: Oracle, *counts: int) -> list[Expected]:
    draws = Counting()
    feeds = [draws.draw({"length": count}) for count in counts]
    return oracles.expected(source, feeds, draws)


def test_further_feeds_of_the_largest_size_are_drawn_until_there_are_1000_elements() -> None:
    expected = pooled(Echo(), 1, 300, 7)
    assert [each.feed.dims["length"] for each in expected] == [1, 300, 7, 300, 300, 300]
    assert [each.feed.number for each in expected] == [0, 0, 0, 1, 2, 3]


def test_every_output_wants_1000_elements_and_64_further_feeds_end_it() -> None:
    assert len(pooled(Echo("one"), 2000)) == 65


@dataclass(frozen=True)
class Even(Echo):
    """An oracle of a model that takes even values only."""

    def answer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        if feed["x"][0] % 2:
            raise RefusedFeed("odd")
        return super().answer(feed)


def test_further_feeds_whose_values_the_model_refuses_are_left_out() -> None:
    numbers = [each.feed.number for each in pooled(Even(), 300)]

    assert numbers == [0, 2, 4, 6]


def test_what_is_enough_is_left_as_it_is() -> None:
    assert len(pooled(Echo(), 1000)) == 1
    feeds = [Counting().draw({"length": 3})]
    assert len(oracles.expected(Echo(), feeds)) == 1


@dataclass(frozen=True)
class Narrow(Echo):
    """An oracle of a model that takes up to 500 elements at once."""

    def answer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        if feed["x"].size > 500:
            raise RefusedFeed("too wide")
        return super().answer(feed)


def batches(source: Oracle, *counts: int) -> list[int]:
    feeds = [Counting().draw({"batch": count}) for count in counts]
    expected = oracles.expected(source, feeds, Counting())
    return [each.feed.dims["batch"] for each in expected]


def test_one_feed_of_a_larger_batch_takes_the_place_of_many() -> None:
    assert batches(Echo(), 1, 300) == [1, 300, 900]
    assert batches(Echo("one"), 2000) == [2000] * 65  # One output does not grow.


def test_a_model_that_refuses_a_larger_batch_gets_many_feeds() -> None:
    assert batches(Narrow(), 1, 300) == [1, 300, 300, 300, 300]
