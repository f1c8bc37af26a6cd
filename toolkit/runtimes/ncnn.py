"""ncnn on the CPU, from the net that pnnx makes of an .onnx; pinned to float32: by itself it takes
float16.

Its calls return codes and raise nothing, so each code is looked at. pnnx says which axis of an
input or output is the batch, since ncnn's own tensors count without it.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes.base import (
    Call,
    Moves,
    Option,
    Placement,
    Program,
    Runtime,
    Session,
    shapes_of,
)
from toolkit.runtimes.support import fitting, plainform
from toolkit.tensors import Array, Feed

FED: Mapping[str, tuple[str, type[np.generic]]] = {
    "float32": ("f32", np.float32),
    "int32": ("i32", np.int32),
    "int64": ("i64", np.int32),
}
"""ONNX type → pnnx's name of it, and the type in which ncnn takes it."""

NO_WORK = {"Input", "MemoryData", "Noop", "Split"}
"""Layers that compute nothing."""

LOWER = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
)
"""ncnn's switches of the lower precisions, some of them on by default (R3)."""

PARAM, BIN, AXES = "model.ncnn.param", "model.ncnn.bin", "axes.json"

INPUT_AXIS = re.compile(r"ncnn\.Mat\(in\d+\.numpy\(\), batch_index=(-?\d+)\)")
OUTPUT_AXIS = re.compile(r"out\d+\.numpy\(batch_index=(-?\d+)\)")
"""Match the batch axes of the inputs and outputs in the example that pnnx writes, which is read and
never run: pnnx says them nowhere else."""

LEFT = re.compile(r"^ignore (\S+) \S+ param ", re.MULTILINE)
"""Matches pnnx's line about an operator that it left as it was."""


class Ncnn(Runtime):
    """ncnn's CPU layers."""

    name = "ncnn"
    distributions = ("ncnn",)
    requirements = (
        "ncnn==1.0.20261020",
        "pnnx==20261020",
        "torch==2.13.0",  # pnnx asks for any, which would be one of 5 GB with CUDA.
        "onnx==1.23.2",
        "numpy==2.4.6",
    )
    licence = "BSD-3-Clause"
    module = "ncnn"
    options: ClassVar[Mapping[str, Option]] = {
        "io": Option("numpy", "how tensors reach the net", ("numpy", "bound")),
        "precision": Option("float32", "what it computes in", ("float32", "float16")),
    }
    variants = ({}, {"io": "bound"})

    def precision(self, options: Mapping[str, str]) -> str:
        return options["precision"]

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        """Fills `folder` with the net and the batch axes of its inputs and outputs (R8)."""
        _check_types(program)
        assert program.model is not None  # It starts from the model.
        work = folder / "work"
        work.mkdir()
        plainform.write(program.model, work / "model.onnx")
        half = "1" if options["precision"] == "float16" else "0"
        arguments = ["model.onnx", f"inputshape={_shapes(program, feed)}", f"fp16={half}"]
        if any(not isinstance(dim, int) for spec in program.inputs for dim in spec.shape or ()):
            arguments.append(f"inputshape2={_shapes(program, feed, other=True)}")
        converter = subprocess.run(
            [str(_pnnx()), *arguments],
            cwd=work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        sys.stderr.write(converter.stdout)  # The worker's log.
        code = converter.returncode
        if code or not (work / PARAM).is_file():
            raise TargetError(f"pnnx could not convert the model (exit code {code})")
        _refuse_unknown_layers(work / PARAM, converter.stdout)
        axes = _axes((work / "model_ncnn.py").read_text("utf-8"), program)
        (folder / AXES).write_text(json.dumps(axes), "utf-8")
        for name in (PARAM, BIN):
            shutil.move(work / name, folder / name)
        shutil.rmtree(work)

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> NcnnSession:
        import ncnn

        assert program.converted is not None  # R8
        net = ncnn.Net()
        net.opt.num_threads = program.threads
        net.opt.use_vulkan_compute = False
        for switch in LOWER:
            setattr(net.opt, switch, options["precision"] == "float16" and "fp16" in switch)
        if code := net.load_param(str(program.converted / PARAM)):
            raise TargetError(f"ncnn does not read the net that pnnx wrote (code {code})")
        if code := net.load_model(str(program.converted / BIN)):
            raise TargetError(f"ncnn does not read the weights that pnnx wrote (code {code})")
        axes = json.loads((program.converted / AXES).read_text("utf-8"))
        return NcnnSession(net, program, axes, bound=options["io"] == "bound")


class NcnnSession(Session):
    """One net. Each call has an extractor of its own: a second extract computes nothing."""

    def __init__(
        self, net: Any, program: Program, axes: Mapping[str, list[int]], *, bound: bool
    ) -> None:
        self._net = net
        self._program = program
        self._axes = axes
        self._inputs = [f"in{i}" for i in range(len(axes["inputs"]))]
        self._outputs = [f"out{i}" for i in range(len(axes["outputs"]))]
        self._bound = bound

    def bind(self, feed: Feed) -> Call:
        import ncnn

        arrays = [_ready(feed[spec.name], spec.type) for spec in self._program.inputs]
        into = partial(_mats, ncnn.Mat, [*zip(arrays, self._axes["inputs"], strict=True)])
        axes = self._axes["outputs"]
        call = partial(_extract, self._net, self._inputs, self._outputs)
        fitted = partial(fitting.outputs, self._program, feed)
        try:
            mats = into()
            outputs = call(mats)
        except NcnnError as error:
            raise ShapeRefused(f"{error} at the shape {shapes_of(feed)}") from error
        out = partial(_arrays, outputs, axes)
        fitted(out())  # A shape that it gets wrong is refused here.
        if self._bound:
            return Call(
                partial(call, mats), lambda left: fitted(_arrays(left, axes)), moves=Moves()
            )
        return Call(lambda: _arrays(call(into()), axes), fitted, moves=Moves(into, out))

    def placement(self) -> Placement:
        """Counts the layers of the net after pnnx fused them; it has one device."""
        return Placement(
            {"cpu": sum(layer.type not in NO_WORK for layer in self._net.layers())}, copies=0
        )

    def copies(self) -> str:
        if self._bound:
            return "inputs stay in ncnn's buffers, new buffers of ncnn out"
        return "numpy arrays in, copied to ncnn's buffers, new numpy arrays out"


class NcnnError(Exception):
    """A call of ncnn gave a code other than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ncnn gives code {code}")


def _extract(
    net: Any, inputs: Sequence[str], outputs: Sequence[str], mats: Sequence[Any]
) -> list[Any]:
    extractor = net.create_extractor()
    for name, mat in zip(inputs, mats, strict=True):
        if code := extractor.input(name, mat):
            raise NcnnError(code)
    extracted = []
    for name in outputs:
        code, mat = extractor.extract(name)
        if code:
            raise NcnnError(code)
        extracted.append(mat)
    return extracted


def _mats(mat: Any, arrays: Sequence[tuple[Array, int]]) -> list[Any]:
    """Copies each array, with its batch axis, to a buffer of ncnn's own: over numpy's memory it
    would write into that, or crash."""
    return [mat(array, batch_index=axis).clone() for array, axis in arrays]


def _arrays(mats: Sequence[Any], axes: Sequence[int]) -> list[Array]:
    return [np.array(m.numpy(batch_index=axis)) for m, axis in zip(mats, axes, strict=True)]


def _ready(array: Array, kind: str) -> Array:
    """An array of the type that ncnn takes, without gaps in memory: it does not look for them."""
    ready = np.asarray(array, dtype=FED[kind][1], order="C")
    if kind == "int64" and (ready != array).any():
        raise TargetError("ncnn has no int64, and a value of an input needs it")
    return ready


def _check_types(program: Program) -> None:
    for spec in program.inputs:
        if spec.type not in FED:
            raise TargetError(f"ncnn is not fed {spec.type} here ({spec.name!r})")
    for spec in program.outputs:
        if spec.type not in ("float32", "float16"):
            # Its tensors do not say their type: the bits of one would be taken for the other.
            raise TargetError(f"ncnn gives float32 only, and {spec.name!r} is {spec.type}")


def _shapes(program: Program, feed: Feed, *, other: bool = False) -> str:
    """The inputs' sizes as pnnx reads them: '[1,64]f32,[1]i64'.

    With `other` each dynamic one has another size, which tells pnnx to leave it open.
    """
    texts = []
    for spec in program.inputs:
        shape = feed[spec.name].shape
        if not shape:
            raise TargetError(f"ncnn takes no scalar ({spec.name!r})")
        pairs = zip(spec.shape or (None,) * len(shape), shape, strict=True)
        sizes = [
            _other(size) if other and not isinstance(dim, int) else size for dim, size in pairs
        ]
        texts.append(f"[{','.join(map(str, sizes))}]{FED[spec.type][0]}")
    return ",".join(texts)


def _other(size: int) -> int:
    """Another size: half of an even one, so that what a net halves stays whole, else one more."""
    return size // 2 if size > 2 and size % 2 == 0 else size + 1


def _pnnx() -> Path:
    """The path of the converter's program; the Python package around it would import torch."""
    spec = importlib.util.find_spec("pnnx")
    if spec is None or spec.origin is None:
        raise TargetError(
            "ncnn needs pnnx in its environment to convert the model",
            "python -m pip install pnnx torch==2.13.0    installs it there",
        )
    return Path(spec.origin).parent / "pnnx"


def _axes(example: str, program: Program) -> dict[str, list[int]]:
    """Reads the batch axes of the inputs and outputs from the example that pnnx wrote."""
    axes = {
        "inputs": [*map(int, INPUT_AXIS.findall(example))],
        "outputs": [*map(int, OUTPUT_AXIS.findall(example))],
    }
    for kind, specs in (("inputs", program.inputs), ("outputs", program.outputs)):
        if len(axes[kind]) != len(specs):
            raise TargetError(f"pnnx kept {len(axes[kind])} {kind} of the model's {len(specs)}")
    return axes


def _refuse_unknown_layers(param: Path, messages: str) -> None:
    """Raises TargetError for layers that ncnn lacks: pnnx leaves them under their own name or
    PyTorch's, and ends well.

    Where that is the name of an ncnn layer too, ncnn would run it without its attributes, so pnnx's
    messages are looked at besides.
    """
    import ncnn

    lines = param.read_text("utf-8").splitlines()[2:]  # Behind the magic number and the counts.
    types = [line.split()[0] for line in lines if line.strip()]
    unknown = {kind for kind in types if ncnn.layer_to_index(kind) < 0}
    if lacks := sorted({*unknown, *LEFT.findall(messages)}):
        raise TargetError(f"ncnn has no layer for {', '.join(lacks)}")


RUNTIME = Ncnn
