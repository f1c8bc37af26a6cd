"""A file that is its module at multiples of a number alone is held to them and judged there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from toolkit.engine.assignment import FeedRequest
from toolkit.errors import InputError
from toolkit.exporter.quiet import Chatter, quiet
from toolkit.onnxfiles import modelfile
from toolkit.pipelines.check import check
from toolkit.pipelines.export import NotProven, export
from toolkit.pipelines.request import BenchRequest
from toolkit.runtimes.target import Target
from toolkit.sources import factory, source
from toolkit.sources.inputs import Dimension

pytestmark = pytest.mark.export

NET = """
import torch
from torch import nn

class Patches(nn.Module):
    "Takes whole patches of 4 alone."
    def forward(self, x):
        b, h, w = x.shape
        cells = x.reshape(b, h // 4, 4, w // 4, 4).permute(0, 1, 3, 2, 4)
        return cells.reshape(b, (h // 4) * (w // 4), 16).relu()

class Choosing(nn.Module):
    "Two ways, of which a trace sees one."
    def forward(self, x):
        return x * 2 if x.shape[1] % 4 == 0 else x + 1

class FromOneOn(nn.Module):
    "Holds at multiples of 8 from 16 on, and no condition alone says so."
    def forward(self, x):
        return x * 2 if x.shape[1] % 8 == 0 and x.shape[1] > 15 else x + 1

class Longer(nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[1] > 20 else x + 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of(name: str | None = None, **dims: tuple[int, ...]) -> BenchRequest:
    return BenchRequest(
        [Target("onnxruntime", "cpu")],
        wanted=FeedRequest(dims=dims),
        source=None if name is None else source.parse(f"net.py:{name}"),
    )


@pytest.mark.parametrize("traced", ["", "=4"])
def test_a_multiple_that_is_stated_is_what_the_file_is_proven_and_judged_at(
    folder: Path, traced: str
) -> None:
    exported = export("net.py:Patches", input=[f"x:float32[batch,h=4*k{traced},w=4*k]"])

    assert exported.proof.holds
    looked = {size for each in exported.proof.compared for size in (each.dims["h"], each.dims["w"])}
    assert len(looked) > 2
    assert all(size % 4 == 0 for size in looked)
    assert exported.facts.inputs[0].shape == ("batch", "h", "w")
    assert "_h" not in str(exported.facts.outputs[0].shape)
    assert exported.facts.metadata[modelfile.SIZES] == "h=4*k, w=4*k"

    finished = check(exported.path, of())

    assert finished.notes == ()
    assert finished.run.records[0].verdict.answer != "wrong"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "range_"), [("Choosing", "4*k"), ("FromOneOn", "8*k=16..")], ids=str
)
def test_a_multiple_that_nobody_stated_is_there_to_paste_and_works(
    folder: Path, name: str, range_: str
) -> None:
    """It is not taken unasked: whoever asked for any size would get a file that fails at most."""
    with pytest.raises(NotProven) as caught:
        export(f"net.py:{name}", input=["x:float32[batch,seq=24]"])

    cure = caught.value.cures[0]
    assert cure == f"--input 'x:float32[batch,seq={range_}]'"
    assert not list(folder.glob("*.onnx"))
    exported = export(f"net.py:{name}", input=[cure.split("'")[1]])
    assert exported.proof.holds
    assert modelfile.ranges(modelfile.read(exported.path))["seq"].range == range_
    assert exported.facts.sha256 == modelfile.read(exported.path).sha256


def test_where_an_end_was_stated_the_multiple_is_there_to_paste_and_works(folder: Path) -> None:
    with pytest.raises(NotProven, match="holds for seq % 4 = 0 only") as caught:
        export("net.py:Choosing", input=["x:float32[batch,seq=24=2..64]"])

    cure = caught.value.cures[0]
    assert cure == "--input 'x:float32[batch,seq=4*k=4..64]'"
    assert not list(folder.glob("*.onnx"))
    assert export("net.py:Choosing", input=[cure.split("'")[1]]).proof.holds


def test_a_branch_that_is_no_multiple_is_refused_as_before(folder: Path) -> None:
    with pytest.raises(NotProven, match="holds for seq ≥ 21 only") as caught:
        export("net.py:Longer", input=["x:float32[batch,seq=24]"])

    assert "*k" not in "".join(caught.value.cures)


def bare(folder: Path, name: str) -> Path:
    """A file of torch's own exporter, which says nothing of multiples."""
    file = folder / "bare.onnx"
    with quiet(Chatter()):
        torch.onnx.export(
            factory.build(source.parse(f"net.py:{name}")),
            (torch.ones(2, 24),),
            str(file),
            dynamo=True,
            verbose=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_shapes=({0: torch.export.Dim("batch"), 1: torch.export.Dim("seq")},),
        )
    return file


def test_a_file_of_torchs_own_is_judged_at_the_multiples_at_which_it_is_its_source(
    folder: Path,
) -> None:
    file = bare(folder, "Choosing")

    finished = check(file, of("Choosing", seq=(24,)))

    assert finished.notes == ("seq is held to 4*k: at other sizes the file is not the module",)
    assert finished.run.records[0].verdict.answer != "wrong"  # type: ignore[union-attr]
    with pytest.raises(InputError, match="the file is not the function of net"):
        check(file, of("Choosing", seq=(24, 22)))


def test_a_size_for_which_a_file_says_that_it_does_not_hold_is_refused_with_one_that_it_does(
    folder: Path,
) -> None:
    exported = export("net.py:Choosing", input=["x:float32[batch,seq=4*k]"], proof=False)

    with pytest.raises(InputError) as caught:
        check(exported.path, of(seq=(30,)))

    assert caught.value.what == "--dim seq=30: the file says that it holds for seq=4*k only"
    assert caught.value.cures == ("--dim seq=32",)


def test_what_a_file_says_in_another_form_counts_for_nothing(folder: Path) -> None:
    facts = export("net.py:Choosing", input=["x:float32[batch,seq=4*k]"], proof=False).facts

    def ranges(text: str) -> dict[str, Dimension]:
        return dict(modelfile.ranges(replace(facts, metadata={modelfile.SIZES: text})))

    assert ranges("seq=4*k, other=2..") == {"seq": Dimension("seq", multiple=4)}
    for text in ("seq=0*k", "seq=9..2", "[", "", f"seq={'9' * 5000}*k", "seq=4**k"):
        assert ranges(text) == {}
