"""PyTorch: the user's own module, built from its factory and weights in the worker. It is called as
it is, by torch.compile, or from a package that AOTInductor compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes.base import (
    CPU,
    CUDA,
    Call,
    Moves,
    Option,
    Placement,
    Program,
    Runtime,
    Session,
    known_source,
)
from toolkit.runtimes.support import inductor
from toolkit.runtimes.support.inductor import CallableForm
from toolkit.sources import calls, exchange, exported, factory
from toolkit.tensors import Array, Feed

if TYPE_CHECKING:
    import torch
    from torch import nn


class Torch(Runtime):
    """PyTorch, by each of its own ways to run a module."""

    name = "torch"
    distributions = ("torch",)
    licence = "BSD-3-Clause"
    module = "torch"
    providers = (CPU, CUDA)
    starts_from = "source"
    options: ClassVar[Mapping[str, Option]] = {
        "mode": Option(
            "eager",
            "aoti: from a package that AOTInductor compiled; cpu only, as compile",
            ("eager", "compile", "aoti"),
        ),
        "tf32": Option("off", "cuda: multiply in TensorFloat-32", ("off", "on")),
        "compute": Option(
            "float32", "the type of weights and activations", ("float32", "bfloat16", "float16")
        ),
    }
    variants = ({}, {"mode": "compile"}, {"mode": "aoti"})

    def __init__(self) -> None:
        self._mode: Any = None

    def precision(self, options: Mapping[str, str]) -> str:
        if options["compute"] != "float32":
            return options["compute"]
        return "tf32" if options["tf32"] == "on" else "float32"

    def converts(self, options: Mapping[str, str]) -> bool:
        return options["mode"] != "eager"

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        known_source(program, self.name)
        inductor.demand_compiler()
        self._prepare(program, options)
        module = _module(program, "cpu", options)
        wide = exported.widened(program.inputs, feed)
        if options["mode"] == "aoti":
            _package(module, program, wide, options, folder)
            return
        inductor.keep_in(folder)
        form = inductor.compiled(module, program.inputs)
        session = TorchSession(form, "cpu", program, options)
        with inductor.compiling("torch.compile"):
            for example in (feed, wide):
                session.bind(example).run()

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> TorchSession:
        import torch

        mode = options["mode"]
        if provider == "cuda" and mode != "eager":
            raise TargetError(f"torch's mode={mode} is there for the cpu only")
        if provider == "cuda" and not torch.cuda.is_available():
            raise TargetError(
                f"the torch installed here ({torch.__version__}) finds no CUDA device",
                "toolkit doctor    says what is missing",
            )
        self._prepare(program, options)
        return TorchSession(_form(program, provider, options), provider, program, options)

    def _prepare(self, program: Program, options: Mapping[str, str]) -> None:
        """Sets what holds for the whole process: threads, precision and the mode of inference."""
        import torch

        torch.set_num_threads(program.threads)
        if torch.get_num_interop_threads() != 1:  # It may be set once in a process.
            torch.set_num_interop_threads(1)
        torch.backends.cuda.matmul.allow_tf32 = options["tf32"] == "on"
        torch.backends.cudnn.allow_tf32 = options["tf32"] == "on"
        # Once, and not for each session: a context manager would stand inside every timed call,
        # and the end of an earlier session would put back what was before it.
        if self._mode is None:
            self._mode = torch.inference_mode()
            self._mode.__enter__()


class TorchSession(Session):
    """One module on one device."""

    def __init__(
        self, form: CallableForm, provider: str, program: Program, options: Mapping[str, str]
    ) -> None:
        self._form = form
        self._provider = provider
        self._program = program
        self._options = options
        self._types: dict[str, str] = {}

    def bind(self, feed: Feed) -> Call:
        if refusal := self._form.refusal(feed):
            raise ShapeRefused(refusal)
        tensors = {
            spec.name: _tensor(feed[spec.name], spec.type, self._provider, self._options)
            for spec in self._program.inputs
        }
        arguments = self._form.arguments(tensors)
        run = partial(self._form.call, *arguments.args, **arguments.kwargs)
        if self._provider == "cuda":
            run = partial(_run_and_wait, run)
        before = {name: _bits(tensor) for name, tensor in tensors.items()}
        changed = partial(_changed, before, tensors)
        return Call(run, self._named, moves=Moves(), changed=changed)

    def output_types(self) -> Mapping[str, str]:
        return self._types

    def placement(self) -> Placement:
        """PyTorch does not list what it ran, and a module may copy between devices by itself."""
        return Placement({})

    def copies(self) -> str:
        return (
            "tensors stay on the device" if self._provider == "cuda" else "tensors in, tensors out"
        )

    def close(self) -> None:
        # A loaded package of AOTInductor removes the folder into which it was unpacked.
        del self._form

    def _named(self, result: Any) -> dict[str, Array]:
        leaves = list(calls.outputs(result).values())
        names = [spec.name for spec in self._program.outputs]
        if len(leaves) != len(names):
            raise TargetError(f"the module gives {len(leaves)} outputs, the file {len(names)}")
        if away := [leaf.device.type for leaf in leaves if leaf.device.type != self._provider]:
            raise TargetError(f"an output lies on {away[0]}, not on {self._provider}")
        return dict(zip(names, map(self._array, names, leaves), strict=True))

    def _array(self, name: str, tensor: torch.Tensor) -> Array:
        import torch

        if tensor.dtype == torch.bfloat16 and self._declared(name) == "bfloat16":
            self._types[name] = "bfloat16"
        elif _casts(self._options) and tensor.is_floating_point():
            tensor = tensor.float()
        return exchange.array(tensor)

    def _declared(self, name: str) -> str:
        """The ONNX type that the file gives an output."""
        return next(spec.type for spec in self._program.outputs if spec.name == name)


def _form(program: Program, provider: str, options: Mapping[str, str]) -> CallableForm:
    if options["mode"] == "eager":
        return inductor.eager(_module(program, provider, options))
    assert program.converted is not None  # R8
    if options["mode"] == "aoti":
        return inductor.packaged(program.converted)
    inductor.keep_in(program.converted)
    return inductor.compiled(_module(program, provider, options), program.inputs)


def _package(
    module: nn.Module, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
) -> None:
    import torch

    with torch.inference_mode(False):  # Its tensors cannot be traced.
        tensors = {s.name: _tensor(feed[s.name], s.type, "cpu", options) for s in program.inputs}
        inductor.package(module, program.inputs, tensors, folder)


def _module(program: Program, provider: str, options: Mapping[str, str]) -> nn.Module:
    import torch

    with torch.inference_mode(False):  # Weights of that mode cannot be exported.
        module = factory.build(known_source(program, Torch.name)).to(provider)
        return module.to(getattr(torch, options["compute"])) if _casts(options) else module


def _tensor(array: Array, kind: str, provider: str, options: Mapping[str, str]) -> torch.Tensor:
    import torch

    tensor = exchange.tensor(array, kind)
    if _casts(options) and tensor.is_floating_point():
        tensor = tensor.to(getattr(torch, options["compute"]))
    return tensor.to(provider)


def _changed(before: Mapping[str, bytes], tensors: Mapping[str, torch.Tensor]) -> list[str]:
    return [name for name, tensor in tensors.items() if _bits(tensor) != before[name]]


def _bits(tensor: torch.Tensor) -> bytes:
    """A digest of a tensor's bits: compared by value, NaN would differ from itself."""
    return hashlib.blake2b(np.ascontiguousarray(exchange.array(tensor)).data).digest()


def _casts(options: Mapping[str, str]) -> bool:
    return options["compute"] != "float32"


def _run_and_wait(run: partial[Any]) -> Any:
    import torch

    result = run()
    torch.cuda.synchronize()
    return result


RUNTIME = Torch
