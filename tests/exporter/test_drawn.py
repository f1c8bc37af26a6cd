"""Values are drawn that a module takes and that show something, whatever its inputs are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.pipelines.export import export

pytestmark = [pytest.mark.export, pytest.mark.process]

MODELS = "tests.exporter.drawnmodels"
CASES = {
    "Bags": ["ids:int64[n=12]", "offsets:int64[bags=3]"],
    "Table": ["ids:int64[batch,seq]"],
    "Pairs": ["pairs:int64[batch,2]"],
    "Edges": ["x:float32[nodes,64]", "edges:int64[2,edges]"],
    "Labels": ["x:float32[n,64]", "graph:int64[n]"],
    "GatherAt": ["x:float32[batch,seq]", "at:int64[batch,k]"],
    "Grid": ["x:float32[h,w,64]", "row:int64[k]", "column:int64[k]"],
    "Lengths": ["x:float32[batch,seq,64]", "lengths:int64[batch]"],
    "Head": ["x:float32[rows,64]", "n:int64[]"],
    "Narrowed": ["x:float32[batch,seq,64]", "start:int64[]"],
    "Times": ["times:float32[batch,seq]"],
    "Boxes": ["boxes:float32[n,4]"],
    "Resized": ["x:float32[batch,3,h,w]", "size:int64[2]"],
    "Logit": ["p:float32[batch,64]"],
    "Roots": ["x:float32[batch,64]"],
    "Divided": ["x:float32[batch,64]", "n:int64[batch]"],
    "Padded": ["x:float32[batch,seq,8]", "padding:bool[batch,seq]"],
    "Steps": ["x:float32[batch,64]", "t:int64[batch]"],
    "Past": ["x:float32[batch,seq,8]", "past:int64[]"],
    "Probabilities": ["p:float32[batch,64]"],
    "Strict": ["x:float32[batch,64]", "ids:int64[batch]"],
}


@pytest.mark.parametrize("name", CASES)
def test_a_module_is_proven_with_values_that_it_has_numbers_for(name: str, tmp_path: Path) -> None:
    done = export(f"{MODELS}:{name}", tmp_path / "net.onnx", input=CASES[name])

    assert done.proof.holds
    for expected in done.proof.expected[:8]:
        finite = {key: np.isfinite(each).any() for key, each in expected.outputs.items()}
        # At one place the only score of a row may be padding.
        assert all(finite.values()) or 1 in expected.feed.dims.values()
