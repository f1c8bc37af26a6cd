"""A dimension that cannot stay dynamic is fixed where the user allows it, and never without."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ExportError, ProofError
from toolkit.pipelines.export import export

pytestmark = pytest.mark.export

NET = """
import torch
from torch import nn

class Unrolled(nn.Module):
    "Every way of torch's writes the loop as often as it is run while traced."
    def forward(self, x):
        return sum(x[:, at] * (at + 1) for at in range(x.shape[1]))

class Refusing(nn.Module):
    "Plain tracing fails at a dynamic width, and its error names no dimension."
    def forward(self, x):
        if not isinstance(x.shape[1], int):
            raise RuntimeError("not so")
        return x * 2

class Never(nn.Module):
    "torch traces it at no size."
    def forward(self, x):
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            raise RuntimeError("not so")
        return x * 2
"""
INPUT = ["x:float32[batch,width=4,3]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_dimension_at_fault_is_fixed_and_told(folder: Path) -> None:
    with pytest.raises(ProofError, match="width = 4 only"):
        export("net.py:Unrolled", input=INPUT)
    exported = export("net.py:Unrolled", input=INPUT, allow_fixed=True)

    assert exported.proof.holds
    assert exported.facts.inputs[0].shape == ("batch", 4, 3)
    (note,) = exported.notes
    assert note.startswith("width is fixed at 4, its traced size, since the exported graph holds")


def test_where_no_dimension_is_named_each_is_tried(folder: Path) -> None:
    exported = export("net.py:Refusing", input=INPUT, exporter="dynamo", allow_fixed=True)

    assert exported.facts.inputs[0].shape == ("batch", 4, 3)
    assert exported.notes == (
        "width is fixed at 4, its traced size, since torch cannot export this module:"
        " RuntimeError: not so",
    )


def test_what_no_fixed_size_helps_is_refused_as_before(folder: Path) -> None:
    with pytest.raises(ExportError, match="RuntimeError: not so") as caught:
        export("net.py:Never", input=INPUT, allow_fixed=True)

    assert caught.value.cures[-1] == "Tried too, in vain: a fixed size of width or batch"
    assert not list(folder.glob("*.onnx"))
