"""Makes an ONNX file of a module: one call of torch.onnx.export, its result the same everywhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit import __version__
from toolkit.errors import ExportError, demand_room
from toolkit.exporter import casting, guards, refusal, roots, ways
from toolkit.exporter.guards import SizeGuard
from toolkit.exporter.quiet import Chatter, quiet
from toolkit.exporter.tracing import Traced
from toolkit.exporter.ways import Way
from toolkit.onnxfiles import modelfile, streamed
from toolkit.sources import calls, exported, nested, stateful, weights
from toolkit.sources.inputs import Stated, dimensions
from toolkit.sources.source import Source
from toolkit.units import Bytes, Seconds

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

INLINE: Bytes = 2_000_000_000
"""Weights above this stand in a file of their own: protobuf ends at 2 GiB, the graph included."""


@dataclass(frozen=True)
class Converted:
    """A graph in memory, and the program that tells the sizes it holds for."""

    model: ir.Model
    opset: int
    program: Any
    """torch.export.ExportedProgram; None where TorchScript made the file."""
    guards: tuple[SizeGuard, ...]
    """The conditions on stated sizes that torch relied on while it traced."""
    seconds: Seconds
    """The time that torch took for it."""
    way: Way = ways.DYNAMO
    translated: tuple[str, ...] = ()
    """The operators that torch has no right ONNX form of, and toolkit has: 'aten.kthvalue'."""
    multiples: Mapping[str, int] = field(default_factory=dict)
    """Dimension → what torch made it a multiple of."""


def convert(
    module: nn.Module,
    inputs: Sequence[Stated],
    traced: Traced,
    *,
    opset: int | None,
    chatter: Chatter,
    way: Way = ways.DYNAMO,
) -> Converted:
    """Exports with the names and the dynamic dimensions that were stated.

    Raises ExportError where torch refuses, and where the opset was not reached: torch keeps
    another one then, without a word.
    """
    converted = _export(module, inputs, traced, opset, chatter, way)
    if opset is None or converted.opset == opset:
        return converted
    reached = _nearest(
        opset, converted.opset, lambda n: _export(module, inputs, traced, n, chatter, way)
    )
    raise ExportError(
        f"torch does not reach opset {opset} with this model; the nearest that it reaches is"
        f" {reached}",
        f"toolkit export … --opset {reached}",
    )


def portable(model: ir.Model, metadata: Mapping[str, str], *, keep_traces: bool) -> None:
    """Makes the file the same on every machine, and puts the given metadata into it.

    torch writes the absolute path and the text of the user's lines into every node, and its own
    build ('+cpu') into the version of the producer.
    """
    if not keep_traces:
        for part in _with_metadata(model):
            part.metadata_props.clear()
            part.doc_string = None
        model.doc_string = None
    model.producer_version = public(model.producer_version or "")
    model.metadata_props.clear()
    model.metadata_props.update(sorted(metadata.items()))


def metadata(
    source: Source,
    module: nn.Module,
    way: Way = ways.DYNAMO,
    *,
    translated: Sequence[str] = (),
    wide: Sequence[str] = (),
    sizes: str = "",
    proven: bool = True,
) -> dict[str, str]:
    """The origin of a file, as it stands in the file: this tool's version and torch's, the source
    without its folder, the sha256 of the weights, the operators that toolkit translated, torch's
    exporter unless it is the usual one, the operators that are computed in float32 where the module
    has a narrower type, the sizes that it is for where it is not for all, and that nobody proved it
    where nobody did."""
    import torch

    return {
        "toolkit": __version__,
        "torch": public(torch.__version__),
        "source": source.name,
        "weights_sha256": weights.sha256(source, module),
        **({} if way is ways.DYNAMO else {"exporter": way.name}),
        **({} if proven else {modelfile.PROOF: modelfile.NO_PROOF}),
        **({casting.KIND: ", ".join(wide)} if wide else {}),
        **({modelfile.SIZES: sizes} if sizes else {}),
        **({"toolkit.translations": ", ".join(translated)} if translated else {}),
    }


def write(model: ir.Model, path: Path, *, inline: Bytes = INLINE) -> list[Path]:
    """Writes the model and returns the files, the model last; weights above `inline` get one.

    The weights' file has the model's name and '.data': both stand under their final names, since
    the one names the other.
    """
    import onnx_ir as ir

    size: Bytes = sum(
        value.const_value.nbytes
        for graph in model.graphs()
        for value in graph.initializers.values()
        if value.const_value is not None
    )
    if size <= inline:
        streamed.save(model, path)
        return [path]
    data = path.with_name(f"{path.name}.data")
    ir.save(model, path, external_data=data.name)
    return [data, path]


def public(version: str) -> str:
    """A version without the name of its build: '2.13.0+cpu' is '2.13.0'."""
    return version.partition("+")[0]


def distinct(outputs: Sequence[str], inputs: Sequence[str]) -> list[str]:
    """Outputs named unlike all inputs, since both share one space of names in a file."""
    taken = {*inputs, *outputs}
    names = []
    for name in outputs:
        if name in inputs:
            name = f"{name}_out"
            while name in taken:
                name += "_"
            taken.add(name)
        names.append(name)
    return names


def _export(
    module: nn.Module,
    inputs: Sequence[Stated],
    traced: Traced,
    opset: int | None,
    chatter: Chatter,
    way: Way,
) -> Converted:
    from toolkit.exporter.translations import naming

    arguments, by_name = _shapes(module, inputs, traced)
    dynamic = exported.dynamic_shapes(module, arguments, by_name)
    translated: set[str] = set()
    began = time.perf_counter()
    try:
        with quiet(chatter), guards.watched() as met:
            model, program = ways.make(
                way,
                module,
                arguments,
                outputs=distinct(traced.outputs, arguments.order),
                dynamic=dynamic,
                axes=_axes(inputs),
                opset=opset,
                translated=translated,
            )
    except Exception as error:  # torch's exporter raises all kinds.
        demand_room(error)
        raise refusal.in_words(error, module) from error
    _name_as_the_user(model, module)
    naming.named_apart(model)
    multiples = roots.written_as_sizes(model, program)
    seconds = time.perf_counter() - began
    assumed = guards.of_stated(met, arguments, inputs, multiples)
    return Converted(
        model,
        model.opset_imports[""],
        program,
        assumed,
        seconds,
        way,
        tuple(sorted(translated)),
        multiples,
    )


def _name_as_the_user(model: ir.Model, module: nn.Module) -> None:
    """Gives the weights the names that they have in the user's own module."""
    prefix, own = "", module
    while nested.is_flat(own) or stateful.is_handed_over(own):
        prefix, own = f"{prefix}{nested.INNER}.", getattr(own, nested.INNER)
    if not prefix:
        return
    taken = {value.name for value in (*model.graph.inputs, *model.graph.outputs)}
    for name, value in list(model.graph.initializers.items()):
        short = name.removeprefix(prefix)
        if short != name and short not in taken and short not in model.graph.initializers:
            value.name = short


def _shapes(
    module: nn.Module, inputs: Sequence[Stated], traced: Traced
) -> tuple[calls.Arguments, dict[str, dict[int, Any]]]:
    """The arguments to trace with, and each one's dynamic dimensions as torch.export wants them."""
    dims = {
        name: roots.as_torch(dim, traced.sizes[name]) for name, dim in dimensions(inputs).items()
    }
    by_name = {
        stated.name: {
            axis: dims[dim.name] for axis, dim in enumerate(stated.dims) if not isinstance(dim, int)
        }
        for stated in inputs
    }
    return calls.arguments(module, traced.tensors), by_name


def _axes(inputs: Sequence[Stated]) -> dict[str, dict[int, str]]:
    """Input → axis → the name of its dynamic dimension."""
    return {
        stated.name: {
            axis: dim.name for axis, dim in enumerate(stated.dims) if not isinstance(dim, int)
        }
        for stated in inputs
    }


def _nearest(asked: int, kept: int, export: Callable[[int], Converted]) -> int:
    """The opset nearest to the one asked for that torch reaches, found by trying."""
    import onnx

    latest: int = onnx.defs.onnx_opset_version()
    # Each try is a whole export, so only those are tried that would be nearer than the kept one.
    others = [n for n in range(1, latest + 1) if n != asked and abs(n - asked) < abs(kept - asked)]
    for number in sorted(others, key=lambda n: (abs(n - asked), -n)):
        if export(number).opset == number:
            return number
    return kept


def _with_metadata(model: ir.Model) -> Iterator[Any]:
    """All parts of a model that torch hangs notes on."""
    parts: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for part in parts:
        for graph in (part, *part.subgraphs()):
            yield graph
            yield from graph.inputs
        for node in part.all_nodes():
            yield node
            yield from node.outputs
    for graph in model.graphs():
        yield from graph.initializers.values()
