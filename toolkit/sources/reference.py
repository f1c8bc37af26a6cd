"""The reference model: the small network of the ReLU tutorial, trained on real digits.

scikit-learn's copy of the UCI handwritten digits (E. Alpaydin and C. Kaynak, 1998) has 1,797
images of 8×8 with the values 0 to 16. The network says two things of each: whether the digit is
odd, and whether it is five or more.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from toolkit.sources.source import Source
from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch
    from torch import nn

SOURCE = Source("toolkit.sources.reference:net")
INPUT, OUTPUT = "input", "output"
FEATURES, HIDDEN = 64, 128
LABELS = ("odd", "five or more")
DIGITS = "data/digits.csv.gz"
"""Where scikit-learn keeps them, below its folder `datasets`."""

# With these both labels are right in some 97 % of the held-out images, after 3 s on one thread.
SEED = 0
EPOCHS = 10
BATCH = 32
RATE = 0.01
JUDGED_BATCHES = (1, 2, 7, 32, 257)
"""Batches at which its file is proven and its runtimes are judged: 1, where shapes collapse; 2,
with which it is traced; a small prime; a usual one; a prime beyond any unrolled loop."""
HELD_OUT = 360
"""A fifth of 1,797, as train_test_split rounds it."""

Data: TypeAlias = Literal["digits", "random"]


@dataclass(frozen=True)
class Split:
    """Examples to learn from, and examples that the training never sees."""

    x: Array
    """Images, float32 (1437, 64)."""
    y: Array
    """Their labels, float32 (1437, 2)."""
    held_x: Array
    """Images that are held out, float32 (360, 64)."""
    held_y: Array
    """Their labels, float32 (360, 2)."""


@dataclass(frozen=True)
class Epoch:
    """The result of one pass over the examples."""

    number: int
    """Counted from 1."""
    of: int
    """The number of passes in all."""
    loss: float
    """Mean binary cross-entropy over the pass."""
    accuracy: tuple[float, ...]
    """Share of the held-out examples that are right, for each of LABELS."""


Watch: TypeAlias = Callable[[Epoch], None]


def net() -> nn.Module:
    """The network, with weights yet to be learnt."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(FEATURES, HIDDEN)
            self.fc2 = nn.Linear(HIDDEN, len(LABELS))

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.fc1(input))  # (batch, 128)
            return torch.sigmoid(self.fc2(x))  # (batch, 2)

    return Net()


def digits() -> tuple[Array, Array]:
    """All images, float32 (1797, 64) in [0, 1], and their labels, float32 (1797, 2)."""
    table = _table()
    digit = table[:, -1]
    x = (table[:, :-1] / 16.0).astype(np.float32)  # (1797, 64)
    y = np.stack([digit % 2 == 1, digit >= 5], axis=1).astype(np.float32)  # (1797, 2)
    return x, y


def _table() -> Array:
    """scikit-learn's table of the digits, float64 (1797, 65): of each 64 values, and which it is.

    The file is read where it lies: whoever imports scikit-learn imports scipy's statistics too,
    which takes a second. A release that keeps it elsewhere is asked by its own function.
    """
    package = importlib.util.find_spec("sklearn")  # It imports nothing.
    if package is not None and package.origin is not None:
        file = Path(package.origin).with_name("datasets") / DIGITS
        if file.exists():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    images, digit = load_digits(return_X_y=True)
    return np.column_stack([images, digit])


def held_out() -> Array:
    """The images that training never sees, float32 (360, 64)."""
    return split("digits").held_x


def split(data: Data) -> Split:
    """All examples, in two parts that are the same each time."""
    x, y = digits() if data == "digits" else _random()
    order = np.random.default_rng(SEED).permutation(len(x))
    learn, held = order[:-HELD_OUT], order[-HELD_OUT:]
    return Split(x[learn], y[learn], x[held], y[held])


def train(data: Data = "digits", watch: Watch = lambda epoch: None) -> dict[str, torch.Tensor]:
    """The learnt weights. The same bytes each time on one machine; `watch` is told each epoch.

    One thread and an own state of torch's random numbers, both put back afterwards.
    """
    import torch
    from torch import nn

    examples = split(data)
    x, y = torch.from_numpy(examples.x), torch.from_numpy(examples.y)
    held_x, held_y = torch.from_numpy(examples.held_x), torch.from_numpy(examples.held_y)
    with _repeatable():
        model = net()
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        criterion = nn.BCELoss()
        for number in range(1, EPOCHS + 1):
            total = 0.0
            for batch in _batches(len(x)):
                optimizer.zero_grad()
                loss = criterion(model(x[batch]), y[batch])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(batch)
            watch(Epoch(number, EPOCHS, total / len(x), _accuracy(model, held_x, held_y)))
    return model.state_dict()


def _batches(count: int) -> list[torch.Tensor]:
    """The places 0 to count - 1 in random order, in batches."""
    import torch

    order = torch.randperm(count)
    return [order[start : start + BATCH] for start in range(0, count, BATCH)]


def _accuracy(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[float, ...]:
    """The share of right answers for each label."""
    import torch

    with torch.no_grad():
        right = (model(x) > 0.5) == (y > 0.5)  # (360, 2)
    return tuple(float(share) for share in right.double().mean(0))


def _random() -> tuple[Array, Array]:
    """The tutorial's data: noise, from which nothing can be learnt."""
    draw = np.random.default_rng(SEED)
    count = 1797
    x = draw.random((count, FEATURES), dtype=np.float32)
    return x, draw.integers(0, 2, (count, len(LABELS))).astype(np.float32)


@contextmanager
def _repeatable() -> Iterator[None]:
    """Fixes all that a training depends on besides its data, and puts it back afterwards."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # The order of a sum, and with it its last bit, depends on the count.
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            yield
    finally:
        torch.set_num_threads(threads)
