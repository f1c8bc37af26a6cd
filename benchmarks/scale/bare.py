"""Exports one of the models as bare PyTorch does: what an export with its proof is held against.

python -m benchmarks.scale.bare bert bert.onnx
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from benchmarks.scale import grown, models
from toolkit.exporter import tracing
from toolkit.exporter.request import REFERENCE_INPUT
from toolkit.sources import inputs, reference
from toolkit.sources.inputs import Stated


def main(name: str, out: Path) -> None:
    """Builds the model and exports it with the dimensions that its inputs state."""
    build, texts = _model(name)
    export(build().eval(), inputs.parse_all(texts), out)


def export(module: nn.Module, stated: Sequence[Stated], out: Path) -> None:
    """Exports with the dimensions that the inputs state, as somebody does who calls torch alone."""
    sizes = {dim.name: dim.traced or 2 for dim in inputs.dimensions(stated).values()}
    dims = {dim: Dim(dim) for dim in sizes}
    tensors = tracing.draw(stated, sizes)
    dynamic = {
        each.name: {
            axis: dims[dim.name] for axis, dim in enumerate(each.dims) if not isinstance(dim, int)
        }
        for each in stated
    }
    program = torch.onnx.export(
        module,
        (),
        kwargs=tensors,
        dynamo=True,
        dynamic_shapes=dynamic,
        input_names=list(tensors),
        verbose=False,
    )
    if program is None:  # Its type allows that.
        raise SystemExit("torch.onnx.export gave no model")
    program.save(out)


def _model(name: str) -> tuple[Callable[[], nn.Module], Sequence[str]]:
    if name == "mlp":
        return reference.net, (REFERENCE_INPUT,)
    if name in models.INPUTS:
        return getattr(models, name), models.INPUTS[name]
    return getattr(grown, name), grown.inputs(name)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
