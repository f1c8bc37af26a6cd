"""An assignment has feeds that are timed and more that are judged; what fits none is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import small
from toolkit.answers import simulate
from toolkit.engine import assignment, judges
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.errors import InputError
from toolkit.onnxfiles import modelfile, thinmodels
from toolkit.onnxfiles.modelfile import Opened
from toolkit.oracle import oracles
from toolkit.oracle.enough import ENOUGH
from toolkit.sources import factory, reference, source


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    return small.layer(tmp_path / "layer.onnx")


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """x (batch, seq, 8) → Relu: two dynamic dimensions."""
    shape: list[int | str] = ["batch", "seq", 8]
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return small.save(tmp_path / "sequence.onnx", nodes, {"x": shape}, {"y": shape})


@pytest.fixture
def thirds(tmp_path: Path) -> Path:
    """x (rows, 8) → (rows / 3, 24): rows must be a multiple of three."""
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    shape = numpy_helper.from_array(np.array([-1, 24]), "shape")
    return small.save(
        tmp_path / "thirds.onnx", nodes, {"x": ["rows", 8]}, {"y": ["third", 24]}, [shape]
    )


def ask(path: Path, wanted: FeedRequest) -> Assignment:
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    return assignment.ask(path, wanted, work, simulate.reference_runner)


def timed(asked: Assignment) -> list[str]:
    return [asked.feeds[place].name for place in asked.cases]


def test_a_dimension_that_nobody_gave_is_chosen(sequence: Path) -> None:
    assert timed(ask(sequence, FeedRequest())) == ["batch 1, seq 16"]


def test_sizes_of_two_dimensions_are_swept_the_last_one_fastest(sequence: Path) -> None:
    wanted = FeedRequest(dims={"batch": (1, 8), "seq": (5, 9)})

    assert timed(ask(sequence, wanted)) == [
        "batch 1, seq 5",
        "batch 1, seq 9",
        "batch 8, seq 5",
        "batch 8, seq 9",
    ]


def test_batch_is_the_first_dynamic_dimension_whatever_its_name(thirds: Path) -> None:
    assert timed(ask(thirds, FeedRequest(batch=(3, 9)))) == ["rows 3", "rows 9"]


def test_a_whole_shape_is_the_one_case(sequence: Path) -> None:
    asked = ask(sequence, FeedRequest(shapes={"x": (2, 7, 8)}))

    assert timed(asked) == ["batch 2, seq 7"]
    assert asked.feeds[0].shapes == {"x": [2, 7, 8]}


def test_other_sizes_of_every_dimension_are_judged_and_not_timed(sequence: Path) -> None:
    asked = ask(sequence, FeedRequest(dims={"batch": (4,), "seq": (16,)}))

    judged = [dict(feed.dims) for feed in asked.feeds[len(asked.cases) :]]
    for name, traced in (("batch", 4), ("seq", 16)):
        others = {dims[name] for dims in judged} - {traced}
        assert 1 in others
        assert any(size > traced for size in others)
    assert any(dims["batch"] != 4 and dims["seq"] != 16 for dims in judged)


def test_a_model_of_much_work_is_judged_at_fewer_sizes(
    sequence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is counted, not timed: the sizes are the same on every machine."""
    whole = ask(sequence, FeedRequest())
    monkeypatch.setattr(assignment, "MOST_WORK", 12_000.0)  # 128 elements cost 3,840

    short = ask(sequence, FeedRequest())

    names = [feed.name for feed in short.feeds[:5]]
    sizes = ["batch 1, seq 16", "batch 1, seq 1", "batch 1, seq 7", "batch 1, seq 37"]
    assert names == [*sizes, "batch 2, seq 17"]
    assert len(whole.feeds) > len(names)
    (note,) = (note for note in short.notes if note.startswith("not judged at"))
    assert note == (
        "not judged at batch 3, seq 16; batch 3, seq 37; batch 7, seq 16:"
        " the model computes too much there"
    )


def test_there_are_enough_elements_of_every_output(layer: Path) -> None:
    asked = ask(layer, FeedRequest(batch=(1,)))

    assert sum(np.size(right["y"]) for right in asked.judge.oracle) >= ENOUGH
    assert len(asked.feeds) == len(asked.judge.oracle)


def test_no_feed_is_another_one_again_and_none_is_of_zeros_or_ones(layer: Path) -> None:
    feeds = [feed.arrays["x"] for feed in ask(layer, FeedRequest()).feeds]

    assert len({array.tobytes() for array in feeds}) == len(feeds)
    assert all(len(np.unique(array)) > 2 for array in feeds)


def test_the_same_seed_asks_the_same_and_another_one_does_not(layer: Path) -> None:
    first, again, other = (
        ask(layer, FeedRequest(seed=seed)).feeds[0].arrays["x"].tobytes() for seed in (0, 0, 1)
    )

    assert first == again != other


def test_what_the_model_refuses_is_told_where_it_is_timed_and_left_out_where_not(
    thirds: Path,
) -> None:
    with pytest.raises(InputError) as caught:
        ask(thirds, FeedRequest(batch=(3, 4)))
    assert caught.value.what.startswith("at rows 4: Reshape: cannot reshape array of size 32")

    asked = ask(thirds, FeedRequest(batch=(6,)))
    assert all(dict(feed.dims)["rows"] % 3 == 0 for feed in asked.feeds)
    assert (
        "not judged at 3 of 4 sizes, which the model refuses: rows 1; rows 7; rows 13"
        in asked.notes
    )


def test_feeds_of_the_users_own_are_all_that_is_asked(layer: Path, tmp_path: Path) -> None:
    array = np.random.default_rng(5).normal(size=(3, 8)).astype(np.float32)
    np.savez(tmp_path / "feeds.npz", x=array)

    asked = ask(layer, FeedRequest(inputs=tmp_path / "feeds.npz"))

    assert timed(asked) == ["batch 3"]
    assert len(asked.feeds) == 1
    assert asked.feeds[0].arrays["x"].tobytes() == array.tobytes()
    assert asked.feeds[0].origin == "feeds.npz"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            FeedRequest(dims={"bach": (1,)}),
            "no dynamic dimension is called 'bach'; there are: batch.",
        ),
        (FeedRequest(shapes={"z": (1, 8)}), "--shape: no input is called 'z'; there are: x."),
        (FeedRequest(shapes={"x": (1, 9)}), "the input 'x' of shape 1x9 has 9 where 8 is wanted"),
    ],
)
def test_a_wish_that_does_not_fit_the_model_is_refused(
    layer: Path, wanted: FeedRequest, said: str
) -> None:
    with pytest.raises(InputError) as caught:
        ask(layer, wanted)

    assert caught.value.what.startswith(said)


def test_batch_of_a_model_without_dynamic_dimensions_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    fixed = small.save(tmp_path / "fixed.onnx", nodes, {"x": [4, 8]}, {"y": [4, 8]})

    with pytest.raises(InputError, match=r"^--batch: this model has no dynamic dimensions$"):
        ask(fixed, FeedRequest(batch=(2,)))
    assert timed(ask(fixed, FeedRequest())) == ["fixed shape"]


def test_the_reference_model_is_known_by_its_contract_and_asked_digits(tmp_path: Path) -> None:
    asked = ask(small.mlp(tmp_path / "any-name.onnx"), FeedRequest())

    assert asked.program.source is not None
    assert asked.program.source.factory == "toolkit.sources.reference:net"
    assert asked.judge.origin == "torch in float64"
    assert {feed.origin for feed in asked.feeds} == {"digits"}
    assert {dict(feed.dims)["batch"] for feed in asked.feeds} >= set(reference.JUDGED_BATCHES)


def test_a_file_that_differs_from_the_reference_by_one_node_has_no_source(
    tmp_path: Path,
) -> None:
    path = small.mlp(tmp_path / "mlp.onnx")
    model = onnx.load(path)
    model.graph.node[1].op_type = "Tanh"
    onnx.save(model, path)

    asked = ask(path, FeedRequest())

    assert asked.program.source is None
    assert asked.judge.origin == "reference evaluator in float64"


SOURCE = """
import torch
from torch import nn

class Layer(nn.Module):
    def __init__(self, factor=1.0):
        super().__init__()
        self.layer, self.factor = nn.Linear(16, 8), factor
    def forward(self, x):
        return self.layer(x) * self.factor

class Twice(Layer):
    def forward(self, x):
        return self.layer(x), x

def off(): return Layer(1.5)
"""


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A file of Layer, written by hand, beside its source and its weights."""
    import torch
    from safetensors.torch import save_file

    (tmp_path / "layer_source.py").write_text(SOURCE)
    weight, bias = torch.randn(8, 16), torch.randn(8)
    weights = {"layer.weight": weight, "layer.bias": bias}
    save_file(weights, tmp_path / "w.safetensors")
    return small.save(
        tmp_path / "layer.onnx",
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
        {"x": ["n", 16]},
        {"y": ["n", 8]},
        [numpy_helper.from_array(weight.numpy(), "w"), numpy_helper.from_array(bias.numpy(), "b")],
    )


def of(path: Path, name: str) -> source.Source:
    text = f"{path.parent / 'layer_source.py'}:{name}"
    return source.parse(text, weights=path.parent / "w.safetensors")


def test_a_file_of_another_function_than_its_source_is_refused(exported: Path) -> None:
    work = exported.parent

    with pytest.raises(InputError) as caught:
        assignment.ask(
            exported, FeedRequest(), work, simulate.reference_runner, given=of(exported, "off")
        )

    assert caught.value.what.startswith(
        "the file is not the function of layer_source.py:off: in float64, at n 1, they differ by"
    )


TIED = """
import torch
from torch import nn

class Best(nn.Module):
    def __init__(self, factor=0.1000000005):
        super().__init__()
        self.factor = factor
    def forward(self, x):
        scores = torch.cat([x * 0.1, x * self.factor, x * 0.2], 1)
        values = torch.cat([x * 3, x * 5, x * 7], 1)
        best = scores.topk(2, 1)
        return values.gather(1, best.indices), best.values

class Hidden(Best):
    def forward(self, x):
        return super().forward(x)[0]

def off(): return Best(0.11)
"""
"""The first two scores are equal in float32."""


def tied(folder: Path, *outputs: str) -> Path:
    """A file of Best, whose constants were rounded to float32, beside its source."""
    (folder / "tied_source.py").write_text(TIED)
    return small.save(
        folder / "tied.onnx",
        [
            helper.make_node("Mul", ["x", "factors"], ["scores"]),
            helper.make_node("Mul", ["x", "sizes"], ["values"]),
            helper.make_node("TopK", ["scores", "two"], ["best", "chosen"], axis=1),
            helper.make_node("GatherElements", ["values", "chosen"], ["y"], axis=1),
        ],
        {"x": [32, 1]},
        {name: [32, 2] for name in outputs},
        [
            numpy_helper.from_array(np.array([0.1, 0.1, 0.2], np.float32), "factors"),
            numpy_helper.from_array(np.array([3, 5, 7], np.float32), "sizes"),
            numpy_helper.from_array(np.array([2]), "two"),
        ],
    )


def tied_with(file: Path, name: str) -> Assignment:
    given = source.parse(f"{file.parent / 'tied_source.py'}:{name}")
    return assignment.ask(file, FeedRequest(), file.parent, simulate.reference_runner, given=given)


def test_a_file_that_chooses_otherwise_among_equals_is_of_its_source(tmp_path: Path) -> None:
    file = tied(tmp_path, "y", "best")
    asked = tied_with(file, "Best")
    oracle = oracles.of_model(onnx.load(file))
    exact = oracle.answer(asked.feeds[0].arrays)
    assert not np.allclose(exact["y"], asked.judge.oracle[0]["y"])

    plain = oracle.all_in_float32([feed.arrays for feed in asked.feeds])
    verdict = asked.judge.verdict([each for each in plain if each is not None])

    # Times 3, 5 and 7 float16's weights are float32's: that is not told apart.
    assert (verdict.answer, verdict.outputs[1].answer) == ("not shown", "right"), verdict.reason
    assert "gathered by another choice among equals" in verdict.outputs[0].evidence


@pytest.mark.parametrize(
    ("outputs", "name"),
    [(("y", "best"), "off"), (("y",), "Hidden")],
    ids=["other logits", "logits that no output shows"],
)
def test_a_file_that_may_choose_among_what_is_not_equal_is_refused(
    tmp_path: Path, outputs: tuple[str, ...], name: str
) -> None:
    file = tied(tmp_path, *outputs)

    with pytest.raises(InputError, match="the file is not the function of"):
        tied_with(file, name)


def test_a_source_with_another_number_of_outputs_than_the_file_is_refused(exported: Path) -> None:
    with pytest.raises(InputError) as caught:
        assignment.ask(
            exported,
            FeedRequest(),
            exported.parent,
            simulate.reference_runner,
            given=of(exported, "Twice"),
        )

    assert caught.value.what == (
        "the outputs of layer.onnx are y; those of its PyTorch module are output_0, output_1"
    )


def test_outputs_are_matched_with_the_oracles_by_name_and_else_in_order(exported: Path) -> None:
    """A module may give its outputs in another order than the file, and call them otherwise."""
    plain = modelfile.read(exported)
    a, b = (replace(plain.outputs[0], name=name) for name in "ab")
    file = replace(plain, outputs=(a, b))
    one, two = np.zeros(1), np.ones(1)

    assert [*judges.by_file_names(file, {"b": two, "a": one}).items()] == [("a", one), ("b", two)]
    assert [*judges.by_file_names(file, {"b": one, "c": two}).items()] == [("a", one), ("b", two)]


def test_the_noise_of_a_file_with_a_source_is_the_modules_own(exported: Path) -> None:
    """A file whose fault is too small for the structure still cannot set its own noise."""
    asked = assignment.ask(
        exported,
        FeedRequest(),
        exported.parent,
        simulate.reference_runner,
        given=of(exported, "Layer"),
    )

    forms = [form.form for form in asked.judge.simulated if form.precision == "float32"]
    off = [{"y": right["y"] * (1 + 3e-5)} for right in asked.judge.oracle]
    assert forms == ["the oracle in float32"]
    assert not asked.judge.verdict([{"y": o["y"].astype(np.float32)} for o in off]).right
    right = [{"y": right["y"].astype(np.float32)} for right in asked.judge.oracle]
    assert asked.judge.verdict(right).right


def test_a_digest_of_a_source_follows_its_code_and_its_weights(exported: Path) -> None:
    named = of(exported, "Layer")
    factory.build(named)
    before = factory.digest(named)

    (exported.parent / "layer_source.py").write_text(SOURCE + "\n# changed\n")
    changed = factory.digest(named)
    (exported.parent / "layer_source.py").write_text(SOURCE)

    assert factory.digest(named) == before != changed
    assert factory.digest(source.Source(named.factory, None, named.folder)) != before


def test_an_old_file_is_brought_to_opset_17_without_its_weights_and_written_for_reference_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnx's converter takes no message beyond 2 GiB, and a copy in memory has the weights too."""
    weights = np.random.default_rng(0).normal(0, 0.1, (64, 64)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Softmax", ["h"], ["y"]),
    ]
    infos = [helper.make_tensor_value_info(name, 1, ["n", 64]) for name in "xy"]
    graph = helper.make_graph(
        nodes, "g", infos[:1], infos[1:], [numpy_helper.from_array(weights, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
    path = tmp_path / "old.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="old.data", size_threshold=0)
    monkeypatch.setattr(Opened, "complete", refused)

    asked = ask(path, FeedRequest())

    work = tmp_path / "work"
    assert [*work.glob("portable*")] == []
    assert asked.program_of("onnxruntime").model == path
    assert [*work.glob("portable*")] == []
    file = asked.program_of("reference").model
    assert file is not None
    written = onnx.load(file)
    assert written.opset_import[0].version == 17
    np.testing.assert_array_equal(numpy_helper.to_array(written.graph.initializer[0]), weights)
    asked.drop_files()
    assert [*work.glob("portable*")] == []


def refused(opened: Opened) -> onnx.ModelProto:
    raise AssertionError("it was copied with its weights")


def test_a_file_that_was_written_for_targets_names_the_weights_beside_it(tmp_path: Path) -> None:
    """A worker in JavaScript opens no file of external data that its request does not name."""
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    weight = numpy_helper.from_array(np.ones(5000, np.float32), "w")
    file = small.save(tmp_path / "m.onnx", nodes, {"x": [5000]}, {"y": [5000]}, [weight])
    thin = thinmodels.of_opened(modelfile.open_once(file))
    changed = assignment.ChangedFile(thin, tmp_path / "work" / "exposed.onnx", 1)
    changed.file.parent.mkdir()

    written, kept = changed.program(), changed.program()

    (weights,) = written.external.values()
    assert weights.parent == changed.file.parent
    assert weights.stat().st_size == len(weight.raw_data)
    assert kept.external == written.external
