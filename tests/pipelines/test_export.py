"""A user's source becomes a proven file in the current folder, or no file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from toolkit.errors import InputError
from toolkit.exporter import convert, testdata
from toolkit.onnxfiles import content, modelfile
from toolkit.onnxfiles.filestates import FileState
from toolkit.pipelines.check import check
from toolkit.pipelines.export import NotProven, Stage, export
from toolkit.pipelines.request import BenchRequest
from toolkit.runtimes.target import parse
from toolkit.sources import source

pytestmark = pytest.mark.export

NET = """
import torch
from torch import nn

class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 8)
        self.fc = nn.Linear(8, 64)
    def forward(self, ids, x):
        hidden = torch.tanh(self.fc(self.table(ids)) + x)
        return {"hidden": hidden, "pooled": hidden.mean(1)}

class Branch(nn.Module):
    def forward(self, x):
        if x.shape[1] > 12:
            return x * 2
        return x * 3

class Even(nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[1] % 2 == 0 else x * 3

class Strict(nn.Module):
    def forward(self, ids):
        if not torch.compiler.is_compiling() and (ids.max() > 4 or ids.min() < 3):
            raise ValueError("ids are 3 and 4")
        return torch.sin(ids * 0.1).repeat(1, 300)

class Strided(nn.Module):
    def forward(self, x):
        b, w = x.shape
        return torch.sin(x).reshape(b, w // 4, 4).sum(-1)

class Short(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 300)
    def forward(self, x):
        return self.fc(x)

def bfloat16():
    return Short().bfloat16()

fixed = nn.Linear(4, 300)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a user's net.py; what was imported from it is forgotten."""
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    known, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - known:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def no_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are left out: what is tested here does not depend on them."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name not in ("net.py", "__pycache__"))


def test_the_reference_model_is_trained_exported_and_proven(folder: Path) -> None:
    stages: list[Stage] = []

    exported = export(watch=stages.append)

    assert stages == ["train", "build", "convert", "prove", "write"]
    assert exported.path == Path("models/mlp/mlp.onnx")
    assert [step.outcome for step in exported.proof.steps] == ["holds"] * 3
    assert exported.proof.steps[1].what == "in float64 at batch 1, 2, 7, 32, 257"
    assert exported.proof.steps[2].says == "float32"
    assert exported.facts.opset == 20
    assert list(exported.facts.operators.items()) == [("Gemm", 2), ("Relu", 1), ("Sigmoid", 1)]
    assert sorted(exported.facts.metadata) == ["source", "toolkit", "torch", "weights_sha256"]
    assert files(folder / "models/mlp") == [
        "mlp.onnx",
        "mlp.safetensors",
        "test_data_set_0",
        "test_data_set_1",
        "test_data_set_2",
    ]


def test_a_users_model_with_several_inputs_and_outputs_is_proven(folder: Path) -> None:
    exported = export(
        "net.py:Several", "out/net.onnx", input=["ids:int64[batch,seq]", "x:float32[batch,seq,64]"]
    )

    assert exported.proof.holds
    assert [(s.name, s.type, s.shape) for s in exported.facts.inputs] == [
        ("ids", "int64", ("batch", "seq")),
        ("x", "float32", ("batch", "seq", 64)),
    ]
    assert [s.name for s in exported.facts.outputs] == ["hidden", "pooled"]
    assert exported.facts.metadata["source"] == "net.py:Several"
    assert files(folder / "out")[0] == "net.onnx"


def test_any_other_tool_can_check_itself_by_the_test_data(
    folder: Path, no_onnxruntime: None
) -> None:
    exported = export("net.py:fixed", input=["input:float32[batch,4]"])
    model = ReferenceEvaluator(str(exported.path))

    assert len(exported.test_data) == 3
    for data in exported.test_data:
        feed = onnx.numpy_helper.to_array(onnx.load_tensor(str(data / "input_0.pb")))
        right = onnx.numpy_helper.to_array(onnx.load_tensor(str(data / "output_0.pb")))
        got = np.asarray(next(iter(model.run(None, {"input": feed}))), np.float32)
        assert right.dtype == np.float32
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-6)


def test_the_written_file_is_read_and_hashed_once(
    folder: Path, no_onnxruntime: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = content.read

    def counted(path: Path) -> tuple[bytes, FileState]:
        reads.append(path.name)
        return read(path)

    monkeypatch.setattr(content, "read", counted)

    export("net.py:fixed", "out/m.onnx", input=["input:float32[batch,4]"])

    assert reads == ["m.onnx"]


def test_a_branch_on_a_size_leaves_no_file_and_names_the_line(
    folder: Path, no_onnxruntime: None
) -> None:
    with pytest.raises(NotProven) as caught:
        export("net.py:Branch", input=["x:float32[batch,seq=16,64]"])

    assert caught.value.what == (
        "the exported graph holds for seq ≥ 13 only: right at the traced 16 and at 37, wrong at 9."
    )
    assert caught.value.cures == (
        "net.py:16   if x.shape[1] > 12:",
        "Write the branch with torch.cond, or state a range: 'x:float32[batch,seq=13..,64]'",
        "No file was written.",
    )
    assert [step.outcome for step in caught.value.exported.proof.steps] == ["holds", "fails"]
    assert files(folder) == []


def test_a_condition_that_is_a_multiple_is_found_with_the_option_that_states_it(
    folder: Path, no_onnxruntime: None
) -> None:
    with pytest.raises(NotProven, match=r"holds for seq % 2 = 0 only: .*, wrong at 15") as caught:
        export("net.py:Even", input=["x:float32[batch,seq=16]"])

    assert caught.value.cures[0] == "--input 'x:float32[batch,seq=2*k]'"


def test_a_condition_that_no_range_and_no_multiple_tells_is_found(
    folder: Path, no_onnxruntime: None
) -> None:
    with (folder / "net.py").open("a") as net:
        net.write(
            "class Odd(nn.Module):\n    def forward(self, x):\n"
            "        return x * 2 if x.shape[1] % 2 == 1 else x * 3\n"
        )

    with pytest.raises(NotProven, match=r"holds for seq % 2 = 1 only: .*, wrong at 1"):
        export("net.py:Odd", input=["x:float32[batch,seq=15]"])


def test_a_stated_range_makes_the_branch_right(folder: Path, no_onnxruntime: None) -> None:
    exported = export("net.py:Branch", input=["x:float32[batch,seq=13..,64]"])

    assert not exported.proof.fails


def test_sizes_that_the_module_refuses_are_left_out_and_named(
    folder: Path, no_onnxruntime: None
) -> None:
    exported = export("net.py:Strided", input=["x:float32[batch,width]"])

    structure = exported.proof.steps[1]
    assert structure.outcome == "holds"
    assert any(
        detail.startswith("left out: width") and "shape '[2, 0, 4]' is invalid" in detail
        for detail in structure.details
    )


def test_the_users_own_values_are_what_is_fed(folder: Path) -> None:
    """Ids of which a draw knows nothing: only the user's own are accepted."""
    with (folder / "net.py").open("a") as net:
        net.write("def example_inputs():\n    return torch.tensor([[3, 4, 4]])\n")

    exported = export("net.py:Strict", input=["ids:int64[batch,seq]"])

    # The batch of 1 is doubled: what is traced at 1 may hold at 1 alone.
    assert exported.traced == {"batch": 2, "seq": 3}
    assert exported.proof.holds
    seen = [each.feed.arrays["ids"] for each in exported.proof.expected]
    assert {int(value) for array in seen for value in array.ravel()} == {3, 4}


NESTED = """
class Cache:
    def __init__(self, key, value):
        self.key, self.value = key, value

class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
    def forward(self, pair, *, past, scale=1.0):
        y = self.layer(pair["x"]) * scale + past[0].key + pair["more"][0]
        return {"y": y, "past": [Cache(y + 1, past[0].value * 2)]}

def example_inputs():
    t = torch.rand
    past = [Cache(t(2, 4), t(2, 3, 4))]
    return ({"x": t(2, 4), "more": (t(2, 4), 3)},), {"past": past, "scale": 3.0}
"""


def test_lists_dictionaries_and_caches_become_named_tensors(folder: Path) -> None:
    with (folder / "net.py").open("a") as net:
        net.write(NESTED)
        net.write("def dynamic_shapes():\n    n = {0: 'n'}\n")
        net.write("    return {'pair': {'x': n, 'more': (n, None)},")
        net.write(" 'past': [[n, {0: 'n', 1: 'length'}]]}\n")

    exported = export("net.py:Nested")

    assert exported.proof.holds
    assert exported.traced == {"n": 2, "length": 3}
    assert {spec.name: spec.shape for spec in exported.facts.inputs} == {
        "pair.x": ("n", 4),
        "pair.more.0": ("n", 4),
        "past.0.key": ("n", 4),
        "past.0.value": ("n", "length", 4),
    }
    assert [spec.name for spec in exported.facts.outputs] == ["y", "past_0_key", "past_0_value"]
    names = {tensor.name for tensor in modelfile.load(exported.path).graph.initializer}
    assert "layer.bias" in names
    targets = (parse("torch"), parse("onnxruntime"))
    checked = check(exported.path, BenchRequest(targets, source=source.parse("net.py:Nested")))
    assert all(record.verdict and record.verdict.right for record in checked.run.records)


def test_a_batch_that_nobody_stated_is_tried(folder: Path, no_onnxruntime: None) -> None:
    with (folder / "net.py").open("a") as net:
        net.write("def example_inputs():\n    return torch.rand(1, 4)\n")

    exported = export("net.py:fixed")

    assert exported.traced == {"batch": 2}
    assert exported.facts.inputs[0].shape == ("batch", 4)


def test_where_no_batch_holds_the_sizes_are_those_of_the_example(
    folder: Path, no_onnxruntime: None
) -> None:
    with (folder / "net.py").open("a") as net:
        net.write("class Half(nn.Module):\n    def forward(self, x):\n")
        net.write("        return x * 2 if x.shape[0] < 3 else x * 3\n")
        net.write("def example_inputs():\n    return torch.rand(2, 4)\n")

    exported = export("net.py:Half")

    assert exported.traced == {}
    assert exported.facts.inputs[0].shape == (2, 4)


def test_a_single_input_needs_no_name(folder: Path, no_onnxruntime: None) -> None:
    exported = export("net.py:fixed", input=["pixels:float32[batch,4]"])

    assert [spec.name for spec in exported.facts.inputs] == ["input"]


def test_without_stated_inputs_the_error_shows_how_to_state_them(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        export("net.py:Several")

    assert caught.value.what == "what goes into Several.forward(ids, x) is not known"
    assert caught.value.cures[0] == "--input 'ids:float32[batch,64]'   states its type and shape"


def test_beside_another_model_the_test_data_stands_under_the_models_name(
    folder: Path, no_onnxruntime: None
) -> None:
    first = export("net.py:fixed", "one.onnx", input=["input:float32[batch,4]"])
    second = export("net.py:Strided", "two.onnx", input=["x:float32[batch,width]"])
    again = export("net.py:Strided", "two.onnx", input=["x:float32[b,width]"])

    assert testdata.owner(folder / "test_data_set_0") == first.facts.sha256
    assert testdata.owner(folder / "two.testdata/test_data_set_0") == again.facts.sha256
    assert second.test_data[0] == Path("two.testdata/test_data_set_0")
    sets = ["test_data_set_0", "test_data_set_1", "test_data_set_2"]
    assert files(folder) == ["one.onnx", *sets, "two.onnx", "two.testdata"]
    assert len(testdata.read(modelfile.read(folder / "two.onnx"))) == 3
    read = testdata.read(modelfile.read(folder / "one.onnx"))
    assert [list(each.inputs) for each in read] == [["input"]] * 3


def test_with_force_another_models_test_data_is_replaced(
    folder: Path, no_onnxruntime: None
) -> None:
    export("net.py:fixed", "one.onnx", input=["input:float32[batch,4]"])

    forced = export("net.py:Strided", "two.onnx", input=["x:float32[batch,width]"], force=True)

    assert testdata.owner(folder / "test_data_set_0") == forced.facts.sha256
    assert "two.testdata" not in files(folder)


def test_test_data_that_is_nobodys_is_refused_before_the_work(folder: Path) -> None:
    (folder / "two.testdata/test_data_set_0").mkdir(parents=True)
    (folder / "two.testdata/test_data_set_0/input_0.pb").write_bytes(b"")
    seen: list[Stage] = []

    with pytest.raises(InputError, match="holds the test data of another model"):
        export("net.py:Strided", "two.onnx", input=["x:float32[b,width]"], watch=seen.append)

    assert "convert" not in seen


def test_an_export_onto_itself_replaces_its_own_test_data(
    folder: Path, no_onnxruntime: None
) -> None:
    first = export("net.py:fixed", "m.onnx", input=["input:float32[batch,4]"])
    second = export("net.py:fixed", "m.onnx", input=["input:float32[n,4]"])

    assert first.facts.sha256 != second.facts.sha256
    assert testdata.owner(folder / "test_data_set_0") == second.facts.sha256


def test_what_no_runtime_here_can_run_is_not_proven_and_not_written(folder: Path) -> None:
    with pytest.raises(NotProven) as caught:
        export("net.py:bfloat16", input=["x:bfloat16[batch,4]"])

    assert not caught.value.exported.proof.holds
    assert caught.value.what.startswith(
        "the exported file was not shown to be right: onnxruntime cpu cannot run it: "
    )
    assert [cure.split()[0] for cure in caught.value.cures[:2]] == ["--cast-missing", "--no-proof"]
    assert not Path("net.onnx").exists()


def test_weights_too_large_for_the_file_land_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of 2 GB is lowered; all else is as for a large model, ONNX Runtime included."""
    monkeypatch.setattr(convert.write, "__kwdefaults__", {"inline": 1000})

    exported = export("net.py:Short", "out/m.onnx", input=["x:float32[batch,4]"])

    assert exported.proof.holds
    assert files(folder / "out")[:2] == ["m.onnx", "m.onnx.data"]
    assert (folder / "out/m.onnx.data").stat().st_size >= 300 * 4 * 4
    assert modelfile.read(folder / "out/m.onnx").sha256 == exported.facts.sha256
