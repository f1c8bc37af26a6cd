"""Times ONNX Runtime as a script of one's own would: a session, a loop, two looks at a clock."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from time import perf_counter_ns
from typing import Any, ClassVar

import numpy as np

from toolkit.runtimes.base import Call, Option, Placement, Program, Session, unlikely
from toolkit.runtimes.onnxruntime import OnnxRuntime
from toolkit.tensors import Array, Feed

from .dealt import Dealt, Driver

DRIVER = Option("", "a file that is told the CPU time of the parent while a loop runs")


class Bare(OnnxRuntime):
    """A bare loop in Python, with all that the product's runtime knows of the package."""

    name: ClassVar[str] = "bare"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    options: ClassVar[Mapping[str, Option]] = {
        "io": OnnxRuntime.options["io"],
        "driver": DRIVER,
    }

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        import onnxruntime as ort

        settings = ort.SessionOptions()
        settings.intra_op_num_threads = program.threads
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = ort.InferenceSession(
            str(program.model), settings, providers=["CPUExecutionProvider"]
        )
        kind = BareBound if options["io"] == "bound" else BareNumpy
        return kind(session, Driver(options["driver"]))


def numpy_loop(
    session: Any, names: list[str], feed: Feed, calls: int
) -> tuple[list[int], list[Array]]:
    """Makes so many calls, arrays in and arrays out."""
    times = []
    for _ in range(calls):
        started = perf_counter_ns()
        outputs = session.run(names, feed)
        times.append(perf_counter_ns() - started)
        left = outputs  # Here the outputs of the call before are freed, outside of the interval.
    return times, left


def bound_loop(session: Any, binding: Any, calls: int) -> tuple[list[int], None]:
    """Makes so many calls whose inputs and outputs stay where they are."""
    times = []
    for _ in range(calls):
        started = perf_counter_ns()
        session.run_with_iobinding(binding)
        times.append(perf_counter_ns() - started)
    return times, None


class BareNumpy:
    """A session that is given numpy's arrays."""

    def __init__(self, session: Any, driver: Driver) -> None:
        self._session = session
        self._driver = driver
        self._names = [output.name for output in session.get_outputs()]

    def bind(self, feed: Feed) -> Call:
        loop = partial(numpy_loop, self._session, self._names, dict(feed))
        dealt = Dealt(loop, self._driver)
        return Call(dealt.run, self._named, dealt.begin, clock=dealt.clock)

    def _named(self, outputs: list[Array]) -> dict[str, Array]:
        return dict(zip(self._names, outputs, strict=True))

    def placement(self) -> Placement:
        return Placement({})

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        return "numpy arrays in, new numpy arrays out"

    def close(self) -> None:
        self._driver.note()


class BareBound:
    """A session with bound buffers."""

    def __init__(self, session: Any, driver: Driver) -> None:
        self._session = session
        self._driver = driver
        self._names = [output.name for output in session.get_outputs()]

    def bind(self, feed: Feed) -> Call:
        binding = self._session.io_binding()
        for name, array in feed.items():
            binding.bind_cpu_input(name, array)
        for name in self._names:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        values = binding.get_outputs()
        for name, value in zip(self._names, values, strict=True):
            binding.bind_ortvalue_output(name, value)
        dealt = Dealt(partial(bound_loop, self._session, binding), self._driver)

        def left(result: None) -> dict[str, Array]:
            # `feed`: its arrays are the inputs' memory, which the binding need not hold.
            return {name: v.numpy() for name, v in zip(self._names, values, strict=True) if feed}

        def forget() -> None:
            for value in values:
                array = value.numpy()
                value.update_inplace(np.full_like(array, unlikely(array.dtype)))
            dealt.begin()

        return Call(dealt.run, left, forget, clock=dealt.clock)

    def placement(self) -> Placement:
        return Placement({})

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        return "inputs and outputs stay in the runtime's buffers"

    def close(self) -> None:
        self._driver.note()
