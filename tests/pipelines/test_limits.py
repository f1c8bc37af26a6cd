"""A limit that a module itself states is a range of its file, and no fault."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from toolkit.cli.export import record
from toolkit.engine.assignment import FeedRequest
from toolkit.errors import InputError
from toolkit.exporter.quiet import Chatter, quiet
from toolkit.pipelines.check import check
from toolkit.pipelines.export import NotProven, export
from toolkit.pipelines.request import BenchRequest
from toolkit.runtimes.target import Target
from toolkit.sources import factory, source

pytestmark = pytest.mark.export

NET = """
import torch
from torch import nn

class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.knob = 40
        self.word = nn.Embedding(50, 8)
        self.pos = nn.Embedding(96, 8)

class Truncating(Positions):
    def forward(self, ids):
        if ids.shape[1] > self.pos.num_embeddings:
            ids = ids[:, : self.pos.num_embeddings]
        return self.word(ids) + self.pos.weight[: ids.shape[1]]

class Short(Truncating):
    def __init__(self):
        super().__init__()
        self.pos = nn.Embedding(20, 8)

class Doubling(Positions):
    "Its graph runs beyond the limit, too."
    def __init__(self):
        super().__init__()
        self.max_len = 20
    def forward(self, ids):
        return self.word(ids) if ids.shape[1] > self.max_len else self.word(ids) * 2

class Odd(Positions):
    def forward(self, ids):
        return self.word(ids) if ids.shape[1] > 20 else self.word(ids) * 2

class Averaging(Positions):
    "torch has no range for it, but a guard: seq = Min(96, seq)."
    def forward(self, ids):
        table = self.pos.weight[: ids.shape[1]]
        if table.shape[0] != ids.shape[1]:
            table = table.mean(0, keepdim=True)
        return self.word(ids) + table

class Refusing(Positions):
    def forward(self, ids):
        return self.word(ids) + self.pos.weight[: ids.shape[1]]

class Turning(Truncating):
    "Another function at one size below its limit, too."
    def forward(self, ids):
        return super().forward(ids) * (-1 if ids.shape[1] == 5 else 1)

class ByNumber(Positions):
    "Has a table of as many rows, and a branch of its own."
    def forward(self, ids):
        return self.word(ids) if ids.shape[1] > 96 else self.word(ids) * 2

class ByKnob(Positions):
    def forward(self, ids):
        return self.word(ids) if ids.shape[1] > self.knob else self.word(ids) * 2

class TwoSides(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.rows = nn.Parameter(torch.randn(24, 1))
        self.max_columns = 40
    def forward(self, x):
        h, w = x.shape[1], x.shape[2]
        x = x * (self.rows[:h] if h <= self.rows.shape[0] else 1)
        return x if w <= self.max_columns else -x

def xglm():
    "Makes its table of positions anew for longer texts."
    import transformers
    torch.manual_seed(0)
    config = transformers.XGLMConfig(
        vocab_size=99, d_model=16, num_layers=1, attention_heads=2, ffn_dim=32,
        max_position_embeddings=96, use_cache=False,
    )
    return transformers.XGLMModel(config).eval()
"""
IDS = "ids:int64[batch,seq]"
HELD = "seq is held to 1..96: beyond it the file is not the module (pos has 96 rows)"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["Truncating", "Averaging"])
def test_a_file_is_held_to_the_limit_of_the_modules_table_and_says_so(
    folder: Path, name: str
) -> None:
    exported = export(f"net.py:{name}", input=[IDS])

    assert exported.proof.holds
    assert exported.notes == (HELD,)
    assert exported.proof.steps[1].what.endswith("and seq 1, 3, 7, 96")
    assert record(exported, written=True)["notes"] == [HELD]


def test_each_side_is_held_to_its_own_limit(folder: Path) -> None:
    exported = export("net.py:TwoSides", input=["x:float32[batch,height,width]"])

    assert exported.proof.holds
    assert exported.notes == (
        "height is held to 1..24: beyond it the file is not the module"
        " (rows has the shape [24, 1])",
        "width is held to 1..40: beyond it the file is not the module (TwoSides.max_columns = 40)",
    )


def test_a_least_size_that_was_stated_is_kept(folder: Path) -> None:
    exported = export("net.py:Truncating", input=["ids:int64[batch,seq=4..]"])

    assert exported.notes == (HELD.replace("1..96", "4..96"),)


def test_a_model_that_grows_its_table_is_held_to_its_config(folder: Path) -> None:
    exported = export("net.py:xglm", input=["input_ids:int64[batch,seq]"])

    assert exported.proof.holds
    assert exported.notes == (
        "seq is held to 1..96: beyond it the file is not the module"
        " (XGLMConfig.max_position_embeddings = 96)",
    )


def test_an_end_that_was_stated_is_not_moved_and_the_range_is_there_to_paste(
    folder: Path,
) -> None:
    with pytest.raises(NotProven) as caught:
        export("net.py:Truncating", input=["ids:int64[batch,seq=1..512]"])

    first, line, *rest = caught.value.cures
    assert first == (
        "--input 'ids:int64[batch,seq=1..96]'"
        "    the limit that the module itself states: pos has 96 rows"
    )
    assert line.endswith("   if ids.shape[1] > self.pos.num_embeddings:")
    assert rest == ["No file was written."]
    assert not list(folder.glob("*.onnx"))


def test_a_file_that_is_wrong_below_the_limit_is_refused(folder: Path) -> None:
    with pytest.raises(NotProven, match="wrong at 5") as caught:
        export("net.py:Turning", input=[IDS])

    assert "torch.cond" in caught.value.cures[1]
    assert not list(folder.glob("*.onnx"))


@pytest.mark.parametrize(("name", "most"), [("ByNumber", 96), ("ByKnob", 40)])
def test_a_branch_of_the_codes_own_is_refused_with_its_line_and_a_range(
    folder: Path, name: str, most: int
) -> None:
    with pytest.raises(NotProven, match=f"holds for seq ≤ {most} only") as caught:
        export(f"net.py:{name}", input=[IDS])

    line, cure, _ = caught.value.cures
    assert "ids.shape[1] > " in line
    assert cure == (
        f"Write the branch with torch.cond, or state a range: 'ids:int64[batch,seq=1..{most}]'"
    )


def test_a_module_that_refuses_what_is_beyond_its_table_has_nothing_to_tell(folder: Path) -> None:
    assert export("net.py:Refusing", input=[IDS]).notes == ()


def bare(folder: Path, name: str) -> Path:
    """A file of torch's own exporter, which says nothing of a range."""
    module = factory.build(source.parse(f"net.py:{name}"))
    file = folder / "bare.onnx"
    with quiet(Chatter()):
        torch.onnx.export(
            module,
            (torch.ones(2, 5, dtype=torch.int64),),
            str(file),
            dynamo=True,
            verbose=False,
            input_names=["ids"],
            output_names=["y"],
            dynamic_shapes=({0: torch.export.Dim("batch"), 1: torch.export.Dim("seq")},),
        )
    return file


def of(name: str, **dims: tuple[int, ...]) -> BenchRequest:
    return BenchRequest(
        [Target("onnxruntime", "cpu")],
        wanted=FeedRequest(dims=dims),
        source=source.parse(f"net.py:{name}"),
    )


@pytest.mark.parametrize(
    ("name", "origin"),
    [("Short", "pos has 20 rows"), ("Doubling", "Doubling.max_len = 20")],
    ids=["does not run beyond", "is wrong beyond"],
)
def test_a_file_of_torchs_own_is_checked_up_to_the_limit_of_its_source(
    folder: Path, name: str, origin: str
) -> None:
    finished = check(bare(folder, name), of(name))

    assert finished.notes == (
        f"seq is held to 1..20: beyond it the file is not the module ({origin})",
    )
    (target,) = finished.run.records
    assert target.verdict is not None
    assert target.verdict.answer != "wrong"


def test_a_size_beyond_the_limit_that_is_asked_for_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="the file is not the function of net"):
        check(bare(folder, "Doubling"), of("Doubling", seq=(24,)))


def test_a_source_that_states_no_limit_has_none(folder: Path) -> None:
    with pytest.raises(InputError, match="the file is not the function of net"):
        check(bare(folder, "Odd"), of("Odd"))
