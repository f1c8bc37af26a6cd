"""ONNX Runtime. Its CPU and CUDA providers, by Session.run or with IO binding."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ProviderFailed, TargetError
from toolkit.runtimes.base import (
    CPU,
    CUDA,
    Call,
    Moves,
    Option,
    Placement,
    Program,
    Provider,
    Runtime,
    Session,
    unlikely,
)
from toolkit.tensors import BITS, Array, Feed

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"
"""ONNX Runtime's own names of its providers."""

TYPES = {"float": "float32", "double": "float64"}
"""ONNX Runtime's names of types, where they differ, → ONNX's."""

HALF_BYTES = ("int4", "uint4", "float4e2m1")
"""ONNX's types of 4 bits."""

NO_GRAPH = -1
"""The number by which ONNX Runtime neither captures a run as a CUDA graph nor replays one."""

OLDEST = (1, 24)
"""The first version whose sessions tell the placement of every node. The older question,
`get_available_providers`, proves nothing: it lists what was compiled in, and the session falls back
to the CPU in silence."""


class OnnxRuntime(Runtime):
    """ONNX Runtime, from any of its packages but those that are runtimes of their own here."""

    name = "onnxruntime"
    # Annotated, since classes that derive from this one have other values.
    distributions: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu")
    requirements: ClassVar[tuple[str, ...]] = ("onnxruntime==1.32.0", "numpy==2.4.6")
    licence = "MIT"
    module = "onnxruntime"
    writes_optimised: ClassVar[bool] = True
    providers: ClassVar[tuple[Provider | str, ...]] = (
        CPU,
        replace(
            CUDA,
            # By itself [cuda] brings no cuBLAS: that comes with [cudnn].
            requirements=("onnxruntime-gpu[cuda,cudnn]==1.31.1", "numpy==2.4.6"),
            explained_by_doctor=True,
        ),
    )
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the session", ("numpy", "bound")),
        "optimize": Option(
            "all", "graph optimisations", ("none", "basic", "extended", "layout", "all")
        ),
        "spinning": Option("off", "idle threads wait in a loop", ("off", "on")),
        "plan": Option("on", "the memory of a shape is planned at its first call", ("on", "off")),
        "tf32": Option("off", "cuda: multiply in TensorFloat-32", ("off", "on")),
        "graph": Option("off", "cuda, io=bound: replay a run as one CUDA graph", ("off", "on")),
        "device": Option("0", "cuda: the number of the GPU"),
        "int8": Option(
            "fast",
            "cpu without VNNI: 'fast' adds products of bytes in 16 bits, which may saturate",
            ("fast", "exact"),
        ),
    }
    variants = ({}, {"io": "bound"})
    # R7: the official wheels report usage to their maker unless this is set before the import:
    # disable_telemetry_events() comes too late, when files and a thread are there.
    environment: ClassVar[Mapping[str, str]] = {"ORT_DISABLE_TELEMETRY": "1"}
    own_names: ClassVar[Mapping[str, str]] = {CPU_PROVIDER: "cpu", CUDA_PROVIDER: "cuda"}
    """ONNX Runtime's names of the providers → the names that a user types."""

    def version(self) -> str:
        import onnxruntime

        version = getattr(onnxruntime, "__version__", "")
        if not version:
            raise TargetError(
                "the installation of onnxruntime is broken: the package is an empty folder",
                "toolkit doctor    says how to repair it",
            )
        if tuple(map(int, version.split(".")[:2])) < OLDEST:
            raise TargetError(
                f"onnxruntime {version} does not tell where its nodes run; 1.24 or newer does"
            )
        self.check_package(_package())
        return str(version)

    def precision(self, options: Mapping[str, str]) -> str:
        return "tf32" if options["tf32"] == "on" else "float32"

    def check_package(self, package: str) -> None:
        """Raises TargetError for the files of a package that is another runtime here."""
        if package == "onnxruntime-openvino":
            raise TargetError(
                "this environment holds onnxruntime-openvino in place of onnxruntime",
                "--target onnxruntime-openvino    measures that",
            )

    def provider_options(
        self, program: Program, provider: str, options: Mapping[str, str]
    ) -> dict[str, str]:
        """The options with which ONNX Runtime starts the provider. Raises TargetError for options
        that would do nothing."""
        if provider == "cpu":
            for key in ("tf32", "graph", "device"):
                if options[key] != self.options[key].default:
                    raise TargetError(f"{key}={options[key]} is for cuda alone")
            return {}
        if options["int8"] != self.options["int8"].default:
            raise TargetError(f"int8={options['int8']} is for the cpu alone")
        if not options["device"].isdecimal():
            raise TargetError(f"device={options['device']} is not the number of a GPU, such as 0")
        if options["graph"] == "on" and options["io"] != "bound":
            raise TargetError("a CUDA graph replays what lies in fixed buffers: add io=bound")
        return {
            "device_id": options["device"],
            "use_tf32": _flag(options["tf32"]),
            "enable_cuda_graph": _flag(options["graph"]),
        }

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        import onnxruntime as ort

        asked = next(long for long, name in self.own_names.items() if name == provider)
        provider_setup = (asked, self.provider_options(program, provider, options))
        if asked not in ort.get_available_providers():
            raise ProviderFailed(
                f"the onnxruntime installed here ({ort.__version__}) is built without {provider}"
            )
        if provider == "cuda":
            ort.preload_dlls()  # The CUDA libraries that pip installed lie on no search path.
        session = _session(program, provider_setup, options)
        # A provider that did not start leaves a warning on the log and a session on the CPU, even
        # with enable_fallback=0. Only the session's own providers and its placement are proof.
        if asked not in session.get_providers():
            raise ProviderFailed(f"{asked} did not start; onnxruntime would have run on the cpu")
        placement = _placement(session, provider, self.own_names)
        if placement.elsewhere and not placement.nodes.get(provider):
            raise TargetError(f"no node of this model runs on {asked}")
        return OrtSession(session, provider, options, placement)


class OrtSession(Session):
    """One InferenceSession."""

    def __init__(
        self, session: Any, provider: str, options: Mapping[str, str], placement: Placement
    ) -> None:
        self._session = session
        self._provider = provider
        self._graphs = itertools.count(1) if options.get("graph") == "on" else None
        self._device = int(options.get("device", "0"))
        self._placement = placement
        self._outputs = [output.name for output in session.get_outputs()]
        self._types = {node.name: _type(node.type) for node in session.get_inputs()}
        self._output_types = {node.name: _type(node.type) for node in session.get_outputs()}
        # Session.run neither takes nor gives a type that numpy lacks.
        types = (*self._types.values(), *self._output_types.values())
        self._bound = options["io"] == "bound" or any(kind in BITS for kind in types)

    def bind(self, feed: Feed) -> Call:
        return self._bind_buffers(feed) if self._bound else self._bind_numpy(feed)

    def placement(self) -> Placement:
        return self._placement

    def output_types(self) -> Mapping[str, str]:
        return self._output_types

    def copies(self) -> str:
        if self._bound:
            return "inputs and outputs stay in the runtime's buffers"
        if self._provider == "cuda":
            return "inputs are copied to the GPU and outputs back"
        return "numpy arrays in, new numpy arrays out"

    def _bind_numpy(self, feed: Feed) -> Call:
        ready = {name: _contiguous(array) for name, array in feed.items()}
        session, names = self._session, self._outputs

        def run() -> Any:  # Not a partial: see `_runner`.
            return session.run(names, ready)

        return Call(run, self._named, moves=partial(self._moves, ready))

    def _moves(self, ready: Feed) -> Moves | None:
        """Makes the copies of a call. On the CPU inputs are read where they lie; outputs are new
        numpy arrays on any device. None for strings, which have no buffers.

        A run fills the outputs. Made in `bind`, it was the true first call, which no cold start
        saw, and every answer that is only judged took two runs.
        """
        if any(array.dtype.kind == "O" for array in ready.values()):
            return None
        inputs = [partial(self._value, array, self._types[name]) for name, array in ready.items()]
        values = [copy() for copy in inputs]
        binding = self._session.io_binding()
        for name, value in zip(ready, values, strict=True):
            binding.bind_ortvalue_input(name, value)
        device = "cpu" if self._provider == "cpu" else "cuda"
        for name in self._outputs:
            binding.bind_output(name, device, self._device if device == "cuda" else 0)
        self._session.run_with_iobinding(binding)
        outputs = binding.get_outputs()
        into = None if self._provider == "cpu" else partial(_each, inputs)
        return Moves(into, partial(_each, [value.numpy for value in outputs]))

    def _bind_buffers(self, feed: Feed) -> Call:
        """Makes a call whose inputs and outputs lie in buffers of the device; a first run tells the
        outputs' shapes."""
        binding = self._session.io_binding()
        ready = [_as_bytes(_contiguous(feed[name]), self._types[name]) for name in feed]
        inputs = [
            self._value(array, self._types[name]) for name, array in zip(feed, ready, strict=True)
        ]
        for name, value in zip(feed, inputs, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding, self._run_options(graph=NO_GRAPH))
        first = binding.get_outputs()
        values = [
            self._value(np.zeros_like(_array(value)), self._output_types[name])
            for name, value in zip(self._outputs, first, strict=True)
        ]
        for name, value in zip(self._outputs, values, strict=True):
            binding.bind_ortvalue_output(name, value)
        options = self._run_options(graph=next(self._graphs)) if self._graphs else None
        run = _runner(self._session, binding, options)
        return Call(
            run if self._provider == "cpu" else partial(_run_and_wait, run, binding),
            partial(self._left, values, [ready, inputs]),
            partial(_forget, values),
            Moves(),
        )

    def _run_options(self, *, graph: int) -> Any:
        """The options of a run that captures or replays the CUDA graph of this number, one for each
        feed. None without graphs."""
        if self._graphs is None:
            return None
        import onnxruntime as ort

        run_options = ort.RunOptions()
        run_options.add_run_config_entry("gpu_graph_id", str(graph))
        return run_options

    def _left(
        self, values: Sequence[Any], inputs: Sequence[Any], result: object
    ) -> dict[str, Array]:
        """Reads the outputs that a run left in the buffers. `inputs` live as long as the call: on
        the CPU they are numpy's own memory, which the binding of 1.24 reads and does not hold."""
        return self._named([_array(value) for value in values])

    def _value(self, array: Array, kind: str) -> Any:
        import onnxruntime as ort

        device = "cuda" if self._provider == "cuda" else "cpu"
        if kind in BITS:
            from onnx import TensorProto  # The number of a type in the ONNX standard.

            number = TensorProto.DataType.Value(kind.upper())
            return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, number)
        return ort.OrtValue.ortvalue_from_numpy(array, device, self._device)

    def _named(self, arrays: Sequence[Any]) -> dict[str, Array]:
        return {
            name: np.asarray(array, dtype=np.str_ if _is_text(array) else None)
            for name, array in zip(self._outputs, arrays, strict=True)
        }


def _package() -> str:
    """The name of the package whose files these are, as its build wrote it; empty where it did not.

    Several packages own the folder `onnxruntime`, and the metadata of all of them may be there.
    """
    try:
        from onnxruntime.capi import build_and_package_info
    except ImportError:
        return ""
    return str(getattr(build_and_package_info, "package_name", ""))


def _session(
    program: Program, provider_setup: tuple[str, dict[str, str]], options: Mapping[str, str]
) -> Any:
    """A session on a provider with its options; its fall-back to the CPU is off if the whole model
    runs on that provider."""
    import onnxruntime as ort

    # Without enable_fallback=0 the constructor prints some errors and tries again on the CPU;
    # session.disable_fallback() comes too late for that.
    make = partial(
        ort.InferenceSession, str(program.model), providers=[provider_setup], enable_fallback=0
    )
    if provider_setup[0] == CPU_PROVIDER:
        return make(sess_options=_session_options(program, options, strict=False))
    try:
        return make(sess_options=_session_options(program, options, strict=True))
    except Exception as error:  # onnxruntime's errors have no common base.
        if "fallback" not in str(error).lower():
            raise
        return make(sess_options=_session_options(program, options, strict=False))


def _session_options(program: Program, options: Mapping[str, str], *, strict: bool) -> Any:
    import onnxruntime as ort

    levels = {
        "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        "layout": ort.GraphOptimizationLevel.ORT_ENABLE_LAYOUT,
        "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    }
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = program.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 2  # Warnings: a provider that does not start says why there.
    settings.graph_optimization_level = levels[options["optimize"]]
    # Planning takes time in the square of the tensors that are alive at once. The first call of
    # 20,000 products of one input, which are added up, took 12.4 s, and 2.2 s unoptimised; without
    # a plan it took 0.04 s.
    settings.enable_mem_pattern = options.get("plan", "on") == "on"
    # Threads that spin take the core from the next one that has work: on two shared cores
    # squeezenet took 13.9 ms with spinning and 7.7 ms without.
    settings.add_session_config_entry("session.intra_op.allow_spinning", _flag(options["spinning"]))
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # R3: a MatMul with a DequantizeLinear of 4-bit weights becomes a MatMulNBits, by default one
    # that rounds its activations to int8: an encoder was off by 1.4e-2 instead of 5e-7.
    settings.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if options.get("int8") == "exact":
        # Where the processor has no VNNI, signed weights are then multiplied as unsigned ones;
        # elsewhere the library ignores it.
        settings.add_session_config_entry("session.x64quantprecision", "1")
    if program.optimised is not None:
        settings.optimized_model_filepath = str(program.optimised)
        beside = "session.optimized_model_external_initializers_"
        settings.add_session_config_entry(f"{beside}file_name", "weights")
        settings.add_session_config_entry(f"{beside}min_size_in_bytes", "1024")
    if strict:
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return settings


def _flag(choice: str) -> str:
    """'on' and 'off' as ONNX Runtime's options have them."""
    return "1" if choice == "on" else "0"


def _placement(session: Any, asked: str, own_names: Mapping[str, str]) -> Placement:
    """The provider of each node of the graph, before fusion. The library does not list copies."""
    nodes: dict[str, int] = {}
    elsewhere: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        name = own_names.get(part.ep_name, part.ep_name)
        placed = part.get_nodes()
        nodes[name] = nodes.get(name, 0) + len(placed)
        if name != asked:
            elsewhere.setdefault(name, []).extend(node.op_type for node in placed)
    copies = 0 if asked == "cpu" else None
    return Placement(nodes, {name: tuple(ops) for name, ops in elsewhere.items()}, copies)


def _type(text: str) -> str:
    """The ONNX type in ONNX Runtime's name of it: 'tensor(float)' → 'float32'."""
    inner = text.removeprefix("tensor(").removesuffix(")")
    return TYPES.get(inner, inner)


def _contiguous(array: Array) -> Array:
    # Strings: onnxruntime takes Python objects, not numpy's fixed-width text.
    return np.asarray(array.astype(object) if array.dtype.kind == "U" else array, order="C")


def _is_text(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == object


def _as_bytes(array: Array, kind: str) -> Array:
    """Gives an input the bytes that the library reads: of types of 4 bits it reads two from each
    byte, the first from the lower half, in a buffer whose shape is that of the elements."""
    if kind not in HALF_BYTES:
        return array
    halves = np.append(array.reshape(-1), np.zeros(array.size % 2, array.dtype)) & 0x0F
    packed = np.zeros_like(array)
    packed.reshape(-1)[: halves.size // 2] = halves[::2] | halves[1::2] << 4
    return packed


def _array(value: Any) -> Array:
    """Gives what a value on the CPU holds; the bits of a type that numpy lacks."""
    kind = _type(value.data_type())
    if kind in BITS and kind not in HALF_BYTES:  # `numpy()` refuses bfloat16 (1.32).
        shape, dtype = tuple(value.shape()), np.dtype(BITS[kind])
        buffer = (ctypes.c_char * (math.prod(shape) * dtype.itemsize)).from_address(
            value.data_ptr()
        )
        return np.frombuffer(buffer, dtype).reshape(shape).copy()
    array: Array = value.numpy()
    # A type that numpy lacks comes as an extension type: its bits travel.
    return array if array.dtype.kind in "biufcO" else array.view(f"u{array.dtype.itemsize}")


def _forget(values: Sequence[Any]) -> None:
    """Overwrites every output buffer with a value that hardly any model gives; strings stay."""
    for value in values:
        array = _array(value)
        if array.dtype.kind == "O":
            continue
        value.update_inplace(np.full_like(array, unlikely(array.dtype)))


def _runner(session: Any, binding: Any, options: Any) -> Callable[[], None]:
    """The call that is timed: a function, since onnxruntime's method is written in Python, and a
    function reaches it without leaving the interpreter, which a partial does not."""

    def plain() -> None:
        session.run_with_iobinding(binding)

    def with_options() -> None:
        session.run_with_iobinding(binding, options)

    return plain if options is None else with_options


def _each(steps: Sequence[Callable[[], Any]]) -> None:
    for step in steps:
        step()


def _run_and_wait(run: Callable[[], None], binding: Any) -> None:
    run()
    binding.synchronize_outputs()


RUNTIME = OnnxRuntime
