"""A module's own limit is found by what it says of itself, and nothing else passes for one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from toolkit.exporter import ownlimits
from toolkit.exporter.ownlimits import OwnLimit
from toolkit.sources.inputs import Dimension
from toolkit.sources.lines import Line

pytestmark = pytest.mark.export


@dataclass
class TextConfig:
    max_position_embeddings: int = 96
    num_layers: int = 12


@dataclass
class TowersConfig:
    text_config: TextConfig = field(default_factory=TextConfig)


class Net(nn.Module):
    """Has a limit of each kind, and numbers that are none."""

    def __init__(self) -> None:
        super().__init__()
        self.config = TowersConfig()
        self.n_ctx = 48
        self.hidden_size = 80
        self.window_size = 44
        self.block = 42
        self.rel = nn.Embedding(63, 8)
        self.words = nn.Embedding(50, 8)
        self.dense = nn.Linear(20, 28)
        self.register_buffer("causal", torch.ones(1, 1, 36, 36))


@pytest.mark.parametrize(
    ("most", "origin"),
    [
        (96, "TextConfig.max_position_embeddings = 96"),
        (48, "Net.n_ctx = 48"),
        (47, "Net.n_ctx = 48"),
        (63, "rel has 63 rows"),
        (32, "rel has 63 rows"),
        (36, "causal has the shape [1, 1, 36, 36]"),
        (384, "TextConfig.max_position_embeddings = 96, of 4 steps each"),
    ],
    ids=["config", "attribute", "one less", "table", "both ways", "buffer", "with a stride"],
)
def test_a_limit_is_told_with_the_place_that_states_it(most: int, origin: str) -> None:
    assert ownlimits.origin(Net(), most, None) == origin


@pytest.mark.parametrize(
    "most",
    [12, 80, 20, 28, 25, 35, 44, 42, 160, 288],
    ids=[
        *("layers", "width", "into", "out of", "half of the words", "one less than a buffer"),
        *("window", "block", "twice the width", "three times a length"),
    ],
)
def test_a_number_that_speaks_of_no_length_is_no_limit(most: int) -> None:
    assert ownlimits.origin(Net(), most, None) == ""


@pytest.mark.parametrize(
    ("text", "is_limit"),
    [
        ("if x.shape[1] > 96:", False),
        ("if x.shape[1] >= 97:", False),
        ("if x.shape[1] > self.table96.shape[0]:", True),
        ("if x.shape[1] > 1.96:", True),
    ],
    ids=["literal", "one more", "name", "fraction"],
)
def test_a_number_in_the_line_that_chooses_is_a_branch(text: str, is_limit: bool) -> None:
    assert bool(ownlimits.origin(Net(), 96, Line("net.py", 1, text))) == is_limit


def test_a_buffer_that_forward_makes_anew_is_no_limit() -> None:
    assert ownlimits.origin(Net(), 36, None, {"causal"}) == ""


def test_a_limit_that_was_taken_is_one_line() -> None:
    limit = OwnLimit(Dimension("seq", None, 4, 96), "pos has 96 rows")

    assert limit.end == {"seq": 96}
    assert limit.told == (
        "seq is held to 4..96: beyond it the file is not the module (pos has 96 rows)"
    )
