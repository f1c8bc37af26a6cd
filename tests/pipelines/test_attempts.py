"""Where torch's usual exporter fails, others are tried, each with the whole proof."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.errors import ExportError, InputError
from toolkit.exporter import exactrules
from toolkit.onnxfiles import modelfile
from toolkit.pipelines.check import check
from toolkit.pipelines.export import NotProven, Stage, export

pytestmark = pytest.mark.export

NET = """
import torch
from torch import nn

class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
    def forward(self, x):
        return self.fc(x)

class ForDynamo(Linear):
    "Bytecode can be read, and nothing else of torch.export works."
    def forward(self, x):
        if torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling():
            raise RuntimeError("not so")
        return self.fc(x)

class ForTorchScript(Linear):
    "Nothing of torch.export works."
    def forward(self, x):
        if torch.compiler.is_exporting():
            raise RuntimeError("not so")
        return self.fc(x)

class Frozen(Linear):
    "TorchScript could write one side of it."
    def forward(self, x):
        if torch.compiler.is_exporting():
            raise RuntimeError("not so")
        return self.fc(x) if x.sum() > 0 else x

class Guarded(Linear):
    "Zeros are what the small addend is for."
    def forward(self, x):
        return (self.fc(x).relu() + 1e-9).log()

class Averaging(Linear):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
    def forward(self, x):
        self.mean.mul_(0.9).add_(x.mean(0) * 0.1)
        return self.fc(x - self.mean)

class Counted(Linear):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
    def forward(self, x):
        self.calls += 1
        return self.fc(x)

class Biased(nn.Module):
    "Attention with a learned mask: torch lays it out by whether that asks for a gradient."
    def __init__(self):
        super().__init__()
        self.parts, self.bias = nn.Linear(16, 48), nn.Embedding(9, 4)
    def forward(self, x):
        batch, seq, _ = x.shape
        q, k, v = self.parts(x).view(batch, seq, 3, 4, 4).permute(2, 0, 3, 1, 4)
        places = torch.arange(seq)
        bias = self.bias((places[None] - places[:, None]).clamp(-4, 4) + 4).permute(2, 0, 1)[None]
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return mixed.transpose(1, 2).contiguous().reshape(batch, seq, -1)

class Windowed(nn.Module):
    "Lowers its window to the size of a small input, for good, as Swin's layers do."
    def __init__(self):
        super().__init__()
        self.window = 4
    def forward(self, x):
        if x.shape[1] < 4:
            self.window = 1
        return torch.nn.functional.avg_pool1d(x[:, None], self.window, 1)[:, 0]

class Unrolled(Linear):
    "torch.export unrolls it over the traced length."
    def forward(self, x):
        y = self.fc(x)
        if torch.compiler.is_exporting():
            return torch.stack([y[:, step] for step in range(y.shape[1])], 1)
        return y

class Windows(Linear):
    "Pads what is no multiple of its window, and else does nothing."
    def forward(self, x):
        lacking = -x.shape[1] % 3
        if lacking:
            x = torch.nn.functional.pad(x, (0, 0, 0, lacking))
        y = self.fc(x).unflatten(1, (-1, 3)).flip(2).flatten(1, 2)
        return y[:, : y.shape[1] - lacking] if lacking else y

class Sides(Linear):
    "Neither side holds for all sizes."
    def forward(self, x):
        return self.fc(x) if x.shape[1] % 3 else x

class WithWords(Linear):
    def forward(self, x):
        return {"y": self.fc(x), "rows": x.shape[0], "kind": "linear", "loss": None}
"""
INPUT = ["x:float32[batch,4]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_tracing_cannot_do_reading_bytecode_can_and_it_is_told(folder: Path) -> None:
    stages: list[Stage] = []
    exported = export("net.py:ForDynamo", input=INPUT, watch=stages.append)

    assert stages == ["build", "convert", "strict", "prove", "write"]
    assert exported.way == "dynamo-strict"
    assert exported.instead == "torch cannot export this module: RuntimeError: not so"
    assert exported.facts.metadata["exporter"] == "dynamo-strict"
    assert exported.proof.holds


def test_the_last_way_is_torchscript_and_its_sizes_are_free(folder: Path) -> None:
    exported = export("net.py:ForTorchScript", input=INPUT)

    assert exported.way == "torchscript"
    assert exported.proof.holds
    assert exported.facts.inputs[0].shape == ("batch", 4)
    assert exported.proof.steps[1].what == "in float64 at batch 1, 2, 5, 7"


def test_a_choice_by_values_is_never_frozen(folder: Path) -> None:
    with pytest.raises(ExportError) as caught:
        export("net.py:Frozen", input=INPUT)

    assert caught.value.cures[-1] == (
        "Tried too, in vain: strict tracing, which reads the module's bytecode; the TorchScript"
        " exporter"
    )
    assert not list(folder.glob("*.onnx"))


def test_an_addend_that_guards_a_logarithm_stays(folder: Path) -> None:
    exported = export("net.py:Guarded", input=INPUT)

    assert exported.way == "dynamo"
    assert exported.facts.operators["Add"] == 1
    assert exported.proof.holds


def test_where_the_optimizer_makes_a_file_wrong_it_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxscript's optimizer removes an addend below 1e-8, unless it is kept from it."""

    @contextlib.contextmanager
    def as_it_comes() -> Iterator[None]:
        yield

    monkeypatch.setattr(exactrules, "exact", as_it_comes)
    exported = export("net.py:Guarded", input=INPUT)

    assert exported.way == "dynamo-unoptimized"
    assert "structure in float64" in exported.instead
    assert exported.facts.operators["Add"] >= 1
    assert exported.proof.holds


@pytest.mark.parametrize("name", ["dynamo-strict", "torchscript"])
def test_an_exporter_can_be_pinned(folder: Path, name: str) -> None:
    exported = export("net.py:Linear", input=INPUT, exporter=name)

    assert (exported.way, exported.instead) == (name, "")
    assert exported.facts.metadata["exporter"] == name
    assert exported.proof.holds


def test_a_pinned_exporter_is_not_replaced_by_another(folder: Path) -> None:
    with pytest.raises(ExportError, match="not so"):
        export("net.py:ForTorchScript", input=INPUT, exporter="dynamo")
    with pytest.raises(InputError, match="no exporter is called 'dinamo'; there are: dynamo,"):
        export("net.py:Linear", input=INPUT, exporter="dinamo")


def test_a_file_without_a_proof_says_so_wherever_it_is_judged(folder: Path) -> None:
    exported = export("net.py:Linear", input=INPUT, proof=False)

    assert exported.unproven
    assert not exported.proof.holds
    assert exported.test_data == ()
    assert modelfile.read(folder / "net.onnx").unproven.startswith("net.onnx was exported with")
    notes = check("net.onnx", ["onnxruntime"]).notes
    assert "net.onnx was exported with --no-proof: nothing shows that it is its module" in notes


def test_state_becomes_an_input_and_an_output(folder: Path) -> None:
    with pytest.raises(InputError, match="forward changes the buffer mean"):
        export("net.py:Averaging", input=INPUT)

    exported = export("net.py:Averaging", input=INPUT, stateful=True)

    assert exported.proof.holds
    assert [spec.name for spec in exported.facts.inputs] == ["x", "mean"]
    assert [spec.name for spec in exported.facts.outputs] == ["output", "mean_out"]
    names = {value.name for value in modelfile.open_once(exported.path).model.graph.initializer}
    assert {"fc.weight", "fc.bias"} <= names


def test_stateful_is_refused_where_there_is_no_state(folder: Path) -> None:
    with pytest.raises(InputError, match="this one changes none"):
        export("net.py:Linear", input=INPUT, stateful=True)


def test_a_buffer_for_nobody_is_told(folder: Path) -> None:
    exported = export("net.py:Counted", input=INPUT)

    assert exported.notes == (
        "forward changes the buffer calls, which the file does not keep: no output was seen to"
        " depend on it",
    )


def test_words_and_numbers_among_the_outputs_are_left_out(folder: Path) -> None:
    exported = export("net.py:WithWords", input=INPUT)

    assert [spec.name for spec in exported.facts.outputs] == ["y"]


def test_a_length_that_torch_export_fixes_is_free_by_torchscript(folder: Path) -> None:
    exported = export("net.py:Unrolled", input=["x:float32[batch,seq=5,4]"])

    assert exported.way == "torchscript"
    assert exported.instead.startswith("the exported graph holds for seq = 5 only")
    assert exported.facts.inputs[0].shape == ("batch", "seq", 4)
    assert "seq 1, 5, 7" in exported.proof.steps[1].what
    assert exported.proof.holds


def test_a_short_cut_at_the_traced_size_is_traced_with_another_one(folder: Path) -> None:
    exported = export("net.py:Windows", input=["x:float32[batch,width=12,4]"])

    assert exported.proof.holds
    assert {12, 1} <= {dims["width"] for dims in exported.proof.right()}
    assert exported.traced["width"] % 3
    assert exported.notes[0].startswith(f"traced with width {exported.traced['width']}")
    assert exported.notes[0].endswith("with batch 2, width 12")


def test_a_branch_of_two_sides_tells_that_the_other_one_was_traced_too(folder: Path) -> None:
    with pytest.raises(NotProven, match="holds for width % 3 = 0 only") as caught:
        export("net.py:Sides", input=["x:float32[batch,width=12=..60,4]"])

    assert caught.value.cures[-1] == "Traced too, in vain, with width 11"


def test_a_learned_mask_of_an_attention_is_no_hindrance(folder: Path) -> None:
    exported = export("net.py:Biased", input=["x:float32[batch,seq=6,16]"])

    assert exported.way == "dynamo"
    assert exported.proof.holds


def test_a_call_that_changes_the_module_for_good_changes_no_other_call(folder: Path) -> None:
    """At width 1 and 3 the module is another function, which is a branch on a size; at all others
    the file is what the module is that saw no small input."""
    exported = export("net.py:Windowed", input=["x:float32[batch,width=4..]"])
    assert exported.proof.holds

    with pytest.raises(NotProven, match="the exported graph holds for width ≥ 4 only"):
        export("net.py:Windowed", "all.onnx", input=["x:float32[batch,width=8]"])


def test_each_step_has_its_time(folder: Path) -> None:
    exported = export("net.py:Linear", input=INPUT)

    assert list(exported.seconds) == ["build", "convert", "write"]
    assert all(seconds > 0 for seconds in exported.seconds.values())
    assert all(step.seconds > 0 for step in exported.proof.steps)


def test_a_failed_proof_tells_the_ways_that_were_tried(folder: Path) -> None:
    (folder / "net.py").write_text(
        NET
        + """
class Lucky(Linear):
    def forward(self, x):
        return x * 2 if torch.compiler.is_exporting() or torch.jit.is_tracing() else x
"""
    )
    with pytest.raises(NotProven) as caught:
        export("net.py:Lucky", input=INPUT)

    assert caught.value.cures[-1].startswith("Tried too, in vain: torch.export's tracing, without")
    assert caught.value.cures[-1].endswith("the TorchScript exporter")
