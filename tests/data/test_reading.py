"""Labelled data is a stranger's: each form of it, and what each refuses in one line."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests import needs, small
from toolkit import tensors
from toolkit.data import archives, extra, opening, pictures
from toolkit.data import examples as reading
from toolkit.data.examples import Examples, SeenPicture
from toolkit.data.request import DataRequest
from toolkit.errors import EnvironmentFault, InputError
from toolkit.onnxfiles import modelfile
from toolkit.tensors import TensorSpec

try:
    import pyarrow as pa
    from PIL import Image
    from pyarrow import parquet
except ImportError:
    needs.absent("the extra data is not installed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the layer of 8 inputs and 16 classes."""
    monkeypatch.chdir(tmp_path)
    small.layer(tmp_path / "layer.onnx")
    return tmp_path


def opened(
    name: str,
    model: str = "layer.onnx",
    *,
    labels: str | None = None,
    preprocess: str | None = None,
) -> Examples:
    return opening.opened(modelfile.open_once(Path(model)), DataRequest(name, labels, preprocess))


def batches(of: Examples, model: str = "layer.onnx", rows: int = 4) -> list[reading.Batch]:
    inputs = modelfile.open_once(Path(model)).facts.inputs
    return [*reading.batches(of, None, inputs, lambda: rows)]


def image_model(folder: Path, shape: tuple[int | str, ...] = ("batch", 3, 4, 4)) -> str:
    """A model of pictures."""
    from onnx import helper

    node = helper.make_node("Flatten", ["pixels"], ["y"])
    small.program(
        folder / "image.onnx", [node], {"pixels": ("float32", shape)},
        {"y": ("float32", ("batch", 48))},
    )  # fmt: skip
    return "image.onnx"


def pictured(folder: Path, classes: tuple[str, ...] = ("cat", "ant")) -> Path:
    """Two pictures of each class."""
    draw = np.random.default_rng(0)
    for name in classes:
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(2):
            pixels = draw.integers(256, size=(9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.png")
    return folder / "photos"


PROCESSOR = {
    "do_resize": True, "size": {"height": 4, "width": 4}, "do_rescale": True,
    "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}  # fmt: skip


def processor(folder: Path, **changes: object) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, **changes}))


# What is read


def test_an_archive_gives_its_examples_in_batches_whose_last_one_is_filled_up(folder: Path) -> None:
    x = np.arange(48.0).reshape(6, 8)
    np.savez("data.npz", x=x, labels=np.arange(6))

    first, last = batches(opened("data.npz"))

    assert first.feed["x"].dtype == np.float32
    assert first.feed["x"].shape == (4, 8)
    assert last.indices.tolist() == [4, 5]
    assert last.labels.tolist() == [4, 5]
    assert last.feed["x"].tolist() == [x[4].tolist()] + [x[5].tolist()] * 3


def test_classes_of_a_folder_are_sorted_by_name(folder: Path) -> None:
    pictured(folder)
    processor(folder)
    model = image_model(folder)

    found = opened("photos", model)
    (batch,) = batches(found, model)

    assert found.classes == ["ant", "cat"]
    assert batch.labels.tolist() == [0, 0, 1, 1]
    assert batch.feed["pixels"].shape == (4, 3, 4, 4)
    assert isinstance(found.seen(0), SeenPicture)


def test_classes_that_the_models_config_numbers_have_its_numbers(folder: Path) -> None:
    pictured(folder)
    processor(folder)
    (folder / "config.json").write_text(json.dumps({"label2id": {"cat": 2, "ant": 7, "bee": 0}}))

    found = opened("photos", image_model(folder))

    assert [found.classes[n] for n in (2, 7)] == ["cat", "ant"]
    assert [int(label) for _, _, label in found.read(None)] == [2, 2, 7, 7]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"size": {"shortest_edge": 6}, "do_center_crop": True, "crop_size": 4, "resample": 3},
        {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 4, "width": 4}},
        {"do_normalize": False, "resample": 0},
        {"do_rescale": False},
    ],
    ids=["plain", "shorter side", "crop", "not normalised", "not rescaled"],
)
def test_a_picture_is_made_ready_as_hugging_face_makes_it(
    folder: Path, changes: dict[str, object]
) -> None:
    transformers = pytest.importorskip("transformers")
    kind = getattr(transformers, "ViTImageProcessorPil", None) or needs.absent(
        "this release of transformers has no processor for Pillow"
    )
    path = pictured(folder)
    processor(folder, **changes)
    model = image_model(folder)

    _, ours, _ = next(iter(opened("photos", model).read([0])))

    theirs = kind(**{**PROCESSOR, **changes})(Image.open(path / "ant" / "0.png"))
    np.testing.assert_allclose(ours["pixels"], theirs["pixel_values"][0], atol=1e-6)


def test_a_model_of_channels_last_gets_them_last(folder: Path) -> None:
    pictured(folder)
    processor(folder)
    model = image_model(folder, ("batch", 4, 4, 3))

    (batch,) = batches(opened("photos", model), model)

    assert batch.feed["pixels"].shape == (4, 4, 4, 3)


def tabled(name: str, columns: Mapping[str, Sequence[object]]) -> None:
    with open(name, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([[*columns], *zip(*columns.values(), strict=True)])


def test_a_csv_gives_its_numbers_in_their_order_and_its_labels_by_name(folder: Path) -> None:
    tabled("data.csv", {f"c{i}": [i, i + 0.5] for i in range(8)} | {"label": ["b", "a"]})

    found = opened("data.csv")
    (batch,) = batches(found, rows=2)

    assert found.classes == ("a", "b")
    assert batch.labels.tolist() == [1, 0]
    assert batch.feed["x"].tolist() == [[*range(8)], [i + 0.5 for i in range(8)]]


def test_parquet_gives_lists_by_the_inputs_name_and_pictures_by_their_bytes(folder: Path) -> None:
    parquet.write_table(pa.table({"x": [[1.0] * 8, [2.0] * 8], "kind": [3, 4]}), "data.parquet")
    (batch,) = batches(opened("data.parquet", labels="kind"), rows=2)
    assert batch.feed["x"].tolist() == [[1.0] * 8, [2.0] * 8]
    assert batch.labels.tolist() == [3, 4]

    out = io.BytesIO()
    Image.fromarray(np.zeros((5, 5, 3), np.uint8)).save(out, "PNG")
    rows = [{"bytes": out.getvalue(), "path": "a.png"}]
    parquet.write_table(pa.table({"image": rows, "label": [1]}), "pictures.parquet")
    processor(folder)
    model = image_model(folder)
    (batch,) = batches(opened("pictures.parquet", model), model, rows=1)
    assert batch.feed["pixels"].shape == (1, 3, 4, 4)


def test_texts_are_made_ready_by_the_tokenizer_and_filled_up(folder: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[PAD]": 3, "[UNK]": 0, "good": 1, "bad": 2}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save("tokenizer.json")
    from onnx import helper

    node = helper.make_node("Identity", ["input_ids"], ["y"])
    small.program(
        folder / "text.onnx", [node],
        {
            "input_ids": ("int64", ("batch", "seq")), "attention_mask": ("int64", ("batch", "seq")),
        },
        {"y": ("int64", ("batch", "seq"))},
    )  # fmt: skip
    tabled("data.csv", {"text": ["good", "bad bad odd"], "label": [1, 0]})

    found = opened("data.csv", "text.onnx")
    (batch,) = batches(found, "text.onnx", rows=2)

    assert batch.feed["input_ids"].shape == (2, reading.STEP)
    assert batch.feed["input_ids"][:, :4].tolist() == [[1, 3, 3, 3], [2, 2, 0, 3]]
    assert batch.feed["attention_mask"][:, :4].tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]
    assert found.seen(1) == "bad bad odd"


OWN = """
import numpy as np

def rows():
    for number in range(5):
        yield np.full(8, number), number

def wide():
    for number in range(2):
        yield {"raw": np.full((2, 4), number)}, number

def ready(example):
    return example["raw"].reshape(8)

def broken():
    yield np.zeros(8), 0
    raise ValueError("the file is gone")

def alone():
    yield np.zeros(8)

def named(example):
    return {"other": example}
"""


def test_a_function_gives_examples_and_another_makes_them_ready(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own", raising=False)

    counts = [len(batch.indices) for batch in batches(opened("own.py:rows"))]
    (batch,) = batches(opened("own.py:wide", preprocess="own.py:ready"), rows=2)

    assert counts == [4, 1]
    assert batch.feed["x"].tolist() == [[0.0] * 8, [1.0] * 8]


@pytest.mark.parametrize(
    ("name", "what", "preprocess"),
    [
        ("own.py:broken", "own.py:broken raised ValueError: the file is gone", None),
        ("own.py:alone", r"own.py:alone yields no pair \(example, label\) at 0", None),
        ("own.py:none", "own.py:none is no function", None),
        ("own.py:rows", "own.py:named has nothing for the input 'x'", "own.py:named"),
    ],
)
def test_what_is_wrong_with_a_function_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str, preprocess: str | None
) -> None:
    (folder / "own.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own", raising=False)

    with pytest.raises(InputError, match=what):
        batches(opening.opened(
            modelfile.open_once(Path("layer.onnx")), DataRequest(name, preprocess=preprocess)
        ))  # fmt: skip


# What is refused


class Planted:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("ran",)


def with_pickle() -> None:
    np.savez("data.npz", x=np.array([Planted()], object), labels=np.array([0]))


def no_labels() -> None:
    np.savez("data.npz", x=np.zeros((2, 8)))


def fewer_labels() -> None:
    np.savez("data.npz", x=np.zeros((2, 8)), labels=np.zeros(3, int))


def wrong_shape() -> None:
    np.savez("data.npz", x=np.zeros((2, 7)), labels=np.zeros(2, int))


def wrong_type() -> None:
    np.savez("data.npz", x=np.full((2, 8), "a"), labels=np.zeros(2, int))


def other_names() -> None:
    np.savez("data.npz", images=np.zeros((2, 8)), labels=np.zeros(2, int))


def no_archive() -> None:
    Path("data.npz").write_text("no archive")


def pipe() -> None:
    os.mkfifo("data.npz")


ARCHIVES: dict[str, tuple[Callable[[], None], str]] = {
    "pickle": (with_pickle, r"data.npz cannot be read: an array of the type \|O is no tensor"),
    "no labels": (no_labels, "data.npz has no 'labels' or 'label'; it has: x"),
    "fewer labels": (fewer_labels, "data.npz: 'x' has 2 examples, the labels 3"),
    "wrong shape": (wrong_shape, r"example 0 has the shape \[7\] for the input x:float32\[batch,8"),
    "wrong type": (wrong_type, "example 0 has str32 for the input 'x', which is float32"),
    "other names": (other_names, "data.npz has no array for the input 'x'"),
    "no archive": (no_archive, "data.npz cannot be read: File is not a zip file"),
    "pipe": (pipe, "data.npz is a pipe, not a file"),
    "absent": (lambda: None, "no such file: data.npz"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_what_is_wrong_with_an_archive_is_one_line(folder: Path, case: str) -> None:
    make, what = ARCHIVES[case]
    make()

    with pytest.raises(InputError, match=what):
        batches(opened("data.npz"))
    assert not Path("ran").exists()


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused_unread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes of it may be gigabytes once they are unpacked."""
    np.savez_compressed("data.npz", x=np.zeros((100_000, 8)), labels=np.zeros(100_000, int))
    monkeypatch.setattr(archives, "LARGEST", 1_000_000)
    monkeypatch.setattr(tensors, "read_npz", lambda path: pytest.fail("it was read"))

    with pytest.raises(InputError, match=r"data\.npz unpacks to 7\.2\d?.MB, 1\.00.MB are the most"):
        opened("data.npz")


def many_columns() -> None:
    Path("data.csv").write_text(",".join(f"c{i}" for i in range(1_000_000)) + "\n")


def no_text() -> None:
    Path("data.csv").write_bytes(b"\xff\xfe\x00")


TABLES: dict[str, tuple[Callable[[], None] | str, str]] = {
    "a million columns": (many_columns, "data.csv has more than 10,000 columns"),
    "no rows": ("x,label\n", "data.csv has no rows"),
    "no head": ("", "data.csv has no head"),
    "one name twice": ("a,a\n1,2\n", "data.csv has no head that names each column once"),
    "a row too short": ("a,label\n1,2\n3\n", "data.csv: row 2 has 1 cells, the head has 2"),
    "no label": ("a,label\n1,x\n3,\n", "data.csv has no label in row 2"),
    "no label column": ("a,b\n1,2\n", "data.csv has no 'labels' or 'label'; it has: a, b"),
    "no text for it": ("t,label\nhello,1\n", "data.csv has no column for the input 'x'; it has: t"),
    "too few": ("a,label\n1,1\n", r"example 0 has the shape \[1\] for the input x:float32"),
    "no text": (no_text, "is no CSV that"),
}


@pytest.mark.parametrize("case", TABLES)
def test_what_is_wrong_with_a_table_is_one_line(folder: Path, case: str) -> None:
    make, what = TABLES[case]
    if isinstance(make, str):
        Path("data.csv").write_text(make)
    else:
        make()

    with pytest.raises(InputError, match=what):
        batches(opened("data.csv"))


def test_a_damaged_parquet_is_one_line(folder: Path) -> None:
    Path("data.parquet").write_bytes(b"PAR1 and no more")

    with pytest.raises(InputError, match=r"data\.parquet is no Parquet that can be read: "):
        opened("data.parquet")


def test_a_picture_that_claims_too_many_pixels_takes_no_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pictured(folder)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 100)
    processor(folder)
    model = image_model(folder)

    with pytest.raises(
        InputError, match=r"photos/ant/0.png claims 12 × 9 pixels, 100 are the most"
    ):
        batches(opened("photos", model), model)

    (path / "ant" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"photos/ant/0.png is no picture that can be read"):
        batches(opened("photos", model), model)


def empty(folder: Path) -> None:
    (folder / "photos").mkdir()


def without_pictures(folder: Path) -> None:
    (folder / "photos" / "cat").mkdir(parents=True)


def unknown_step(folder: Path) -> None:
    pictured(folder)
    processor(folder, do_pad=True)


def other_word(folder: Path) -> None:
    pictured(folder)
    processor(folder, crop_pct=0.875)


def other_kind(folder: Path) -> None:
    pictured(folder)
    processor(folder, image_processor_type="LevitImageProcessor")


def no_filter(folder: Path) -> None:
    pictured(folder)
    processor(folder, image_processor_type="CLIPImageProcessorFast")


def no_processor(folder: Path) -> None:
    pictured(folder)


def no_json(folder: Path) -> None:
    pictured(folder)
    (folder / "preprocessor_config.json").write_text("{")


def huge_size(folder: Path) -> None:
    pictured(folder)
    processor(folder, size={"height": 10**9, "width": 4})


FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "empty": (empty, "photos has no class folders"),
    "without pictures": (without_pictures, "photos has no pictures in its class folders"),
    "unknown step": (unknown_step, "preprocessor_config.json asks for do_pad, which is not done"),
    "unknown word": (other_word, "preprocessor_config.json asks for crop_pct, which is not done"),
    "unknown kind": (other_kind, "preprocessor_config.json is of the kind 'Levit', which is not"),
    "no filter": (no_filter, "preprocessor_config.json does not say by which filter it resizes"),
    "no processor": (no_processor, "there is no preprocessor_config.json beside the model"),
    "no JSON": (no_json, "preprocessor_config.json beside the model is no JSON"),
    "huge size": (huge_size, "preprocessor_config.json: size has a side of 1000000000 pixels"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_what_is_wrong_with_a_folder_is_one_line(folder: Path, case: str) -> None:
    make, what = FOLDERS[case]
    make(folder)

    with pytest.raises(InputError, match=what):
        opened("photos", image_model(folder))


def test_a_link_to_a_pipe_among_the_pictures_is_refused(folder: Path) -> None:
    path = pictured(folder)
    os.mkfifo(folder / "pipe")
    (path / "ant" / "a.png").symlink_to(folder / "pipe")
    processor(folder)
    model = image_model(folder)

    with pytest.raises(InputError, match=r"a.png is a pipe, not a file"):
        batches(opened("photos", model), model)


@pytest.mark.parametrize("name", extra.PACKAGES)
def test_a_missing_package_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(EnvironmentFault, match=f"reading needs {extra.PACKAGES[name]}") as raised:
        extra.module(name, "reading")
    assert raised.value.cures[0].startswith("pip install 'onnx-verdict[data]'")


@pytest.mark.parametrize(
    ("shape", "rows"),
    [
        (("batch", 8), reading.BatchSize(reading.FIRST_ROWS, reading.MOST_ROWS)),
        ((5, 8), reading.BatchSize(5, 5, is_fixed=True)),
        (None, reading.BatchSize(reading.FIRST_ROWS, reading.MOST_ROWS)),
    ],
)
def test_a_batch_is_as_large_as_the_file_fixes(
    shape: tuple[int | str, ...] | None, rows: reading.BatchSize
) -> None:
    inputs = [TensorSpec("x", "float32", shape)]

    assert reading.batch_size(inputs, {"x": np.zeros(8, np.float32)}) == rows


def test_large_examples_make_small_batches() -> None:
    inputs = [TensorSpec("x", "float32", ("batch", 1 << 21))]

    assert reading.batch_size(inputs, {"x": np.zeros(1 << 21, np.float32)}) == reading.BatchSize(
        2, 2
    )


def test_batches_grow_while_they_are_quick_and_end_at_the_next_look() -> None:
    rows = reading.BatchSize(32, 100)
    rows.quicker(1.0)
    assert rows.now == 32
    rows.quicker(1e-4)
    rows.quicker(1e-4)
    assert rows.now == 64
    assert [rows.until(place) for place in (1000, 64, 40, 3)] == [64, 64, 32, 2]


def test_a_batch_that_the_file_fixes_is_never_cut() -> None:
    rows = reading.BatchSize(32, 1024, is_fixed=True)
    rows.quicker(1e-4)

    assert (rows.now, rows.until(5)) == (32, 32)


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.bool_])
def test_rows_that_are_one_hot_are_classes(folder: Path, kind: type[np.generic]) -> None:
    """A mean square of such rows would pass any gate on accuracy."""
    classes = np.array([2, 0, 1, 2])
    rows = np.eye(3, dtype=kind)[classes]
    np.savez(folder / "data.npz", x=np.zeros((4, 8), np.float32), labels=rows)

    (batch,) = batches(opened("data.npz"))

    assert batch.labels.tolist() == classes.tolist()


def test_rows_of_several_labels_stay_what_they_are(folder: Path) -> None:
    rows = np.array([[1, 0, 1], [0, 1, 0]])
    np.savez(folder / "data.npz", x=np.zeros((2, 8), np.float32), labels=rows)

    (batch,) = batches(opened("data.npz"))

    assert batch.labels.tolist() == rows.tolist()
