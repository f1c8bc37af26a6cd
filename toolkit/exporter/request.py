"""A module with all that is known of it before it is exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError
from toolkit.exporter import tracing
from toolkit.exporter.ownlimits import OwnLimit
from toolkit.exporter.tracing import Traced
from toolkit.feeds.sizes import Dims
from toolkit.sources import calls, dynamic, examples, factory, inputs, reference
from toolkit.sources import stateful as stateful_modules
from toolkit.sources.inputs import Dimension, Stated, dimensions
from toolkit.sources.source import Source
from toolkit.tensors import TensorSpec

if TYPE_CHECKING:
    import torch
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
    otherwise: ExportRequest | None = None
    """The request with all sizes as in the example: nothing was stated as dynamic, and the batch is
    tried as such."""
    own_limits: tuple[OwnLimit, ...] = ()
    """The limits of the module's own that its inputs are held to, where the user stated none."""
    before: tuple[Dims, ...] = ()
    """Sizes that it was traced with before it was traced with others: a proof looks at them too."""

    @property
    def reference(self) -> bool:
        """Says whether it is the reference model."""
        return is_reference(self.source)

    def within(self, limit: OwnLimit) -> ExportRequest:
        """The same request, with one dimension held to a limit of the module's."""
        name = limit.dim.name
        others = [other for other in self.own_limits if other.dim.name != name]
        held = _with_dim(self.inputs, name, limit.dim)
        return replace(self, inputs=held, own_limits=(*others, limit))

    def held_to(self, dims: Iterable[Dimension]) -> ExportRequest:
        """The same request, with some dimensions of other sizes than were stated."""
        inputs, stated = self.inputs, dimensions(self.inputs)
        for dim in dims:
            inputs = _with_dim(inputs, dim.name, replace(dim, traced=stated[dim.name].traced))
        return replace(self, inputs=inputs)

    def fixed(self, name: str) -> ExportRequest:
        """The same request, with one dimension fixed at the size that it is traced with."""
        size = self.traced.sizes[name]
        held = _with_dim(self.inputs, name, size)
        sizes = {other: at for other, at in self.traced.sizes.items() if other != name}
        return replace(self, inputs=held, traced=replace(self.traced, sizes=sizes))

    def traced_at(self, sizes: Mapping[str, int]) -> ExportRequest:
        """The same request, traced with other sizes of some dimensions. Raises InputError where the
        module does not take them."""
        wanted = {**self.traced.sizes, **sizes}
        inputs = self.inputs
        for name, dim in dimensions(inputs).items():
            inputs = _with_dim(inputs, name, replace(dim, traced=wanted[name]))
        traced = tracing.find(self.module, inputs)
        return replace(self, traced=traced, before=(*self.before, self.traced.sizes))

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


def of_source(source: Source, texts: Sequence[str], *, stateful: bool = False) -> ExportRequest:
    """Builds the module, and finds tensors that it accepts. Runs the user's own code.

    `texts` state its inputs as `--input` does; without any, example_inputs() beside the factory
    gives them. With `stateful` the buffers that forward changes are inputs and outputs, after all
    others. Raises InputError where the source gives no module, where its inputs are not known,
    and where it accepts none of them.
    """
    module = factory.build(source)
    if is_reference(source):
        stated = inputs.parse_all([REFERENCE_INPUT])
        return ExportRequest(source, module, stated, tracing.find(module, stated), own_values=False)
    given = examples.of(source, module)
    stated = _named(module, inputs.parse_all(texts)) or dynamic.of(source, given)
    tried: tuple[Stated, ...] = ()
    if not stated and given:
        fixed = inputs.of_examples(given[0].tensors)
        stated, tried = fixed, dynamic.with_batch(fixed)
    if not stated:
        raise _unstated(module)
    values: Mapping[str, torch.Tensor] = given[0].tensors if given else {}
    if stateful:
        module, stated, values = _with_state(module, stated, values)
        tried = ()
    request = _traced(source, module, stated, values)
    if tried:
        try:
            return replace(_traced(source, module, tried, values), otherwise=request)
        except InputError:  # It takes no other batch than that of the examples.
            pass
    return request


def _with_state(
    module: nn.Module, stated: tuple[Stated, ...], values: Mapping[str, torch.Tensor]
) -> tuple[nn.Module, tuple[Stated, ...], Mapping[str, torch.Tensor]]:
    """The module with its state handed over, and its inputs with those of the state.

    Raises InputError where it has none, and where it takes none of the tensors that are tried.
    """
    example = tracing.find(module, stated, dynamic.widened(values, stated), repeats=False)
    if not example.forgotten:
        raise InputError(
            "--stateful is for a module whose forward changes its buffers; this one changes none"
        )
    buffers = dict(module.named_buffers())
    kept = {name: buffers[name].detach().clone() for name in example.forgotten}
    names = tuple(example.tensors)
    return (
        stateful_modules.handed_over(module, names, tuple(kept)),
        (*stated, *inputs.of_examples(kept)),
        {**values, **kept} if values else {},
    )


def _traced(
    source: Source,
    module: nn.Module,
    stated: tuple[Stated, ...],
    values: Mapping[str, torch.Tensor],
) -> ExportRequest:
    """The request with tensors that the module accepts, and a module whose results torch can
    export. Raises InputError."""
    from toolkit.sources import nested

    traced = tracing.find(module, stated, dynamic.widened(values, stated))
    if not traced.plain:
        module = nested.flat(module, tuple(traced.tensors))
    return ExportRequest(source, module, stated, traced, own_values=bool(values))


def _with_dim(inputs: Sequence[Stated], name: str, instead: int | Dimension) -> tuple[Stated, ...]:
    """The inputs with something else in place of one dimension, wherever it stands."""
    return tuple(
        replace(
            stated,
            dims=tuple(
                instead if isinstance(dim, Dimension) and dim.name == name else dim
                for dim in stated.dims
            ),
        )
        for stated in inputs
    )


def _named(module: nn.Module, stated: tuple[Stated, ...]) -> tuple[Stated, ...]:
    """The inputs, a single one under the name that forward has for it: `nn.Sequential` calls it
    `input`, which nobody knows."""
    own = calls.all_parameters(module)
    if len(stated) == len(own) == 1 and stated[0].name != own[0]:
        return (replace(stated[0], name=own[0]),)
    return stated


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
