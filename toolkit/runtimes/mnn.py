"""MNN on the CPU, from what its converter makes of an .onnx.

The converter is called as a function. Its command line tools import a client that they install by
pip, and report the machine's id to their maker (R7).
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes.base import Call, Moves, Option, Placement, Program
from toolkit.runtimes.support import fitting, plainform
from toolkit.tensors import Array, Feed

CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv[1:])"
"""Neither reaches the network nor starts a program, as strace shows. It returns True for a file
that is not there: what it wrote and said is looked at."""

DONE = "Converted Success!"
MODEL = "model.mnn"

FED: Mapping[str, type[np.generic]] = {
    "float32": np.float32,
    "int32": np.int32,
    "int64": np.int32,
    "bool": np.int32,
    "uint8": np.uint8,
    "int8": np.int8,
}
"""ONNX type → what MNN takes."""

LACKS = re.compile(r"(?:ONNX|Onnx|onnx)::(\w+)")
"""How the converter names an operator that it lacks."""


class Mnn:
    """MNN's own converter and its CPU backend."""

    name: ClassVar[str] = "mnn"
    distributions: ClassVar[tuple[str, ...]] = ("MNN",)
    requirements: ClassVar[tuple[str, ...]] = ("MNN==3.6.1", "onnx==1.23.2", "numpy==2.4.6")
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "Apache-2.0"
    module: ClassVar[str] = "MNN"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the module", ("numpy", "bound")),
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({}, {"io": "bound"})
    environment: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        import MNN

        return str(MNN.version())

    def library(self) -> Path:
        import MNN

        return Path(str(MNN.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        """Fills `folder` with MNN's form of the model (R8)."""
        if odd := [spec for spec in program.inputs if spec.type not in FED]:
            raise TargetError(f"MNN is not fed {odd[0].type} here ({odd[0].name!r})")
        assert program.model is not None  # It starts from the model.
        work = folder / "work"
        work.mkdir()
        # A BatchNormalization that leaves its epsilon to the default would be given another.
        plainform.write(program.model, work / "model.onnx", spelled_out=True)
        arguments = ["-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", MODEL]
        ended = subprocess.run(
            [sys.executable, "-P", "-c", CONVERT, "mnnconvert", *arguments, "--bizCode", "toolkit"],
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        sys.stderr.write(ended.stdout)  # The worker's log.
        if ended.returncode or DONE not in ended.stdout or not (work / MODEL).is_file():
            raise TargetError(_why(ended.returncode, ended.stdout))
        shutil.move(work / MODEL, folder / MODEL)
        shutil.rmtree(work)

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> MnnSession:
        import MNN.nn as nn

        assert program.converted is not None  # R8
        settings = {"backend": "CPU", "precision": "high", "numThread": program.threads}
        module = nn.load_module_from_file(
            str(program.converted / MODEL),
            [spec.name for spec in program.inputs],
            [spec.name for spec in program.outputs],
            runtime_manager=nn.create_runtime_manager((settings,)),
        )
        return MnnSession(module, program, bound=options["io"] == "bound")


class MnnSession:
    """One module."""

    def __init__(self, module: Any, program: Program, *, bound: bool) -> None:
        self._module = module
        self._program = program
        self._bound = bound

    def bind(self, feed: Feed) -> Call:
        import MNN.expr as expr

        arrays = [_ready(feed[spec.name], spec.type) for spec in self._program.inputs]
        if any(array.size == 0 for array in arrays):
            raise ShapeRefused("MNN ends its process at an input without elements")
        types = {"float32": expr.float, "int32": expr.int, "uint8": expr.uint8, "int8": expr.int8}
        given = [(a, list(a.shape), expr.NCHW, types[a.dtype.name]) for a in arrays]
        into = partial(_variables, expr.const, given)
        back = partial(_arrays, expr)
        fitted = partial(fitting.outputs, self._program, feed)
        forward = self._module.forward
        if self._bound:
            return Call(partial(forward, into()), lambda left: fitted(back(left)), moves=Moves())
        out = partial(back, forward(into()))
        return Call(lambda: back(forward(into())), fitted, moves=Moves(into, out))

    def placement(self) -> Placement:
        """MNN does not say which layers it made: it has one device."""
        return Placement({}, copies=0)

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        if self._bound:
            return "inputs stay in MNN's buffers, new buffers of MNN out"
        return "numpy arrays in, copied to MNN's buffers, new numpy arrays out"

    def close(self) -> None:
        del self._module


def _variables(make: Any, given: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Buffers of MNN's own with copies of the arrays."""
    return [make(*one) for one in given]


def _arrays(expr: Any, variables: Sequence[Any]) -> list[Array]:
    # In NC4HW4 the channels lie in fours, the last ones padded.
    plain = [expr.convert(v, expr.NCHW) if v.data_format == expr.NC4HW4 else v for v in variables]
    return [np.array(variable.read()) for variable in plain]


def _ready(array: Array, kind: str) -> Array:
    ready = np.asarray(array, dtype=FED[kind], order="C")
    if kind == "int64" and (ready != array).any():
        raise TargetError("MNN has no int64, and a value of an input needs it")
    return ready


def _why(code: int, said: str) -> str:
    """Why a conversion failed, in one line."""
    if code < 0:
        return f"MNN's converter crashed with {signal.Signals(-code).name}"
    if lacks := sorted({*LACKS.findall(said)}):
        return f"MNN cannot convert {', '.join(lacks)}"
    return "MNN could not convert the model"


RUNTIME = Mnn
