"""PyTorch, eager: the user's own module, built from its factory and weights in the worker."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from toolkit.errors import TargetError
from toolkit.runtimes.base import Call, Moves, Option, Placement, Program, known_source
from toolkit.sources import calls
from toolkit.tensors import Array, Feed


class Torch:
    """PyTorch's eager mode."""

    name: ClassVar[str] = "torch"
    distributions: ClassVar[tuple[str, ...]] = ("torch",)
    requirements: ClassVar[tuple[str, ...]] = ()
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "BSD-3-Clause"
    module: ClassVar[str] = "torch"
    providers: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    starts_from: ClassVar[Literal["model", "source"]] = "source"
    options: ClassVar[Mapping[str, Option]] = {
        "tf32": Option("off", "cuda: multiply in TensorFloat-32", ("off", "on")),
        "compute": Option(
            "float32", "the type of weights and activations", ("float32", "bfloat16", "float16")
        ),
    }
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({},)
    environment: ClassVar[Mapping[str, str]] = {}

    def version(self) -> str:
        import torch

        return str(torch.__version__)

    def library(self) -> Path:
        import torch

        return Path(str(torch.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        if options["compute"] != "float32":
            return options["compute"]
        return "tf32" if options["tf32"] == "on" else "float32"

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> TorchSession:
        import torch

        from toolkit.sources import factory

        source = known_source(program, self.name)
        if provider == "cuda" and not torch.cuda.is_available():
            raise TargetError(
                f"the torch installed here ({torch.__version__}) finds no CUDA device",
                "toolkit doctor    says what is missing",
            )
        torch.set_num_threads(program.threads)
        if torch.get_num_interop_threads() != 1:  # May be set once in a process.
            torch.set_num_interop_threads(1)
        torch.backends.cuda.matmul.allow_tf32 = options["tf32"] == "on"
        torch.backends.cudnn.allow_tf32 = options["tf32"] == "on"
        module = factory.build(source).eval().to(provider)
        if options["compute"] != "float32":
            module = module.to(getattr(torch, options["compute"]))
        return TorchSession(module, provider, program, options["compute"])


class TorchSession:
    """One module on one device."""

    def __init__(self, module: Any, provider: str, program: Program, compute: str) -> None:
        import torch

        self._module = module
        self._provider = provider
        self._program = program
        self._compute = compute
        self._types: dict[str, str] = {}
        # As long as the session: a context manager would stand inside every timed call. The mode
        # ends with the object.
        self._mode = torch.inference_mode()
        self._mode.__enter__()

    def bind(self, feed: Feed) -> Call:
        tensors = {
            spec.name: self._tensor(feed[spec.name], spec.type) for spec in self._program.inputs
        }
        given = calls.arguments(self._module, tensors)
        run = partial(self._module, *given.args, **given.kwargs)
        if self._provider == "cuda":
            run = partial(_run_and_wait, run)
        return Call(run, self._named, moves=Moves())

    def placement(self) -> Placement:
        return Placement({})

    def output_types(self) -> Mapping[str, str]:
        return self._types

    def copies(self) -> str:
        return (
            "tensors stay on the device" if self._provider == "cuda" else "tensors in, tensors out"
        )

    def close(self) -> None:
        del self._module

    def _tensor(self, array: Array, kind: str) -> Any:
        import torch

        if kind == "bfloat16":
            tensor = torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
        else:
            tensor = torch.from_numpy(array.copy())
        if self._compute != "float32" and tensor.is_floating_point():
            tensor = tensor.to(getattr(torch, self._compute))
        return tensor.to(self._provider)

    def _named(self, result: Any) -> dict[str, Array]:
        leaves = list(calls.outputs(result).values())
        names = [spec.name for spec in self._program.outputs]
        if len(leaves) != len(names):
            raise TargetError(f"the module gives {len(leaves)} outputs, the file {len(names)}")
        if away := [leaf.device.type for leaf in leaves if leaf.device.type != self._provider]:
            raise TargetError(f"an output lies on {away[0]}, not on {self._provider}")
        return dict(zip(names, map(self._array, names, leaves), strict=True))

    def _array(self, name: str, tensor: Any) -> Array:
        import torch

        if tensor.dtype == torch.bfloat16 and self._wanted(name) == "bfloat16":
            self._types[name] = "bfloat16"
            bits: Array = tensor.cpu().view(torch.int16).numpy().view(np.uint16)
            return bits
        if self._compute != "float32" and tensor.is_floating_point():
            tensor = tensor.float()
        array: Array = tensor.cpu().numpy()
        return array

    def _wanted(self, name: str) -> str:
        return next(spec.type for spec in self._program.outputs if spec.name == name)


def _run_and_wait(run: partial[Any]) -> Any:
    import torch

    result = run()
    torch.cuda.synchronize()
    return result


RUNTIME = Torch
