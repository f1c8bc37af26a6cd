"""Every runtime keeps the rules of toolkit/runtimes/base.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.numpy import save_file

from tests import needs, small
from tests.workers.conftest import Start, start, starting
from toolkit.errors import EnvironmentFault, ProviderFailed, TargetError
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import Program
from toolkit.sources.source import Source
from toolkit.tensors import TensorSpec
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["start"]

DRAW = np.random.default_rng(3)
FEEDS = {rows: DRAW.normal(size=(rows, 64)).astype(np.float32) for rows in (1, 7)}
TARGETS: dict[str, tuple[str, dict[str, str]]] = {
    "onnxruntime": ("onnxruntime", {}),
    "onnxruntime bound": ("onnxruntime", {"io": "bound"}),
    "onnxruntime-openvino": ("onnxruntime-openvino", {}),
    "onnxruntime-openvino bound": ("onnxruntime-openvino", {"io": "bound"}),
    "onnxruntime unoptimised": ("onnxruntime", {"optimize": "none", "plan": "off"}),
    "torch": ("torch", {}),
    "torch compile": ("torch", {"mode": "compile"}),
    "torch aoti": ("torch", {"mode": "aoti"}),
    "executorch": ("executorch", {}),
    "mnn": ("mnn", {}),
    "mnn bound": ("mnn", {"io": "bound"}),
    "ncnn": ("ncnn", {}),
    "ncnn bound": ("ncnn", {"io": "bound"}),
    "opencv": ("opencv", {}),
    "openvino": ("openvino", {}),
    "openvino bound": ("openvino", {"io": "bound"}),
    "iree": ("iree", {}),
    "iree bound": ("iree", {"io": "bound"}),
    "litert": ("litert", {}),
    "litert bound": ("litert", {"io": "bound"}),
    "onnxruntime-node": ("onnxruntime-node", {}),
    "onnxruntime-web in Node": ("onnxruntime-web:wasm", {"in": "node"}),
    "onnxruntime-web in a browser": ("onnxruntime-web:wasm", {}),
    "onnxruntime-web on WebGPU": ("onnxruntime-web:webgpu", {"adapter": "swiftshader"}),
    "reference": ("reference", {}),
    "tinygrad": ("tinygrad", {}),
    "tinygrad bound": ("tinygrad", {"io": "bound"}),
    "tract": ("tract", {}),
    "tract bound": ("tract", {"io": "bound"}),
    "tvm": ("tvm", {}),
    "tvm bound": ("tvm", {"io": "bound"}),
    "fake": ("fake", {}),
}


def mlp_with_source(folder: Path) -> Program:
    """The MLP with its PyTorch source: every runtime can start from it."""
    path = small.mlp(folder / "mlp.onnx")
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}
    names = {"w1": "fc1.weight", "b1": "fc1.bias", "w2": "fc2.weight", "b2": "fc2.bias"}
    save_file({names[k]: v.copy() for k, v in weights.items()}, folder / "w.safetensors")
    plain = small.mlp_program(path)
    source = Source("toolkit.sources.reference:net", folder / "w.safetensors")
    return Program(path, plain.inputs, plain.outputs, source)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return mlp_with_source(tmp_path)


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return mlp_with_source(tmp_path_factory.mktemp("mlp"))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the forms that runtimes make of the model: some take long to make."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture(scope="module", params=TARGETS, ids=str)
def worker(
    request: pytest.FixtureRequest,
    mlp: Program,
    shelf: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Worker]:
    """A worker that has loaded the MLP: one for all tests of a target, in which it goes on after
    every refusal."""
    name, options = TARGETS[request.param]
    runtime, _, provider = name.partition(":")
    with starting(tmp_path_factory.mktemp("worker")) as start:
        try:
            made = start(runtime, provider or "cpu", **options)
        except EnvironmentFault as error:
            needs.absent(f"{error.what}; {error.cures[0]}")
        made.post_hello()
        made.hello()
        yield loaded(made, mlp, shelf)


def loaded(worker: Worker, program: Program, shelf: Path) -> Worker:
    listed, options = worker.spec.entry, worker.spec.options
    runtime = listing.load(listed.module, listed.attribute)
    if runtime.converts(base.settings(type(runtime), options)):  # R8
        folder = shelf / "-".join([listed.name, *options.values()])
        if not folder.exists():
            folder.mkdir()
            worker.convert(program, {"input": FEEDS[1]}, {"input": "float32"}, folder)
        program = replace(program, converted=folder)
    worker.post_load(program)
    worker.load()
    return worker


def test_it_gives_the_models_outputs_at_every_batch(worker: Worker, mlp: Program) -> None:
    for rows, array in FEEDS.items():
        worker.bind(str(rows), {"input": array}, {"input": "float32"})
        outputs, seconds = worker.answer(str(rows))
        assert list(outputs) == ["output"]
        assert outputs["output"].dtype == np.float32
        np.testing.assert_allclose(
            outputs["output"], small.expected(mlp, {"input": array}), atol=1e-6
        )
        assert seconds > 0


def test_what_the_timed_calls_leave_behind_are_the_models_outputs(
    worker: Worker, mlp: Program
) -> None:
    for rows, array in FEEDS.items():
        worker.bind(str(rows), {"input": array}, {"input": "float32"})
    for rows in (1, 7, 1):  # R10: the first feed once more after one of another shape.
        block = worker.sample(str(rows), 30, 2)
        assert len(block.ns) == 30
    for rows, array in FEEDS.items():
        outputs, _ = worker.answer(str(rows), again=False)
        np.testing.assert_allclose(
            outputs["output"], small.expected(mlp, {"input": array}), atol=1e-6
        )
        assert worker.changed(str(rows)) == []


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({}, "the feed lacks the input 'input'"),
        ({"inptu": FEEDS[1]}, "the feed lacks the input 'input'"),
        ({"input": FEEDS[1], "more": FEEDS[1]}, "no input is called 'more'; there are: input."),
        ({"input": FEEDS[1].astype(np.float64)}, "'input' takes float32, the feed has float64"),
        ({"input": FEEDS[1][:, :63]}, "the feed has (1, 63)"),
        ({"input": FEEDS[1][0]}, "the feed has (64,)"),
    ],
    ids=["none", "misspelt", "one more", "other type", "other size", "other rank"],
)
def test_a_feed_that_does_not_fit_is_refused_by_name(
    worker: Worker, feed: dict[str, np.ndarray], said: str
) -> None:
    with pytest.raises(TargetError) as caught:
        worker.bind("a", feed, {})

    assert said in caught.value.what


def test_an_unknown_option_is_refused_with_a_suggestion(start: Start) -> None:
    worker = start("onnxruntime", optimise="none")
    worker.post_hello()

    with pytest.raises(TargetError) as caught:
        worker.hello()

    assert caught.value.what == (
        "no option of onnxruntime is called 'optimise'; there are: device, graph, int8, io, "
        "optimize, plan, spinning, tf32. Did you mean optimize?"
    )


def test_a_file_that_is_no_model_is_an_error_and_no_crash(
    start: Start, program: Program, tmp_path: Path
) -> None:
    (tmp_path / "bad.onnx").write_text("hello")
    bad = Program(tmp_path / "bad.onnx", program.inputs, program.outputs)
    for runtime in ("onnxruntime", "reference"):
        worker = start(runtime)
        worker.post_hello()
        worker.hello()
        worker.post_load(bad)
        with pytest.raises(TargetError):
            worker.load()


def test_cuda_on_a_build_without_it_is_an_error_and_never_the_cpu(
    start: Start, program: Program
) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this build has it: tests/runtimes/test_cuda.py")
    worker = start("onnxruntime", "cuda")
    worker.post_hello()
    hello = worker.hello()
    worker.post_load(program)

    with pytest.raises(TargetError) as caught:
        worker.load()

    assert caught.value.what == (
        f"the onnxruntime installed here ({hello.version}) is built without cuda"
    )


@pytest.mark.parametrize(
    ("provider", "options", "said"),
    [
        ("cuda", {"device": "first"}, "device=first is not the number of a GPU, such as 0"),
        ("cuda", {"graph": "on"}, "a CUDA graph replays what lies in fixed buffers: add io=bound"),
        ("cpu", {"graph": "on", "io": "bound"}, "graph=on is for cuda alone"),
        ("cpu", {"device": "first"}, "device=first is for cuda alone"),
        ("cpu", {"tf32": "on"}, "tf32=on is for cuda alone"),
    ],
    ids=["no number", "graph of numpy", "graph on the cpu", "device of the cpu", "tf32 on the cpu"],
)
def test_an_option_that_would_do_nothing_is_refused_before_the_provider_is_asked_for(
    start: Start, program: Program, provider: str, options: dict[str, str], said: str
) -> None:
    worker = start("onnxruntime", provider, **options)
    worker.post_hello()
    worker.hello()
    worker.post_load(program)

    with pytest.raises(TargetError) as caught:
        worker.load()

    assert caught.value.what == said
    assert not isinstance(caught.value, ProviderFailed)


def test_onnxruntime_rounds_no_activations_of_a_file_with_4_bit_weights(tmp_path: Path) -> None:
    """R3: its optimizer makes MatMulNBits of such a file, by default one with int8 activations."""
    from onnxruntime.quantization import QuantFormat
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    from tests.answers.networks import encoder
    from toolkit.oracle.evaluator import Evaluator
    from toolkit.runtimes.onnxruntime import OnnxRuntime

    quantizer = MatMulNBitsQuantizer(encoder(), block_size=32, quant_format=QuantFormat.QDQ)
    quantizer.process()
    onnx.save(quantizer.model.model, tmp_path / "model.onnx")
    x = np.random.default_rng(0).standard_normal((2, 16, 64)).astype(np.float32)
    (exact,) = Evaluator(quantizer.model.model).run({"x": x}).values()
    settings = {key: option.default for key, option in OnnxRuntime.options.items()}
    specs = [
        TensorSpec(value.name, "float32", ("batch", 16, 64))
        for value in (*quantizer.model.model.graph.input, *quantizer.model.model.graph.output)
    ]
    program = Program(tmp_path / "model.onnx", tuple(specs[:1]), tuple(specs[1:]))

    call = OnnxRuntime().load(program, "cpu", settings).bind({"x": x})
    result = call.run()

    (output,) = call.outputs(result).values()
    assert np.sqrt(np.mean((output - exact) ** 2) / np.mean(exact**2)) < 1e-5


def test_a_bound_buffer_that_no_call_wrote_is_seen(start: Start, program: Program) -> None:
    """`forget` overwrites the buffers, so that stale outputs are never judged."""
    from toolkit.runtimes.onnxruntime import OnnxRuntime

    settings = {key: option.default for key, option in OnnxRuntime.options.items()}
    session = OnnxRuntime().load(program, "cpu", {**settings, "io": "bound"})
    call = session.bind({"input": FEEDS[7]})
    call.run()
    before = call.outputs(None)["output"].copy()

    call.forget()

    assert np.isfinite(before).all()
    assert np.isnan(call.outputs(None)["output"]).all()


def test_an_unknown_runtime_is_refused_with_a_suggestion() -> None:
    with pytest.raises(Exception, match=r"there are: .*fake, .*torch.*\. Did you"):
        listing.find("onnxrt")


def test_a_scalar_stays_a_scalar(start: Start, tmp_path: Path) -> None:
    """numpy's ascontiguousarray would make one dimension of none."""
    half = onnx.numpy_helper.from_array(np.array(0.5, np.float32), "half")
    nodes = [onnx.helper.make_node("Mul", ["x", "half"], ["y"])]
    file = small.save(tmp_path / "scalar.onnx", nodes, {"x": []}, {"y": []}, [half])
    scalar = TensorSpec("x", "float32", ()), TensorSpec("y", "float32", ())
    for io in ("numpy", "bound"):
        worker = start("onnxruntime", io=io)
        worker.post_hello()
        worker.hello()
        loaded(worker, Program(file, scalar[:1], scalar[1:]), tmp_path)
        worker.bind("a", {"x": np.array(3, np.float32)}, {"x": "float32"})
        outputs, _ = worker.answer("a")
        assert (outputs["y"].shape, float(outputs["y"])) == ((), 1.5)


def converted(worker: Worker, program: Program) -> None:
    worker.convert(program, {"x": np.zeros(3, np.uint16)}, {"x": "bfloat16"}, Path("nowhere"))


def only_loaded(worker: Worker, program: Program) -> None:
    worker.post_load(program)
    worker.load()


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("iree", converted),
        ("litert", converted),
        ("openvino", only_loaded),
        ("reference", only_loaded),
        ("tinygrad", only_loaded),
        ("tract", only_loaded),
        ("tvm", converted),
    ],
)
def test_a_type_that_numpy_has_not_is_refused_by_name(
    start: Start, name: str, taken: Callable[[Worker, Program], None]
) -> None:
    """Its bits would be taken for integers."""
    try:
        worker = start(name)
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")
    worker.post_hello()
    worker.hello()
    x, y = (TensorSpec(tensor, "bfloat16", ("n",)) for tensor in "xy")

    with pytest.raises(TargetError) as caught:
        taken(worker, Program(Path("never-read.onnx"), (x,), (y,)))

    assert caught.value.what == f"{name} is not fed bfloat16 here ('x')"
