"""The ways in which torch makes a file of a module: its exporters, and which of them may help where
one of them failed."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from toolkit.errors import ExportError, ProofError, typed_line
from toolkit.exporter import (
    exactrules,
    freesizes,
    freshkernels,
    pythonnumbers,
    recurrent,
    torchlib,
)
from toolkit.exporter.refusal import Refused
from toolkit.sources import attributes
from toolkit.sources.calls import Arguments

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

Name: TypeAlias = Literal["dynamo", "dynamo-unoptimized", "dynamo-strict", "torchscript"]


Fault: TypeAlias = Literal["branch", "fixed", "runtime", "file"]
"""Why a file is not proven: it holds on one side of a branch by sizes; a size became a number; no
runtime here has its operators; or it is another function."""


@dataclass(frozen=True)
class Way:
    """One way to a file."""

    name: Name
    says: str
    """Completes 'by …' and 'tried …'."""


DYNAMO = Way("dynamo", "torch.export's tracing")
UNOPTIMIZED = Way("dynamo-unoptimized", "torch.export's tracing, without onnxscript's optimizer")
STRICT = Way("dynamo-strict", "strict tracing, which reads the module's bytecode")
TORCHSCRIPT = Way("torchscript", "the TorchScript exporter")
WAYS: Mapping[str, Way] = {way.name: way for way in (DYNAMO, UNOPTIMIZED, STRICT, TORCHSCRIPT)}

CHECKING = "torch/nn/modules/rnn.py"
"""The file whose choices by sizes are checks of its inputs: TorchScript takes them for granted,
and every size of the proof meets them too."""

LISTED = "CAPTURE_STRATEGIES"
"""torch's list of the ways in which it traces."""


def after(error: ExportError | ProofError, fault: Fault) -> tuple[Way, ...]:
    """The ways that may lead to a right file where the first one failed so, the likeliest first.

    `fault` is that of a file which is not proven.
    """
    if isinstance(error, Refused):
        # No tracing follows a choice by values, and none gives an operator a form.
        return {
            "values": (),
            "operator": (TORCHSCRIPT,),
            "other": (STRICT, TORCHSCRIPT),
        }[error.kind]
    if isinstance(error, ExportError):
        return ()
    return {
        "branch": (),  # Every tracing sees it from one side.
        "fixed": (STRICT, TORCHSCRIPT),
        "runtime": (),
        "file": (UNOPTIMIZED, STRICT, TORCHSCRIPT),
    }[fault]


def make(
    way: Way,
    module: nn.Module,
    arguments: Arguments,
    *,
    outputs: Sequence[str],
    dynamic: dict[str, Any] | tuple[Any, ...] | None,
    axes: Mapping[str, Mapping[int, str]],
    opset: int | None,
    translated: set[str],
) -> tuple[ir.Model, Any]:
    """The graph by one way, and torch's exported program, which TorchScript has none of.

    `dynamic` are the dynamic dimensions as torch.export takes them, `axes` the same by input and
    axis. The operators that toolkit's own translations write are added to `translated`. Raises what
    torch raises, and ExportError where it gives nothing.
    """
    if way is TORCHSCRIPT:
        with attributes.kept(module):
            return _scripted(module, arguments, outputs, axes, opset), None
    import torch.onnx

    from toolkit.exporter import translations
    from toolkit.exporter.translations import imaginary

    with (
        attributes.kept(module),
        _without_gradients(module),
        _captured_by("Strict" if way is STRICT else "NonStrict"),
        exactrules.exact(),
        freshkernels.looked_up(),
        torchlib.read_once(),
        contextlib.nullcontext() if way is STRICT else _rewritten(),
        imaginary.known(translated),
    ):
        export = partial(
            torch.onnx.export,
            module,
            arguments.args,
            kwargs=arguments.kwargs,
            dynamo=True,
            external_data=False,  # `convert.write` decides that, by the size of the weights.
            verbose=False,
            optimize=way is not UNOPTIMIZED,
            opset_version=opset,
            input_names=list(arguments.order),
            output_names=list(outputs),
            dynamic_shapes=dynamic,
            custom_translation_table=dict(translations.table(translated)),
        )
        program = export() if way is STRICT else pythonnumbers.kept(export)
    if program is None:  # Its type allows that.
        raise ExportError("torch.onnx.export gave no model")
    return program.model, program.exported_program


@contextlib.contextmanager
def _rewritten() -> Iterator[None]:
    """Has calls that torch cannot trace written as others while the block lasts."""
    with freesizes.traced(), recurrent.traced():
        yield


@contextlib.contextmanager
def _without_gradients(module: nn.Module) -> Iterator[None]:
    """Has no weight ask for a gradient while the block lasts.

    Where a learned bias is the mask of an attention, torch (2.13) takes another kernel for it that
    lays its result out otherwise than its own tracing believes: T5, BEiT and Swin were refused with
    "Cannot view a tensor with shape …".
    """
    learning = [each for each in module.parameters() if each.requires_grad and each.is_leaf]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextlib.contextmanager
def _captured_by(kind: Literal["Strict", "NonStrict"]) -> Iterator[None]:
    """Leaves torch.onnx.export one of its strategies: left alone it takes the next one without a
    word where one fails. The list is private to torch (2.11 to 2.15); where it is not found, torch
    chooses for itself."""
    try:
        capturing: Any = importlib.import_module(
            "torch.onnx._internal.exporter._capture_strategies"
        )
    except ImportError:
        capturing = None
    kept = getattr(capturing, LISTED, ())
    wanted = tuple(each for each in kept if each.__name__ == f"TorchExport{kind}Strategy")
    if not wanted:
        yield
        return
    setattr(capturing, LISTED, wanted)
    try:
        yield
    finally:
        setattr(capturing, LISTED, kept)


def _scripted(
    module: nn.Module,
    arguments: Arguments,
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    opset: int | None,
) -> ir.Model:
    """The graph by torch's older exporter, which runs the module once and writes what it does.

    Raises ExportError where the module chooses in Python by a tensor's values or sizes: that
    exporter writes the side that was taken, as if there were no other.
    """
    import onnx_ir as ir
    import torch.onnx

    with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
        file = Path(folder) / "model.onnx"
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            torch.onnx.export(
                module,
                arguments.args,
                str(file),
                kwargs=arguments.kwargs,
                dynamo=False,
                verbose=False,
                opset_version=opset,
                input_names=list(arguments.order),
                output_names=list(outputs),
                dynamic_axes={name: dict(dims) for name, dims in axes.items() if dims},
            )
        frozen = [
            w
            for w in warned
            if w.category.__name__ == "TracerWarning" and not Path(w.filename).match(CHECKING)
        ]
        if frozen:
            raise ExportError(f"it would freeze a choice: {typed_line(frozen[0].message)}")  # type: ignore[arg-type]
        model = ir.load(file)
        for graph in model.graphs():  # The folder goes: the weights are read before.
            for value in graph.initializers.values():
                if isinstance(value.const_value, ir.ExternalTensor):
                    value.const_value = ir.tensor(value.const_value.numpy().copy())
    for output in model.graph.outputs:
        if output.shape is not None:
            # It states the traced sizes, as if they were fixed.
            output.shape = ir.Shape([None] * len(output.shape))
    return model
