"""--data as it is typed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests import small
from tests.cli import inside
from tests.cli.inside import Command
from toolkit.records import sound, store
from toolkit.records.schema import Run
from toolkit.report import page
from toolkit.report.summary import summarize

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layer of 8 × 8 pictures, one with other weights, and examples that the first has right."""
    folder = tmp_path_factory.mktemp("pictured")
    weights = np.random.default_rng(0).normal(0, 0.3, (4, 64)).astype(np.float32)
    from onnx import helper

    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"], transB=1),
    ]
    tensors = [numpy_helper.from_array(weights, "w")]
    file = small.save(
        folder / "layer.onnx", nodes, {"x": ["batch", 8, 8]}, {"y": ["batch", 4]}, tensors
    )
    other = onnx.load(file)
    noise = np.random.default_rng(1).normal(0, 0.05, weights.shape).astype(np.float32)
    other.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights + noise, "w"))
    onnx.save(other, folder / "other.onnx")
    x = np.random.default_rng(2).normal(size=(400, 8, 8)).astype(np.float32)
    labels = (x.reshape(400, 64) @ weights.T).argmax(axis=1)
    np.savez(folder / "data.npz", x=x, labels=labels)
    return folder


@pytest.fixture
def toolkit(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return inside.commands(made, monkeypatch, capsys)


BOTH = ("--target", "onnxruntime", "--target", "onnxruntime,model=other.onnx")


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    """What was run already."""
    return {}


def checked(toolkit: Command, runs: dict[str, Run], *more: str) -> Run:
    key = " ".join(more)
    if key not in runs:
        done = toolkit("check", "layer.onnx", *BOTH, "--data", "data.npz", *more, "--json")
        runs[key] = msgspec.json.decode(done.out, type=Run)
    return runs[key]


def test_the_page_shows_flipped_pictures_and_asks_no_host_for_them(
    toolkit: Command, runs: dict[str, Run]
) -> None:
    pytest.importorskip("PIL")
    run = checked(toolkit, runs)

    text = page.render(summarize(run), [])

    assert run.data is not None
    flips = run.data.drops[0].flips
    assert 0 < len(flips) <= 12
    assert text.count('<img src="data:image/png;base64,') == len(flips)
    assert "img-src data:" in text
    assert "default-src &#x27;none&#x27;" in text


def test_an_anonymous_run_keeps_neither_pictures_nor_texts(
    toolkit: Command, runs: dict[str, Run]
) -> None:
    run = checked(toolkit, runs, "--anonymous")

    assert run.data is not None
    flips = run.data.drops[0].flips
    assert flips
    assert {(flip.picture, flip.text) for flip in flips} == {(b"", "")}
    assert "img-src" not in page.render(summarize(run), [])


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"picture": b"<svg onload=alert(1)>"}, "is no small PNG and no short text"),
        ({"picture": sound.PNG + bytes(20_000)}, "is no small PNG and no short text"),
        ({"text": "a" * 500}, "is no small PNG and no short text"),
    ],
    ids=["no PNG", "too large", "too long"],
)
def test_a_record_with_another_picture_is_refused(
    toolkit: Command, runs: dict[str, Run], changes: dict[str, object], what: str
) -> None:
    run = checked(toolkit, runs)
    assert run.data is not None
    drop = run.data.drops[0]
    flip = msgspec.structs.replace(drop.flips[0], **changes)
    planted = msgspec.structs.replace(drop, flips=[flip])
    data = msgspec.structs.replace(run.data, drops=[planted])

    assert what in sound.fault(msgspec.structs.replace(run, data=data))
    assert sound.fault(run) == ""


def test_what_a_record_says_of_examples_is_text_in_the_page(
    toolkit: Command, runs: dict[str, Run]
) -> None:
    run = checked(toolkit, runs)
    assert run.data is not None
    drop = run.data.drops[0]
    flip = msgspec.structs.replace(drop.flips[0], label="<b>x</b>", text="<i>y</i>", picture=b"")
    planted = msgspec.structs.replace(drop, flips=[flip], metric="<u>z</u>")
    data = msgspec.structs.replace(run.data, drops=[planted], name="<s>n</s>")

    text = page.render(summarize(msgspec.structs.replace(run, data=data)), [])

    assert not any(tag in text for tag in ("<b>x", "<i>y", "<u>z", "<s>n"))
    assert "&lt;b&gt;x" in text


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("check", "layer.onnx", "--metric", "f1"), 2, "--metric needs the --data"),
        (
            ("compare", "layer.onnx", "other.onnx", "--fail-if-drop", "1%"),
            2,
            "--fail-if-drop needs",
        ),
        (("check", "layer.onnx", "--data", "none.npz"), 1, "error: no such file: none.npz"),
        (
            ("check", "layer.onnx", "--data", "data.npz", "--metric", "exact"),
            1,
            "error: --metric: no metric is called 'exact'; there are: accuracy, auc, f1, map,",
        ),
        (
            ("check", "layer.onnx", "--data", "digits"),
            1,
            "error: --data digits belongs to the reference model, not to this one",
        ),
    ],
    ids=["metric alone", "gate alone", "no file", "unknown", "digits"],
)
def test_what_cannot_be_is_told_before_anything_runs(
    toolkit: Command, words: tuple[str, ...], code: int, says: str
) -> None:
    done = toolkit(*words)

    assert done.code == code
    assert says in done.err


def test_a_record_of_version_6_has_no_data() -> None:
    run = store.head(Path(__file__).parents[1] / "records" / "golden" / "v6.json")

    assert run.data is None
    assert [record.metrics for record in run.records] == [[]] * len(run.records)
