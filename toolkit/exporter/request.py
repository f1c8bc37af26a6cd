"""A module with all that is known of it before it is exported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError
from toolkit.exporter import tracing
from toolkit.exporter.tracing import Traced
from toolkit.sources import calls, factory, inputs, reference
from toolkit.sources.inputs import Stated
from toolkit.sources.source import Source
from toolkit.tensors import TensorSpec

if TYPE_CHECKING:
    from torch import nn

MODEL = Path("models/mlp/mlp.onnx")
"""The reference model's file: where the other commands look when no model is named."""
REFERENCE_INPUT = f"{reference.INPUT}:float32[batch=2,{reference.FEATURES}]"


@dataclass(frozen=True)
class ExportRequest:
    """A module, its inputs, and the tensors that it is traced with."""

    source: Source
    module: nn.Module
    inputs: tuple[Stated, ...]
    traced: Traced
    own_values: bool
    """The tensors to trace with are the user's."""

    @property
    def reference(self) -> bool:
        """Says whether it is the reference model."""
        return is_reference(self.source)

    @property
    def specs(self) -> list[TensorSpec]:
        """The inputs as the file should have them, in the order in which they were stated."""
        return [stated.spec for stated in self.inputs]

    @property
    def default_path(self) -> Path:
        """The file to write where none is named: the reference model's, else the source's name in
        the current folder."""
        if self.reference:
            return MODEL
        head = self.source.name.rpartition(":")[0]
        return Path(f"{head.removesuffix('.py').rpartition('.')[2]}.onnx")


def of_source(source: Source, texts: Sequence[str]) -> ExportRequest:
    """Builds the module, and finds tensors that it accepts. Runs the user's own code.

    `texts` state its inputs as `--input` does; without any, example_inputs() beside the factory
    gives them. Raises InputError where the source gives no module, where its inputs are not known,
    and where it accepts none of them.
    """
    module = factory.build(source)
    if is_reference(source):
        stated = inputs.parse_all([REFERENCE_INPUT])
        return ExportRequest(source, module, stated, tracing.find(module, stated), own_values=False)
    stated = inputs.parse_all(texts)
    values = factory.examples(source, module)
    stated = stated or inputs.of_examples(values)
    if not stated:
        raise _unstated(module)
    traced = tracing.find(module, stated, values)
    return ExportRequest(source, module, stated, traced, own_values=bool(values))


def is_reference(source: Source) -> bool:
    """Says whether a source is the reference model's, whatever its weights."""
    return source.factory == reference.SOURCE.factory


def _unstated(module: nn.Module) -> InputError:
    names = calls.parameters(module)
    shown = ", ".join(names) or "*args"
    return InputError(
        f"what goes into {type(module).__name__}.forward({shown}) is not known",
        *(f"--input '{name}:float32[batch,64]'   states its type and shape" for name in names[:3]),
        "or a function example_inputs() beside the factory gives tensors",
    )
