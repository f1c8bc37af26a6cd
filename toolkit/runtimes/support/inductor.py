"""The forms in which the runtime `torch` calls a module: as it is, by torch.compile, and from a
package that AOTInductor compiled. The last two are C++, and need a compiler of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import TargetError, typed_line
from toolkit.sources import exported, nested
from toolkit.sources.calls import Arguments
from toolkit.tensors import Feed, TensorSpec

if TYPE_CHECKING:
    import torch
    from torch import nn

PACKAGE, SIGNATURE = "model.pt2", "signature.json"


@dataclass(frozen=True)
class CallableForm:
    """A module as it is called."""

    call: Callable[..., Any]
    arguments: Callable[[Mapping[str, torch.Tensor]], Arguments]
    """Turns named inputs into the arguments of `call`."""
    refusal: Callable[[Feed], str] = lambda feed: ""
    """Why the sizes of a feed cannot be taken; empty where they can."""


def eager(module: nn.Module) -> CallableForm:
    """The module itself."""
    return CallableForm(nested.inner(module), partial(nested.arguments, module))


def compiled(module: nn.Module, inputs: Sequence[TensorSpec]) -> CallableForm:
    """torch.compile of the whole module, or of nothing: it does not go on in eager mode.

    It compiles when it is called: once for all sizes of the dynamic dimensions, and once more
    where one of them is 1, which torch always takes for fixed. Sizes that it met before make no
    difference, as they do where it finds out by itself what is dynamic.
    """
    import torch

    call = torch.compile(nested.inner(module), fullgraph=True, dynamic=False)
    return CallableForm(call, partial(_marked, module, inputs))


def packaged(folder: Path) -> CallableForm:
    """The form that loads what `package` wrote."""
    import torch

    keep_in(folder)  # It keeps nothing, but makes the folder that it does not use.
    signature = exported.read(folder / SIGNATURE)
    call = torch._inductor.aoti_load_package(str(folder / PACKAGE))
    return CallableForm(call, signature.arguments, signature.refusal)


def package(
    module: nn.Module,
    inputs: Sequence[TensorSpec],
    tensors: Mapping[str, torch.Tensor],
    folder: Path,
) -> None:
    """Writes the module as AOTInductor compiles it. Raises ExportError and TargetError.

    `tensors` are examples of the inputs without a dynamic dimension of 1.
    """
    import torch

    with tempfile.TemporaryDirectory(dir=folder) as work:
        keep_in(Path(work))
        program, signature = exported.export(module, inputs, tensors)
        with compiling("AOTInductor"):
            path = str(folder / PACKAGE)
            torch._inductor.aoti_compile_and_package(program, package_path=path)
    signature.write(folder / SIGNATURE)


def keep_in(folder: Path) -> None:
    """Makes Inductor keep its files in this folder alone, and compile in this very process."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
    from torch._inductor import config

    config.compile_threads = 1  # Else a pool of processes waits beside the one that is timed.
    # Headers that are compiled once for all would lie in the system's folder for temporary files,
    # and be found again by the hash that another program makes, which may not be there.
    config.cpp_cache_precompile_headers = False
    config.aot_inductor.precompile_headers = False


def demand_compiler() -> None:
    """Raises TargetError where there is no C++ compiler."""
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        raise TargetError(
            f"torch compiles C++ with {compiler}, which is not on the PATH",
            "sudo apt install g++    on Debian and Ubuntu; CXX= names another one",
        )


@contextmanager
def compiling(what: str) -> Iterator[None]:
    """Turns the pages that torch's compilers raise into a TargetError of one line."""
    try:
        yield
    except Exception as error:  # Tracer, code generator and compiler, which raise all kinds.
        raise TargetError(f"{what} refuses the module: {typed_line(error)}") from error


def _marked(
    module: nn.Module, inputs: Sequence[TensorSpec], tensors: Mapping[str, torch.Tensor]
) -> Arguments:
    import torch

    for spec in inputs:
        for axis, dim in enumerate(spec.shape or ()):
            if not isinstance(dim, int) and tensors[spec.name].shape[axis] > 1:
                torch._dynamo.maybe_mark_dynamic(tensors[spec.name], axis)
    return nested.arguments(module, tensors)
