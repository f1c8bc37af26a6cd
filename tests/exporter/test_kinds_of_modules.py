"""Modules of kinds that PyTorch treats apart are exported, or refused for what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ExportError
from toolkit.exporter.structure import CONSTANTS
from toolkit.pipelines.export import NotProven, export

pytestmark = [
    pytest.mark.export,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]

NET = """
import torch
import torch.nn.functional as F
from torch import nn

class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)
    def forward(self, x):
        return torch.relu(self.inner(x))

def normed():
    "Its weight is an attribute that is computed from two others."
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(8, 4)), nn.ReLU())

def traced():
    return torch.jit.trace(Layer().eval(), torch.randn(2, 8))

def scripted():
    return nn.Sequential(torch.jit.script(Layer()), nn.ReLU())

def quantised():
    return torch.ao.quantization.quantize_dynamic(Layer().eval(), {nn.Linear}, torch.qint8)

class Halves(nn.Module):
    "The mean of nothing is no number, and another one in ONNX Runtime."
    def forward(self, x):
        return x[:, : x.shape[1] // 2].mean(1)

class Cubic(nn.Module):
    def forward(self, x):
        size = [2 * x.shape[2], 3 * x.shape[3]]
        return F.interpolate(x, size=size, mode="bicubic", align_corners=True)

class Faint(nn.Module):
    "Its RMSNorm has the epsilon of float32, which counts beside small numbers."
    def __init__(self):
        super().__init__()
        self.norm = nn.RMSNorm(8)
    def forward(self, x):
        return self.norm(x * 1e-3)

class Windowed(nn.Module):
    "A window is a part of a longer text, and no limit of it."
    def __init__(self):
        super().__init__()
        self.window = 16
    def forward(self, x):
        return x * 2 if x.shape[1] > self.window else x

class Growing(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.arange(20.0))
    def forward(self, x):
        if x.shape[1] > self.table.shape[0]:
            self.table = torch.arange(float(x.shape[1]))
        return x + self.table[: x.shape[1], None]
"""
ROWS = "x:float32[batch,8]"
TEXT = "x:float32[batch,seq,8]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "given", "way"),
    [
        ("normed", ROWS, "dynamo"),
        ("Faint", ROWS, "dynamo"),
        ("traced", ROWS, "torchscript"),
        ("Cubic", "x:float32[batch,3,h=16,w=16]", "dynamo"),
    ],
)
def test_a_module_of_this_kind_is_proven(name: str, given: str, way: str) -> None:
    exported = export(f"net.py:{name}", input=[given])

    assert exported.proof.holds
    structure = exported.proof.steps[1]
    assert structure.outcome == "holds"
    assert structure.figure is not None
    assert structure.figure < CONSTANTS
    assert exported.way == way


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("scripted", "its part '0' is compiled by torch.jit, and torch traces no such part"),
        ("quantised", "it is quantised by torch.ao, whose packed weights have no ONNX form"),
    ],
)
def test_what_torch_does_not_trace_is_told(name: str, what: str) -> None:
    with pytest.raises(ExportError, match=what):
        export(f"net.py:{name}", input=[ROWS])


@pytest.mark.usefixtures("folder")
def test_a_least_size_at_which_a_file_is_wrong_is_told_with_the_range_to_paste() -> None:
    with pytest.raises(NotProven) as caught:
        export("net.py:Halves", input=[TEXT])

    cure = "--input 'x:float32[batch,seq=2..,8]'    leaves out seq 1"
    assert cure in caught.value.cures
    assert export("net.py:Halves", input=["x:float32[batch,seq=2..,8]"]).proof.holds


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "most"), [("Windowed", 16), ("Growing", 20)])
def test_what_a_module_takes_by_design_is_held_to_no_limit(name: str, most: int) -> None:
    with pytest.raises(NotProven, match=f"holds for seq ≤ {most} only") as caught:
        export(f"net.py:{name}", input=[TEXT])

    assert any(f"seq=1..{most}" in cure for cure in caught.value.cures)
