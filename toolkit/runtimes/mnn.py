"""MNN on the CPU, from what its converter makes of an .onnx.

The converter is called as a function. Its command line tools, mnnconvert and mnnquant, run `pip
install` of a client with whatever pip is first on the PATH, and report the machine's id to their
maker with it (R7).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ShapeRefused, TargetError, signal_name
from toolkit.runtimes.base import Call, Moves, Option, Program, Runtime, Session
from toolkit.runtimes.support import fitting, plainform
from toolkit.tensors import Array, Feed

CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv[1:])"
"""The converter as a function: it neither reaches the network nor starts a program, as strace
shows. It returns True and exits with 0 for a file that is not there, so its words and the file that
it should have written are looked at."""

DONE = "Converted Success!"
"""The line that the converter prints when it has written the model."""
MODEL = "model.mnn"

FED: Mapping[str, type[np.generic]] = {
    "float32": np.float32,
    "int32": np.int32,
    "int64": np.int32,
    "bool": np.int32,
    "uint8": np.uint8,
    "int8": np.int8,
}
"""ONNX type → the type in which MNN takes it."""

LACKS = re.compile(r"(?:ONNX|Onnx|onnx)::(\w+)")
"""Matches the place where the converter names an operator that it lacks."""


class Mnn(Runtime):
    """MNN's own converter and its CPU backend."""

    name = "mnn"
    distributions = ("MNN",)
    requirements = ("MNN==3.6.1", "onnx==1.23.2", "numpy==2.4.6")
    licence = "Apache-2.0"
    module = "MNN"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the module", ("numpy", "bound")),
    }
    variants = ({}, {"io": "bound"})

    def version(self) -> str:
        import MNN

        return str(MNN.version())

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        """Fills `folder` with MNN's form of the model (R8)."""
        if refused := [spec for spec in program.inputs if spec.type not in FED]:
            raise TargetError(f"MNN is not fed {refused[0].type} here ({refused[0].name!r})")
        assert program.model is not None  # It starts from the model.
        work = folder / "work"
        work.mkdir()
        # A BatchNormalization that leaves its epsilon to the default would be given one near 0 in
        # place of 1e-5: a shufflenet of random weights was wrong by 0.98.
        plainform.write(program.model, work / "model.onnx", spelled_out=True)
        arguments = ["-f", "ONNX", "--modelFile", "model.onnx", "--MNNModel", MODEL]
        converter = subprocess.run(
            [sys.executable, "-P", "-c", CONVERT, "mnnconvert", *arguments, "--bizCode", "toolkit"],
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        sys.stderr.write(converter.stdout)  # The worker's log.
        if converter.returncode or DONE not in converter.stdout or not (work / MODEL).is_file():
            raise TargetError(_refusal(converter.returncode, converter.stdout))
        shutil.move(work / MODEL, folder / MODEL)
        shutil.rmtree(work)

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> MnnSession:
        import MNN.nn as nn

        assert program.converted is not None  # R8
        # R3: "high" is float32; its other precisions may be less.
        settings = {"backend": "CPU", "precision": "high", "numThread": program.threads}
        module = nn.load_module_from_file(
            str(program.converted / MODEL),
            [spec.name for spec in program.inputs],
            [spec.name for spec in program.outputs],
            runtime_manager=nn.create_runtime_manager((settings,)),
        )
        return MnnSession(module, program, bound=options["io"] == "bound")


class MnnSession(Session):
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
        contents = [(a, list(a.shape), expr.NCHW, types[a.dtype.name]) for a in arrays]
        into = partial(_variables, expr.const, contents)
        back = partial(_arrays, expr)
        fitted = partial(fitting.outputs, self._program, feed)
        forward = self._module.forward
        if self._bound:
            return Call(partial(forward, into()), lambda left: fitted(back(left)), moves=Moves())
        out = partial(back, forward(into()))
        return Call(lambda: back(forward(into())), fitted, moves=Moves(into, out))

    def copies(self) -> str:
        if self._bound:
            return "inputs stay in MNN's buffers, new buffers of MNN out"
        return "numpy arrays in, copied to MNN's buffers, new numpy arrays out"


def _variables(make: Any, contents: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Copies arrays to buffers of MNN's own. `contents`: array, shape, layout and type of each."""
    return [make(*content) for content in contents]


def _arrays(expr: Any, variables: Sequence[Any]) -> list[Array]:
    # In NC4HW4 the channels lie in fours, the last ones padded: read as they lie, the padding
    # would be taken for values.
    plain = [expr.convert(v, expr.NCHW) if v.data_format == expr.NC4HW4 else v for v in variables]
    return [np.array(variable.read()) for variable in plain]


def _ready(array: Array, kind: str) -> Array:
    ready = np.asarray(array, dtype=FED[kind], order="C")
    if kind == "int64" and (ready != array).any():
        raise TargetError("MNN has no int64, and a value of an input needs it")
    return ready


def _refusal(code: int, messages: str) -> str:
    """The reason why a conversion failed, in one line."""
    if code < 0:
        return f"MNN's converter crashed with {signal_name(-code)}"
    if lacks := sorted({*LACKS.findall(messages)}):
        return f"MNN cannot convert {', '.join(lacks)}"
    return "MNN could not convert the model"


RUNTIME = Mnn
