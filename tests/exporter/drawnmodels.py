"""Modules that take some values only: ids, offsets, edges, masks, times, sizes, probabilities."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

WIDE = 64
"""Features of an output: few feeds are then enough for a verdict."""

_check: Any = torch._check  # torch has no types for it.


def _refuse(wrong: Any, why: str) -> None:
    """Raises ValueError as a module's own check does, which torch does not trace."""
    if not torch.compiler.is_compiling() and bool(wrong):
        raise ValueError(why)


class Bags(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(50, WIDE, mode="mean")

    def forward(self, ids: Any, offsets: Any) -> Any:
        return self.table(ids, offsets)


class Table(nn.Module):
    """Ids from 10 on, as those behind the special ones."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, WIDE)

    def forward(self, ids: Any) -> Any:
        return self.table(ids - 10).tanh()


class Pairs(nn.Module):
    """Two columns, each of a table of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.things = nn.Embedding(50, WIDE), nn.Embedding(5, WIDE)

    def forward(self, pairs: Any) -> Any:
        return self.users(pairs[:, 0]) * self.things(pairs[:, 1])


class Edges(nn.Module):
    def forward(self, x: Any, edges: Any) -> Any:
        source, target = edges
        return torch.zeros_like(x).index_add(0, target, x[source].sin())


class Labels(nn.Module):
    def forward(self, x: Any, graph: Any) -> Any:
        return x[:, None] * functional.one_hot(graph, 4).float()[..., None]


class GatherAt(nn.Module):
    def forward(self, x: Any, at: Any) -> Any:
        return x.gather(1, at).sin()


class Grid(nn.Module):
    def forward(self, x: Any, row: Any, column: Any) -> Any:
        return x[row, column].sin()


class Lengths(nn.Module):
    def forward(self, x: Any, lengths: Any) -> Any:
        kept = torch.arange(x.shape[1])[None] < lengths[:, None]
        return (x * kept[..., None]).sum(1) / lengths[:, None]


class Head(nn.Module):
    def forward(self, x: Any, n: Any) -> Any:
        count = n.item()
        _check(count >= 1)
        _check(count <= x.shape[0])
        return x[:count].sin()


class Narrowed(nn.Module):
    def forward(self, x: Any, start: Any) -> Any:
        first = start.item()
        _check(first >= 0)
        _check(first + 2 <= x.shape[1])
        return x.narrow(1, first, 2).sin()


class Times(nn.Module):
    def forward(self, times: Any) -> Any:
        _refuse((times[:, 1:] < times[:, :-1]).any(), "times must be sorted")
        return times[..., None] * torch.ones(WIDE)


class Boxes(nn.Module):
    def forward(self, boxes: Any) -> Any:
        _refuse((boxes[:, 2:] < boxes[:, :2]).any(), "a box ends before it begins")
        return torch.log(boxes[:, 2:] - boxes[:, :2]).repeat(1, WIDE)


class Resized(nn.Module):
    def forward(self, x: Any, size: Any) -> Any:
        height, width = size.tolist()
        for side in (height, width):
            _check(side >= 1)
            _check(side <= 64)
        return functional.interpolate(x, size=(height, width)).tanh()


class Logit(nn.Module):
    def forward(self, p: Any) -> Any:
        return torch.log(p) - torch.log(1 - p)


class Roots(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.sqrt() + torch.acos(x)


class Divided(nn.Module):
    def forward(self, x: Any, n: Any) -> Any:
        return x / n[:, None]


class Padded(nn.Module):
    """A mask whose ones are padding."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Any, padding: Any) -> Any:
        return self.layer(x, x, x, key_padding_mask=padding, need_weights=False)[0]


class Steps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("alphas", torch.linspace(0.99, 0.01, 100))

    def forward(self, x: Any, t: Any) -> Any:
        alphas: Any = self.alphas
        return x * alphas[t].sqrt()[:, None]


class Past(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Embedding(64, 8)

    def forward(self, x: Any, past: Any) -> Any:
        return x + self.positions(torch.arange(x.shape[1]) + past)


class Strict(nn.Module):
    """Its graph does not tell which ids it takes."""

    def forward(self, x: Any, ids: Any) -> Any:
        _refuse((ids.min() < 3) | (ids.max() > 6), "ids are 3 to 6")
        return x * ids[:, None]


class Probabilities(nn.Module):
    """Its graph does not tell that it takes no negative numbers."""

    def forward(self, p: Any) -> Any:
        _refuse(((p < 0) | (p > 1)).any(), "no probabilities")
        return p.sin()
