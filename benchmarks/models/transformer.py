"""Builds a small transformer encoder over token ids, with seeded random weights.

    toolkit export benchmarks/models/transformer.py:build --input 'ids:int64[batch,seq=16]' \\
        -o transformer.onnx
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SEED = 20261125
VOCABULARY, LONGEST, WIDTH, HEADS, LAYERS, CLASSES = 1000, 256, 64, 4, 2, 5


class Block(nn.Module):
    """Attention and a feed-forward part, each behind a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.forward_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.mix = nn.Linear(WIDTH, WIDTH)
        self.widen, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(self.attention_norm(x))
        inner: Tensor = self.narrow(nn.functional.gelu(self.widen(self.forward_norm(x))))
        return x + inner

    def attend(self, x: Tensor) -> Tensor:
        batch, seq, _ = x.shape
        query, key, value = (
            layer(x).reshape(batch, seq, HEADS, WIDTH // HEADS).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )  # (batch, heads, seq, width / heads)
        scores = query @ key.transpose(2, 3) / math.sqrt(WIDTH // HEADS)
        mixed = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2)
        result: Tensor = self.mix(mixed.reshape(batch, seq, WIDTH))
        return result


class Encoder(nn.Module):
    """181,000 weights."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.places = nn.Parameter(torch.randn(LONGEST, WIDTH) * 0.1)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.score = nn.Linear(WIDTH, CLASSES)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.places[: ids.shape[1]]  # (batch, seq, width)
        x = self.norm(self.blocks(x))
        logits: Tensor = self.score(x.mean(dim=1))  # (batch, classes)
        return logits


def build() -> nn.Module:
    """The encoder, in eval mode."""
    torch.manual_seed(SEED)
    return Encoder().eval()
