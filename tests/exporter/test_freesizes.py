"""Functions of plain integers hold at free sizes, and are otherwise what they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Distribution, Normal

from toolkit.exporter import freesizes
from toolkit.pipelines.export import export

NET = """
import torch
import torch.nn.functional as F
from torch import nn

class Coordinates(nn.Module):
    "A grid of coordinates over the picture."
    def forward(self, x):
        height, width = x.shape[-2:]
        rows, columns = torch.linspace(-1, 1, height), torch.linspace(0, 3, steps=width)
        return x * rows[:, None] + columns

class Turned(nn.Module):
    "A spatial transformer (Jaderberg et al. 2015)."
    def __init__(self, corners=False):
        super().__init__()
        self.turn, self.corners = nn.Linear(3, 6), corners
    def forward(self, x):
        theta = self.turn(x.mean((2, 3))).view(-1, 2, 3) * 0.1 + torch.eye(2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=self.corners)
        return F.grid_sample(x, grid, align_corners=self.corners)

class Volume(nn.Module):
    def __init__(self):
        super().__init__()
        self.turn = nn.Linear(2, 12)
    def forward(self, x):
        theta = self.turn(x.mean((2, 3, 4))).view(-1, 3, 4)
        return F.affine_grid(theta, x.shape, align_corners=False)

class Rolled(nn.Module):
    def forward(self, x):
        n = x.shape[1]
        return (
            x.roll(n // 2, 1), torch.roll(x, (n // 3, -1), (1, -1)), torch.roll(x, n),
            torch.fft.fftshift(x, dim=1), torch.fft.ifftshift(x), torch.arange(30) % n, x % n,
        )

class Likelihood(nn.Module):
    def forward(self, x):
        return torch.distributions.Normal(x, 1.0).log_prob(torch.zeros(4))
"""


@pytest.mark.export
@pytest.mark.filterwarnings("ignore:Since version 1.3.0:UserWarning")
@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("Coordinates", "x:float32[batch,3,height=8,width=10]"),
        ("Turned", "x:float32[batch,3,height=8,width=10]"),
        ("Turned(corners=True)", "x:float32[batch,3,height=8,width=10]"),
        ("Volume", "x:float32[batch,2,depth=4,height=6,width=5]"),
        ("Rolled", "x:float32[batch,seq,6]"),
        ("Likelihood", "x:float32[batch,4]"),
    ],
)
def test_a_free_size_stays_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, given: str
) -> None:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)

    exported = export(f"net.py:{source}", input=[given])

    assert exported.way == "dynamo"
    assert exported.proof.holds
    for name in exported.traced:
        assert {dims[name] for dims in exported.proof.right()} > {1, exported.traced[name]}


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 101])
@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (-1.0, 1.0), (3.0, -2.5)])
def test_what_is_written_is_what_linspace_computes(steps: int, start: float, end: float) -> None:
    written = freesizes._linspace(start, end, steps, dtype=torch.float64)

    assert torch.allclose(
        written, torch.linspace(start, end, steps, dtype=torch.float64), rtol=1e-15, atol=1e-15
    )


@pytest.mark.filterwarnings("ignore:Since version 1.3.0:UserWarning")
@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 2, 1, 7), (2, 1, 3, 2, 4)])
def test_what_is_written_is_what_affine_grid_computes(size: tuple[int, ...], corners: bool) -> None:
    torch.manual_seed(0)
    axes = len(size) - 2
    theta = torch.randn(size[0], axes, axes + 1, dtype=torch.float64)

    written = freesizes._affine_grid(theta, size, align_corners=corners)

    right = F.affine_grid(theta, list(size), align_corners=corners)
    assert written.shape == right.shape
    assert torch.allclose(written, right, rtol=1e-14, atol=1e-14)


def test_calls_with_plain_sizes_and_what_is_checked_later_are_as_before() -> None:
    with freesizes.traced():
        assert torch.equal(torch.linspace(0, 1, 5), torch.tensor([0, 0.25, 0.5, 0.75, 1]))
        Normal(torch.tensor([float("nan")]), 1.0)
    assert Distribution._validate_args is True
