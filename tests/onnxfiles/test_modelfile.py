"""Files are read as far as they are whole; each way in which one can be wrong is one line."""

from __future__ import annotations

import hashlib
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests import small
from tests.hostile.graphs import calling
from toolkit.errors import InputError
from toolkit.onnxfiles import content, modelfile
from toolkit.tensors import TensorSpec

TEXT = """
<ir_version: 10, opset_import: ["" : 20, "com.example" : 1], producer_name: "hand"
 , producer_version: "1.0", metadata_props: ["who": "me"]>
g (float[batch, 4] x, int64[batch, "n + 1"] ids, float w) => (float[batch, 3] y)
<float[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, int64[1] shape = {3}>
{
    h = MatMul (x, w)
    y = Relu (h)
}
"""


def sample() -> ModelProto:
    text = TEXT.replace('"n + 1"', "n").replace(', "com.example" : 1', "")
    return onnx.parser.parse_model(text.replace(", float w)", ")"))


def put(tmp_path: Path, model: ModelProto, name: str = "m.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(model.SerializeToString())
    return path


def external(tmp_path: Path, location: str = "w.bin", **entries: str) -> Path:
    """A model whose weights, 48 bytes, should lie in `location`."""
    model = sample()
    tensor = model.graph.initializer[0]
    raw = numpy_helper.to_array(tensor).tobytes()
    tensor.ClearField("float_data")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "w.bin").write_bytes(raw)
    return put(tmp_path, model)


def test_the_facts_of_a_file(tmp_path: Path) -> None:
    path = put(tmp_path, sample())
    facts = modelfile.read(path)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.size == path.stat().st_size
    assert (facts.name, facts.opset, facts.ir_version) == ("m.onnx", 20, 10)
    assert (facts.producer, facts.metadata) == ("hand 1.0", {"who": "me"})
    assert facts.operators == {"MatMul": 1, "Relu": 1}
    assert facts.inputs == (
        TensorSpec("x", "float32", ("batch", 4)),
        TensorSpec("ids", "int64", ("batch", "n")),
    )
    assert facts.outputs == (TensorSpec("y", "float32", ("batch", 3)),)
    assert facts.dynamic() == ("batch", "n")


def test_indices_and_shapes_are_no_parameters(tmp_path: Path) -> None:
    assert modelfile.read(put(tmp_path, sample())).parameters == 12


def test_an_initializer_that_is_an_input_too_is_not_fed(tmp_path: Path) -> None:
    model = sample()
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )
    assert [spec.name for spec in modelfile.read(put(tmp_path, model)).inputs] == ["x", "ids"]


def test_operators_of_subgraphs_and_other_domains_are_counted(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 20, "com.example" : 1]>
        g (bool c, float[2] x) => (float[2] y)
        {
            z = com.example.Odd (x)
            y = If (c) <
                then_branch = a () => (float[2] p) { p = Relu (z) },
                else_branch = b () => (float[2] q) { q = Neg (z) }
            >
        }
        """
    )
    facts = modelfile.read(put(tmp_path, model))
    assert facts.operators == {"If": 1, "Neg": 1, "Relu": 1, "com.example.Odd": 1}


def test_one_opset_that_is_stated_twice_is_one(tmp_path: Path) -> None:
    model = sample()
    model.opset_import.append(model.opset_import[0])

    assert modelfile.read(put(tmp_path, model)).opset == 20


def test_external_data_counts_in_hash_and_size_and_loads(tmp_path: Path) -> None:
    path = external(tmp_path)
    facts = modelfile.read(path)
    both = path.read_bytes() + (tmp_path / "w.bin").read_bytes()
    assert facts.sha256 == hashlib.sha256(both).hexdigest()
    assert facts.size == len(both)
    opened = modelfile.open_once(path)
    assert opened.facts == facts
    assert opened.complete() == modelfile.load(path)
    assert opened.model != opened.complete()  # The bytes of its tensors are not its own.
    weights = numpy_helper.to_array(modelfile.load(path).graph.initializer[0])
    assert np.array_equal(weights, np.arange(1, 13, dtype=np.float32).reshape(4, 3))


def test_unknown_rank_and_dimensions_without_a_name(tmp_path: Path) -> None:
    model = sample()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    model.graph.input[1].type.tensor_type.shape.dim[0].Clear()
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = -1
    inputs = modelfile.read(put(tmp_path, model)).inputs
    assert [spec.shape for spec in inputs] == [None, (None, None)]


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"hello\nworld\n", "is a text file, not an .onnx file"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is a PNG picture"),
    "torch": (b"PK\x03\x04" + bytes(99), "is a zip archive; PyTorch's .pt and .pt2 files are such"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "is a Git LFS pointer, not the file itself",
    ),
    "noise": (bytes(range(200, 256)) * 9, "is not an .onnx file"),
    "zeros": (bytes(500), "is not an .onnx file"),
    "half": (
        sample().SerializeToString()[:-40],
        "is damaged: it begins as an .onnx file and breaks off",
    ),
    "head": (
        sample().SerializeToString()[:2],
        "is damaged: it begins as an .onnx file and breaks off",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_whole_file_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    content, what = BROKEN[kind]
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        modelfile.read(path)
    assert raised.value.what == f"{path} {what}"


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    model = sample()
    del model.metadata_props[:]  # Last in a file, and nothing tells that they are missing.
    whole = model.SerializeToString()
    path = tmp_path / "m.onnx"
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            modelfile.read(path)


def test_a_file_with_bytes_changed_at_random_is_refused_in_one_line_or_read(
    tmp_path: Path,
) -> None:
    path, seeded = external(tmp_path), random.Random(0)
    whole = path.read_bytes()
    refusals = []
    for _ in range(600):
        content = bytearray(whole)
        for _ in range(seeded.randint(1, 3)):
            content[seeded.randrange(len(content))] = seeded.randrange(256)
        path.write_bytes(content)
        try:
            modelfile.read(path)
            modelfile.load(path)
        except InputError as error:
            refusals.append(error.what)
    assert 400 < len(refusals) < 600
    assert not [what for what in refusals if "\n" in what]


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no such file: .*/missing\.onnx$"):
        modelfile.read(tmp_path / "missing.onnx")
    with pytest.raises(InputError, match=r" is a folder, not an \.onnx file$"):
        modelfile.read(tmp_path)


def change_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 999


def change_ir(model: ModelProto) -> None:
    model.ir_version = 99


def drop_opset(model: ModelProto) -> None:
    del model.opset_import[:]


def make_sequence(model: ModelProto) -> None:
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT


def make_map(model: ModelProto) -> None:
    model.graph.input[0].type.map_type.key_type = TensorProto.INT64
    model.graph.input[0].type.map_type.value_type.tensor_type.elem_type = TensorProto.FLOAT


def make_optional(model: ModelProto) -> None:
    model.graph.input[0].type.optional_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT


def shorten(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), "w"))
    tensor.raw_data = tensor.raw_data[:-8]


def negative(model: ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -4


def unknown_type(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 77


def unknown_weights(model: ModelProto) -> None:
    model.graph.initializer[0].data_type = 77


def dangle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "nobody"


REFUSED: dict[Callable[[ModelProto], None], str] = {
    change_opset: r"has opset 999; the installed onnx .* knows up to \d+$",
    change_ir: r"has IR version 99; the installed onnx .* knows up to \d+$",
    drop_opset: r"is damaged: it states no opset$",
    make_sequence: r"the input 'x' is a sequence; only tensors can be fed and compared$",
    make_map: r"the input 'x' is a map; only tensors can be fed and compared$",
    make_optional: r"the input 'x' is an optional; only tensors can be fed and compared$",
    shorten: r"the tensor 'w' of shape \[4, 3\] needs 48 bytes and has 40$",
    negative: r"the tensor 'w' has a negative size$",
    unknown_type: r"'x' is of the type 77, which the installed onnx .* does not know$",
    unknown_weights: r"'w' is of the type 77, which the installed onnx .* does not know$",
    dangle: r"is refused by the ONNX checker: .*nobody",
}


@pytest.mark.parametrize("fault", REFUSED, ids=lambda fault: fault.__name__)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, fault: Callable[[ModelProto], None]
) -> None:
    model = sample()
    fault(model)
    with pytest.raises(InputError, match=REFUSED[fault]) as raised:
        modelfile.read(put(tmp_path, model))
    assert "\n" not in raised.value.what


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "sub/../../w.bin", ""])
def test_external_data_outside_the_folder_is_not_opened(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(48))
    with pytest.raises(InputError, match=r"is outside its folder; such a file is not opened$"):
        modelfile.read(external(folder, location))


def test_a_link_that_leads_outside_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = external(folder)
    os.replace(folder / "w.bin", tmp_path / "w.bin")
    (folder / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(InputError, match=r"'w.bin', which is outside its folder"):
        modelfile.load(path)


def test_missing_external_data_names_the_file_and_where_it_goes(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(InputError) as raised:
        modelfile.read(path)
    assert raised.value.what == f"{path} has its weights in w.bin, which is not there"
    assert raised.value.cures == (f"put w.bin into {tmp_path}/",)


@pytest.mark.parametrize("entries", [{"offset": "8"}, {"length": "4"}, {"offset": "-4"}], ids=str)
def test_external_data_that_is_too_short_is_refused(
    tmp_path: Path, entries: dict[str, str]
) -> None:
    with pytest.raises(InputError, match=r"w.bin is too short for the tensor 'w'"):
        modelfile.read(external(tmp_path, **entries))


def test_an_offset_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the place of 'w' in w.bin is no number"):
        modelfile.read(external(tmp_path, offset="many"))


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever, and a device has no end."""
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)

    with pytest.raises(InputError, match=r" is a named pipe, not an \.onnx file$"):
        modelfile.read(pipe)
    with pytest.raises(InputError, match=r"^/dev/zero is a device, not an \.onnx file$"):
        modelfile.read(Path("/dev/zero"))


def test_a_file_beyond_protobufs_end_is_told_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(content.LARGEST + 1)

    with pytest.raises(InputError, match=r"an \.onnx file ends at 2 GiB") as caught:
        modelfile.read(path)

    assert caught.value.cures[0].startswith("onnx.save_model(")


def test_functions_that_would_write_out_an_endless_graph_are_counted(tmp_path: Path) -> None:
    few, many, circle = (tmp_path / f"{name}.onnx" for name in ("few", "many", "circle"))
    onnx.save(calling(3, 2, "Neg"), few)
    onnx.save(calling(30, 2, "Neg"), many)
    onnx.save(calling(3, 2, "F1"), circle)

    assert modelfile.read(few).operators == {"d.F0": 1}
    with pytest.raises(InputError, match=r"so often that it has 1,073,741,824 nodes"):
        modelfile.read(many)
    with pytest.raises(InputError, match=r": its function 'F\d' calls itself$"):
        modelfile.read(circle)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [([], " has no outputs: "), (["y", "y"], r" lists the output 'y' twice: ")],
    ids=["none", "twice"],
)
def test_outputs_that_cannot_be_compared_are_told(
    tmp_path: Path, outputs: list[str], said: str
) -> None:
    path = tmp_path / "m.onnx"
    x, *values = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ["x", *outputs])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [x], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())

    with pytest.raises(InputError, match=said):
        modelfile.read(path)


def test_a_name_that_is_no_utf8_is_told_as_it_is(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.onnx"))
    path.write_bytes(b"")

    with pytest.raises(InputError, match=r"caf\\udce9\.onnx is no UTF-8"):
        modelfile.read(path)


def test_weights_with_a_second_hard_link_are_read(tmp_path: Path) -> None:
    """Caches of packages and models make them; ONNX's checker refuses such a file by its path."""
    path = tmp_path / "m.onnx"
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y], [weight]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.save_model(
        model, str(path), save_as_external_data=True, location="m.data", size_threshold=0
    )
    os.link(tmp_path / "m.data", tmp_path / "cached.data")

    assert modelfile.read(path).parameters == 16


@pytest.mark.parametrize(
    ("kind", "field", "values", "needed"),
    [
        (TensorProto.FLOAT, "float_data", [1.0] * 3, 4),
        (TensorProto.INT64, "int64_data", [1] * 5, 4),
        (TensorProto.COMPLEX64, "float_data", [1.0] * 4, 8),
        (TensorProto.STRING, "string_data", [b"a"], 4),
        (TensorProto.INT4, "int32_data", [1], 2),
    ],
)
def test_a_list_of_values_is_as_long_as_its_shape_says(
    tmp_path: Path, kind: int, field: str, values: list[Any], needed: int
) -> None:
    path = tmp_path / "m.onnx"
    tensor = TensorProto(name="w", data_type=kind, dims=[2, 2])
    getattr(tensor, field).extend(values)
    x, y = (helper.make_tensor_value_info(name, kind, [2, 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    path.write_bytes(model.SerializeToString())

    with pytest.raises(InputError, match=rf"needs {needed} values and has {len(values)}$"):
        modelfile.read(path)


@pytest.mark.process
def test_nodes_that_are_out_of_order_are_named_with_what_orders_them(tmp_path: Path) -> None:
    """As a converter to float16 leaves them, and onnxruntime takes them."""
    path = small.layer(tmp_path / "layer.onnx")
    model = onnx.load(path)
    nodes = [*model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    onnx.save(model, path)

    with pytest.raises(InputError) as raised:
        modelfile.read(path)

    assert f"{nodes[0].output[0]!r} is used before a node gives it" in raised.value.what
    command = shlex.split(raised.value.cures[0].split("    ")[0])
    assert command[:2] == ["python", "-c"]
    subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, check=True)
    assert modelfile.read(tmp_path / "layer-sorted.onnx").operators == {"Gemm": 1, "Relu": 1}
