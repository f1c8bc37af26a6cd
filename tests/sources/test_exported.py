"""A module's own conditions on its sizes show in the signature, and are kept on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from toolkit.errors import ExportError
from toolkit.sources import exported
from toolkit.tensors import TensorSpec

X = (TensorSpec("x", "float32", ("batch", "seq", 4)),)


class Whole(nn.Module):
    """Takes every batch and every length."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x).mean(1)


class Long(nn.Module):
    """One function below 13, another one from there on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(1) if x.shape[1] > 12 else x.mean(1)


class Sixteen(nn.Module):
    """Takes a length of 16 only."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.ones(16, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.offset


class Chatty(nn.Module):
    """Looks at a value, which torch.export does not have."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if bool(x.sum() > 0) else -x


class Two(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor, *, scale: torch.Tensor) -> Any:
        return left * scale, right.sum(1)


def signature_of(module: nn.Module, *shape: int, most: int | None = None) -> exported.Signature:
    return exported.export(module, X, {"x": torch.ones(shape)}, lambda size: most)[1]


@pytest.mark.parametrize(
    ("module", "shape", "ranges"),
    [
        (Whole(), (2, 16, 4), ((1, None), (1, None), (4, 4))),
        (Whole(), (3, 3, 4), ((1, None), (1, None), (4, 4))),
        (Long(), (2, 16, 4), ((1, None), (13, None), (4, 4))),
        (Long(), (2, 5, 4), ((1, None), (1, 12), (4, 4))),
        (Sixteen(), (2, 16, 4), ((1, None), (16, 16), (4, 4))),
    ],
    ids=["all", "equal sizes", "from 13 on", "up to 12", "fixed"],
)
def test_what_the_module_does_with_its_sizes_shows_in_the_ranges(
    module: nn.Module, shape: tuple[int, ...], ranges: object
) -> None:
    assert signature_of(module, *shape).ranges == {"x": ranges}


def test_the_largest_size_that_is_wanted_is_the_end() -> None:
    assert signature_of(Whole(), 2, 16, 4, most=64).ranges["x"][:2] == ((1, 64), (1, 64))


@pytest.mark.parametrize(
    ("shape", "refusal"),
    [
        ((5, 13, 4), ""),
        ((1, 999, 4), ""),
        ((5, 12, 4), "dimension 1 of 'x' may be 13 to any size, the feed has 12"),
    ],
    ids=["least", "batch 1", "below"],
)
def test_a_size_outside_is_refused_in_words(shape: tuple[int, ...], refusal: str) -> None:
    assert signature_of(Long(), 2, 16, 4).refusal({"x": np.zeros(shape, np.float32)}) == refusal


def test_a_fixed_size_is_refused_in_words() -> None:
    feed = {"x": np.zeros((2, 7, 4), np.float32)}

    assert signature_of(Sixteen(), 2, 16, 4).refusal(feed) == (
        "dimension 1 of 'x' may be 16, the feed has 7"
    )


def test_only_dynamic_dimensions_of_1_are_doubled() -> None:
    specs = (TensorSpec("x", "float32", ("batch", 1, "seq")), TensorSpec("n", "int64", ()))
    feed = {"x": np.arange(3, dtype=np.float32).reshape(1, 1, 3), "n": np.array(4)}

    wide = exported.widened(specs, feed)

    np.testing.assert_array_equal(wide["x"], [[[0, 1, 2]], [[0, 1, 2]]])
    assert wide["n"].shape == ()


def test_what_is_given_by_place_and_by_name_is_kept_on_disk(tmp_path: Path) -> None:
    specs = tuple(TensorSpec(n, "float32", ("rows", 2)) for n in ("scale", "left", "right"))
    tensors = {spec.name: torch.ones(3, 2) for spec in specs}
    _, signature = exported.export(Two(), specs, tensors, lambda size: 9)

    signature.write(tmp_path / "signature.json")

    assert exported.read(tmp_path / "signature.json") == signature
    assert (signature.positional, signature.named) == (("left", "right"), ("scale",))
    assert signature.order == ("left", "right", "scale")
    assert signature.ranges["scale"] == ((1, 9), (2, 2))


def test_a_module_that_looks_at_values_is_refused_in_one_line() -> None:
    with pytest.raises(ExportError) as caught:
        signature_of(Chatty(), 2, 16, 4)

    assert caught.value.what.startswith("torch.export refuses the module: ")
    assert "\n" not in caught.value.what
