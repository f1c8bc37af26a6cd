"""ONNX Runtime. Its CPU and CUDA providers, by Session.run or with IO binding."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from toolkit.errors import ProviderFailed, TargetError
from toolkit.runtimes.base import Call, Moves, Option, Placement, Program, Session, unlikely
from toolkit.tensors import BITS, Array, Feed

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

TYPES = {"float": "float32", "double": "float64"}
"""ONNX Runtime's names of types where they are not ONNX's."""

NO_GRAPH = -1
"""The number of no CUDA graph: such a run is neither captured nor replayed."""

OLDEST = (1, 24)
"""The first version that tells the placement of every node before it runs."""


class OnnxRuntime:
    """ONNX Runtime, from any of its packages but those that are runtimes of their own here."""

    name: ClassVar[str] = "onnxruntime"
    distributions: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu")
    requirements: ClassVar[tuple[str, ...]] = ("onnxruntime==1.32.0", "numpy==2.4.6")
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "cuda": ("onnxruntime-gpu[cuda,cudnn]==1.31.1", "numpy==2.4.6")
    }
    licence: ClassVar[str] = "MIT"
    module: ClassVar[str] = "onnxruntime"
    providers: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the session", ("numpy", "bound")),
        "optimize": Option(
            "all", "graph optimisations", ("none", "basic", "extended", "layout", "all")
        ),
        "spinning": Option("off", "idle threads wait in a loop", ("off", "on")),
        "tf32": Option("off", "cuda: multiply in TensorFloat-32", ("off", "on")),
        "graph": Option("off", "cuda, io=bound: replay a run as one CUDA graph", ("off", "on")),
        "device": Option("0", "cuda: the number of the GPU"),
        "int8": Option(
            "fast",
            "cpu without VNNI: 'fast' adds products of bytes in 16 bits, which may saturate",
            ("fast", "exact"),
        ),
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({}, {"io": "bound"})
    # The official wheels report usage to their maker unless this is set before the import.
    environment: ClassVar[Mapping[str, str]] = {"ORT_DISABLE_TELEMETRY": "1"}
    own_names: ClassVar[Mapping[str, str]] = {CPU: "cpu", CUDA: "cuda"}
    """ONNX Runtime's names of the providers → those that a user sees."""

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

    def library(self) -> Path:
        import onnxruntime

        return Path(str(onnxruntime.__file__))

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
        """What ONNX Runtime's provider is started with."""
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
        started = (asked, self.provider_options(program, provider, options))
        if asked not in ort.get_available_providers():
            raise ProviderFailed(
                f"the onnxruntime installed here ({ort.__version__}) is built without {provider}"
            )
        if provider == "cuda":
            ort.preload_dlls()  # The CUDA libraries that pip installed lie on no search path.
        session = _session(program, started, options)
        if asked not in session.get_providers():
            raise ProviderFailed(f"{asked} did not start; onnxruntime would have run on the cpu")
        placed = _placement(session, provider, self.own_names)
        if placed.elsewhere and not placed.nodes.get(provider):
            raise TargetError(f"no node of this model runs on {asked}")
        return OrtSession(session, provider, options, placed)


class OrtSession:
    """One InferenceSession."""

    def __init__(
        self, session: Any, provider: str, options: Mapping[str, str], placed: Placement
    ) -> None:
        self._session = session
        self._provider = provider
        self._bound = options["io"] == "bound"
        self._graphs = itertools.count(1) if options.get("graph") == "on" else None
        self._device = int(options.get("device", "0"))
        self._placed = placed
        self._outputs = [output.name for output in session.get_outputs()]
        self._types = {node.name: _type(node.type) for node in session.get_inputs()}
        self._output_types = {node.name: _type(node.type) for node in session.get_outputs()}

    def bind(self, feed: Feed) -> Call:
        return self._bind_buffers(feed) if self._bound else self._bind_numpy(feed)

    def placement(self) -> Placement:
        return self._placed

    def output_types(self) -> Mapping[str, str]:
        return self._output_types

    def copies(self) -> str:
        if self._bound:
            return "inputs and outputs stay in the runtime's buffers"
        if self._provider == "cuda":
            return "inputs are copied to the GPU and outputs back"
        return "numpy arrays in, new numpy arrays out"

    def close(self) -> None:
        del self._session

    def _bind_numpy(self, feed: Feed) -> Call:
        if bits := [name for name in feed if self._types[name] in BITS]:
            kind = self._types[bits[0]]
            raise TargetError(f"{kind} is no numpy type: use onnxruntime:cpu,io=bound")
        ready = {name: _contiguous(array) for name, array in feed.items()}
        session, names = self._session, self._outputs

        def run() -> Any:  # Not a partial: see `_runner`.
            return session.run(names, ready)

        return Call(run, self._named, moves=self._moves(ready))

    def _moves(self, ready: Feed) -> Moves | None:
        """On the CPU inputs are read where they lie. Outputs are new numpy arrays on any device."""
        if any(array.dtype.kind == "O" for array in ready.values()):
            return None
        inputs = [partial(self._value, array, self._types[name]) for name, array in ready.items()]
        held = [value() for value in inputs]
        binding = self._session.io_binding()
        for name, value in zip(ready, held, strict=True):
            binding.bind_ortvalue_input(name, value)
        device = "cpu" if self._provider == "cpu" else "cuda"
        for name in self._outputs:
            binding.bind_output(name, device, self._device if device == "cuda" else 0)
        self._session.run_with_iobinding(binding)
        left = binding.get_outputs()
        into = None if self._provider == "cpu" else partial(_each, inputs)
        return Moves(into, partial(_each, [value.numpy for value in left]))

    def _bind_buffers(self, feed: Feed) -> Call:
        """Inputs and outputs in buffers of the device; the outputs' shapes come from one run."""
        binding = self._session.io_binding()
        inputs = [self._value(_contiguous(feed[name]), self._types[name]) for name in feed]
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
            partial(self._left, values, inputs),
            partial(_forget, values),
            Moves(),
        )

    def _run_options(self, *, graph: int) -> Any:
        """Which CUDA graph a run captures or replays: one for each feed. None without graphs."""
        if self._graphs is None:
            return None
        import onnxruntime as ort

        made = ort.RunOptions()
        made.add_run_config_entry("gpu_graph_id", str(graph))
        return made

    def _left(
        self, values: Sequence[Any], inputs: Sequence[Any], result: object
    ) -> dict[str, Array]:
        """What a run left in the buffers. `inputs` live as long as the call: on the CPU they are
        numpy's own memory, which the binding of 1.24 reads and does not hold."""
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
    """The package whose files these are, as its build wrote it; empty where it did not."""
    try:
        from onnxruntime.capi import build_and_package_info
    except ImportError:
        return ""
    return str(getattr(build_and_package_info, "package_name", ""))


def _session(
    program: Program, started: tuple[str, dict[str, str]], options: Mapping[str, str]
) -> Any:
    """A session whose fall-back to the CPU is off if the whole model runs on the provider."""
    import onnxruntime as ort

    make = partial(ort.InferenceSession, str(program.model), providers=[started], enable_fallback=0)
    if started[0] == CPU:
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
    made = ort.SessionOptions()
    made.intra_op_num_threads = program.threads
    made.inter_op_num_threads = 1
    made.log_severity_level = 2
    made.graph_optimization_level = levels[options["optimize"]]
    made.add_session_config_entry("session.intra_op.allow_spinning", _flag(options["spinning"]))
    made.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if options.get("int8") == "exact":
        # Where the processor has no VNNI, signed weights are then multiplied as unsigned ones;
        # elsewhere the library ignores it.
        made.add_session_config_entry("session.x64quantprecision", "1")
    if strict:
        made.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return made


def _flag(choice: str) -> str:
    """'on' as onnxruntime's options have it."""
    return "1" if choice == "on" else "0"


def _placement(session: Any, asked: str, own_names: Mapping[str, str]) -> Placement:
    """Where each node of the graph went, before fusion; copies are not listed there."""
    nodes: dict[str, int] = {}
    elsewhere: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        name = own_names.get(part.ep_name, part.ep_name)
        found = part.get_nodes()
        nodes[name] = nodes.get(name, 0) + len(found)
        if name != asked:
            elsewhere.setdefault(name, []).extend(node.op_type for node in found)
    copies = 0 if asked == "cpu" else None
    return Placement(nodes, {name: tuple(ops) for name, ops in elsewhere.items()}, copies)


def _type(text: str) -> str:
    """'tensor(float)' → 'float32'."""
    inner = text.removeprefix("tensor(").removesuffix(")")
    return TYPES.get(inner, inner)


def _contiguous(array: Array) -> Array:
    # Strings: onnxruntime takes Python objects, not numpy's fixed-width text.
    return np.asarray(array.astype(object) if array.dtype.kind == "U" else array, order="C")


def _is_text(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == object


def _array(value: Any) -> Array:
    array: Array = value.numpy()
    # A type that numpy lacks comes as an extension type: its bits travel.
    return array if array.dtype.kind in "biufcO" else array.view(f"u{array.dtype.itemsize}")


def _forget(values: Sequence[Any]) -> None:
    """What no model gives, in every output buffer."""
    for value in values:
        array = _array(value)
        if array.dtype.kind == "O":
            continue
        value.update_inplace(np.full_like(array, unlikely(array.dtype)))


def _runner(session: Any, binding: Any, options: Any) -> Callable[[], None]:
    """The call that is timed. onnxruntime's method is written in Python: a function reaches it
    without leaving the interpreter, which a partial does not."""

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
