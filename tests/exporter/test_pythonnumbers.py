"""Python's own arithmetic on sizes stays in the graph, and is otherwise what it was."""

from __future__ import annotations

import builtins
import math
import statistics
from pathlib import Path

import pytest
import torch

from toolkit.exporter import pythonnumbers
from toolkit.pipelines.export import export

NET = """
import math
import statistics
from math import sqrt

import numpy as np
import torch
from torch import nn

class Square(nn.Module):
    "Behind a lock, as libraries of models have it, strict tracing reads no bytecode."
    def forward(self, x):
        from threading import Lock
        with Lock():
            side = int(x.shape[1] ** 0.5)
            return x.reshape(x.shape[0], side, side) * 2

class Cropped(nn.Module):
    "A difference of sizes, halved, is rounded down below zero too."
    def forward(self, x, y):
        lacking = x.shape[1] - y.shape[1]
        return x + nn.functional.pad(y, (lacking // 2, lacking - lacking // 2)) + -x.shape[1] // 3

class Arithmetic(nn.Module):
    def forward(self, x):
        batch, n = len(x), int(x.shape[1])
        whole, rest = divmod(n, 3)
        assert isinstance(n, int) or float(n) == n
        return (
            x / math.sqrt(n) + sqrt(batch) * math.log(n, 512),
            x[:, : int(0.5 * n)] * statistics.mean(x.shape),
            x.new_zeros(batch, whole + rest + round(n * 0.3)) + float(np.prod(x.shape)),
            x / np.sqrt(n) + np.log(n) + np.power(n, 2) + x[:, : int(np.sqrt(n))].sum(),
            x[:, : int(np.ceil(n / 2))] * np.floor(n / 3) + np.log10(n) * np.log2(n),
            x * math.log10(n) + math.pow(n, 0.25) + math.fsum(x.shape) + math.isqrt(n),
        )
"""


@pytest.mark.export
@pytest.mark.parametrize(
    ("source", "given", "sizes"),
    [
        ("Square", "x:float32[batch,n=16]", {1, 16, 64}),
        ("Cropped", "x:float32[batch,n=16] y:float32[batch,other=13]", {1, 7, 16, 37}),
        ("Arithmetic", "x:float32[batch,n=16]", {1, 7, 16, 37}),
    ],
)
def test_a_size_that_python_computes_with_stays_free(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    given: str,
    sizes: set[int],
) -> None:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    before = (builtins.divmod, math.sqrt, statistics.mean, torch.SymInt.__int__)

    exported = export(f"net.py:{source}", input=given.split())

    assert exported.way == "dynamo"
    assert exported.proof.holds
    assert {dims["n"] for dims in exported.proof.right()} >= sizes
    assert before == (builtins.divmod, math.sqrt, statistics.mean, torch.SymInt.__int__)


def test_what_stands_for_a_type_is_that_type_to_whoever_asks() -> None:
    whole, real = (new for _, new in pythonnumbers._replaced()[:2])

    assert (whole("7"), whole(2.5), whole("ff", 16), real("0.5")) == (7, 2, 255, 0.5)
    assert isinstance(3, whole)
    assert not isinstance(3, real)
    assert issubclass(bool, whole)
    assert int == whole  # noqa: E721 - it is what a module may ask.
    assert {int: "found"}[whole] == "found"
    length = pythonnumbers._replaced()[2][1]
    assert (length([1, 2]), length(torch.zeros(3, 2))) == (2, 3)
    with pytest.raises(TypeError, match="0-d"):
        length(torch.zeros(()))


def test_functions_of_plain_numbers_are_as_before() -> None:
    with pythonnumbers._patched():
        assert math.sqrt(2) == 2**0.5
        assert math.log(8, 2) == 3
        assert statistics.mean([1, 2]) == 1.5
        assert divmod(7, 3) == (2, 1)


def test_what_fails_without_a_size_is_raised_once() -> None:
    calls = []

    def fails() -> None:
        calls.append(1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        pythonnumbers.kept(fails)
    assert calls == [1]
