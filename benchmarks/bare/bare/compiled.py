"""Runs the bare loop in C, over the library that the wheel of ONNX Runtime brings.

`loop.so` is built from loop.c by benchmarks/building.py and lies beside this file.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import TargetError
from toolkit.runtimes.base import Call, Option, Placement, Program, unlikely
from toolkit.tensors import Array, Feed

from .dealt import Dealt, Driver
from .script import DRIVER, Bare

BUILT = Path(__file__).with_name("loop.so")
MOST_DIMENSIONS = 16
"""As in loop.c."""

TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""ONNX's number of a type (TensorProto.DataType) → numpy's name, where numpy has it too."""
NUMBERS = {name: number for number, name in TYPES.items()}


class Tensor(ctypes.Structure):
    """loop.c's `struct tensor`."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
        ("shape", ctypes.c_int64 * MOST_DIMENSIONS),
        ("rank", ctypes.c_size_t),
        ("type", ctypes.c_int32),
    ]


class BareC(Bare):
    """A bare loop in C, with bound buffers."""

    name: ClassVar[str] = "bare-c"
    options: ClassVar[Mapping[str, Option]] = {"driver": DRIVER}

    def version(self) -> str:
        """The version as the library says it: the Python package is not imported."""
        version = loop().loop_version(bytes(self.library()))
        if version is None:
            raise TargetError(f"{self.library().name} is no ONNX Runtime")
        return str(version.decode())

    def library(self) -> Path:
        """The file of ONNX Runtime's library.

        Raises ModuleNotFoundError without the package, TargetError without the library in it.
        """
        package = importlib.util.find_spec("onnxruntime")
        if package is None or package.origin is None:
            raise ModuleNotFoundError("onnxruntime", name="onnxruntime")
        folder = Path(package.origin).parent / "capi"
        file = next(folder.glob("libonnxruntime.so*"), None)
        if file is None:
            raise TargetError("this package of onnxruntime has no library for C beside it")
        return file

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> CSession:
        session = ctypes.c_void_p()
        model = bytes(program.model) if program.model is not None else b""
        demand(loop().loop_open(bytes(self.library()), model, program.threads, _at(session)))
        names = [spec.name for spec in program.outputs]
        return CSession(session, names, Driver(options["driver"]))


class CSession:
    """One OrtSession, which C holds."""

    def __init__(self, session: ctypes.c_void_p, names: Sequence[str], driver: Driver) -> None:
        self._session = session
        self._names = names
        self._driver = driver

    def bind(self, feed: Feed) -> Call:
        held = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        inputs = (Tensor * len(held))(*(_tensor(*pair) for pair in held.items()))
        names = (ctypes.c_char_p * len(self._names))(*(name.encode() for name in self._names))
        bound = ctypes.c_void_p()
        demand(
            loop().loop_bind(self._session, inputs, len(held), names, len(names), _at(bound)),
        )
        outputs = {name: _output(bound, index) for index, name in enumerate(self._names)}
        dealt = Dealt(partial(c_loop, bound), self._driver)

        def left(result: None) -> dict[str, Array]:
            # `held` is the memory of the inputs: it lives as long as the call.
            return {name: array.copy() for name, array in outputs.items() if held}

        def forget() -> None:
            for array in outputs.values():
                array.fill(unlikely(array.dtype))
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


def c_loop(bound: ctypes.c_void_p, calls: int) -> tuple[list[int], None]:
    """Makes so many calls; returns the nanoseconds of each. Their outputs stay where they are."""
    times = (ctypes.c_int64 * calls)()
    demand(loop().loop_run(bound, calls, times))
    return list(times), None


def empty_interval() -> float:
    """Measures the nanoseconds between two looks at the clock in C: the median of 1,001."""
    times = (ctypes.c_int64 * 1001)()
    loop().loop_empty(len(times), times)
    return float(sorted(times)[500])


@lru_cache
def loop() -> Any:
    """Loads the compiled loop. Raises TargetError where it is not built."""
    if not BUILT.exists():
        raise TargetError(
            "its loop in C is not built", "python -m benchmarks.overhead    builds it"
        )
    library = ctypes.CDLL(str(BUILT))
    for name in ("loop_version", "loop_open", "loop_bind", "loop_run", "loop_output"):
        getattr(library, name).restype = ctypes.c_char_p
    size = ctypes.c_size_t
    library.loop_bind.argtypes = [*_pointers(2), size, *_pointers(1), size, *_pointers(1)]
    library.loop_run.argtypes = [*_pointers(1), size, *_pointers(1)]
    library.loop_output.argtypes = [*_pointers(1), size, *_pointers(1)]
    library.loop_empty.argtypes = [size, *_pointers(1)]
    library.loop_empty.restype = None
    return library


def demand(reason: bytes | None) -> None:
    """Raises TargetError with the loop's words where it gives a reason."""
    if reason is not None:
        raise TargetError(reason.decode(errors="replace").splitlines()[0])


def _pointers(count: int) -> list[Any]:
    return [ctypes.c_void_p] * count


def _at(pointer: ctypes.c_void_p) -> Any:
    return ctypes.byref(pointer)


def _tensor(name: str, array: Array) -> Tensor:
    """Describes an input where it lies. Raises TargetError for a type that the loop takes not."""
    if array.dtype.name not in NUMBERS or array.ndim > MOST_DIMENSIONS:
        raise TargetError(f"the loop in C takes no {array.dtype.name} of {array.ndim} dimensions")
    tensor = Tensor(name.encode(), array.ctypes.data, array.nbytes)
    tensor.shape[: array.ndim] = array.shape
    tensor.rank, tensor.type = array.ndim, NUMBERS[array.dtype.name]
    return tensor


def _output(bound: ctypes.c_void_p, index: int) -> Array:
    """A view of an output where it lies. Raises TargetError for a type that numpy lacks."""
    tensor = Tensor()
    demand(loop().loop_output(bound, index, ctypes.byref(tensor)))
    if tensor.type not in TYPES:
        raise TargetError(f"the loop in C gives no output of ONNX's type {tensor.type}")
    shape, dtype = tuple(tensor.shape[: tensor.rank]), np.dtype(TYPES[tensor.type])
    size = math.prod(shape) * dtype.itemsize
    memory = (ctypes.c_char * size).from_address(tensor.data) if size else b""
    return np.frombuffer(memory, dtype).reshape(shape)
