"""Models of real size go the whole way: exported, proven, and judged on ONNX Runtime.

One of 10 million weights in every run, one of 100 million among the slow tests. Their seeded
weights stand for trained ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from tests.command import run

ENCODER = dedent("""
    import torch
    from torch import nn


    class Layer(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads = heads
            self.norm, self.bundle = nn.LayerNorm(width), nn.Linear(width, 3 * width)
            self.mix = nn.Linear(width, width)
            self.wide = nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(),
                nn.Linear(4 * width, width),
            )

        def forward(self, x):
            parts = self.bundle(self.norm(x)).unflatten(-1, (3, self.heads, -1))
            query, key, value = parts.permute(2, 0, 3, 1, 4).unbind()
            mixed = nn.functional.scaled_dot_product_attention(query, key, value)
            x = x + self.mix(mixed.transpose(1, 2).flatten(2))
            return x + self.wide(x)


    class Encoder(nn.Module):
        def __init__(self, words, width, depth):
            super().__init__()
            self.words = nn.Embedding(words, width)
            self.layers = nn.Sequential(*(Layer(width, 8) for _ in range(depth)))
            self.head = nn.Linear(width, 50)

        def forward(self, ids):
            return self.head(self.layers(self.words(ids)))


    def ten():
        torch.manual_seed(7)
        return Encoder(10_000, 320, 6)


    def hundred():
        torch.manual_seed(8)
        return Encoder(30_000, 768, 11)
    """)


def go_the_whole_way(folder: Path, factory: str) -> tuple[int, str]:
    """Exports and checks; returns the number of weights, and the verdict on onnxruntime."""
    (folder / "net.py").write_text(ENCODER)
    stated = ("--input", "ids:int64[batch,seq=12]")
    exported = run("export", f"net.py:{factory}", *stated, "-o", "m.onnx", cwd=folder)
    assert exported.code == 0, exported.err
    assert "same function" in exported.out
    checked = run("check", "m.onnx", "--target", "onnxruntime", "--json", cwd=folder)
    assert checked.code == 0, checked.err
    record = json.loads(checked.out)
    return record["plan"]["model"]["parameters"], record["records"][0]["verdict"]["text"]


@pytest.mark.process
@pytest.mark.export
def test_a_model_of_10_million_weights(tmp_path: Path) -> None:
    weights, verdict = go_the_whole_way(tmp_path, "ten")
    assert weights > 10_000_000
    assert verdict == "float32"


@pytest.mark.slow
def test_a_model_of_100_million_weights(tmp_path: Path) -> None:
    weights, verdict = go_the_whole_way(tmp_path, "hundred")
    assert weights > 100_000_000
    assert verdict == "float32"
