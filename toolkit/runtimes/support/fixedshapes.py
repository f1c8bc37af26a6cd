"""The option `shapes=fixed`: a model is converted for the shapes of one feed, and no others.

A compiler that fails at dynamic dimensions, or computes them wrongly, may be right and faster so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import ShapeRefused
from toolkit.runtimes.base import Option, Program
from toolkit.tensors import Feed

if TYPE_CHECKING:
    from onnx import GraphProto

OPTION = Option(
    "dynamic", "fixed: converted for the shapes of the first feed", ("dynamic", "fixed")
)
FILE = "shapes.json"

Shapes = Mapping[str, tuple[int, ...]]
"""Input → its one shape; empty where dimensions stayed dynamic."""


def of(program: Program, feed: Feed, option: str) -> Shapes:
    """The shapes to convert for, by the value of the option."""
    if option == "dynamic":
        return {}
    return {spec.name: feed[spec.name].shape for spec in program.inputs}


def write(shapes: Shapes, folder: Path) -> None:
    """Writes the shapes beside the converted model."""
    (folder / FILE).write_text(json.dumps(shapes), "utf-8")


def read(folder: Path) -> Shapes:
    """Reads the shapes for which the model in this folder was converted."""
    shapes = json.loads((folder / FILE).read_text("utf-8"))
    return {name: tuple(shape) for name, shape in shapes.items()}


def demand(shapes: Shapes, feed: Feed) -> None:
    """Raises ShapeRefused for a feed of another shape (R9)."""
    for name, shape in shapes.items():
        if feed[name].shape != shape:
            raise ShapeRefused(f"converted for {name!r} of {shape}, shapes=fixed")


def fix(graph: GraphProto, shapes: Shapes) -> None:
    """Writes the sizes into the graph's inputs and outputs; shape inference carries them on."""
    if not shapes:
        return
    sizes: dict[str, int] = {}
    for info in graph.input:
        known = shapes.get(info.name, ())  # Weights may be listed as inputs too: they stay.
        for dim, size in zip(info.type.tensor_type.shape.dim, known, strict=False):
            if dim.dim_param:
                sizes[dim.dim_param] = size
            dim.dim_value = size
    for info in graph.output:
        for dim in info.type.tensor_type.shape.dim:
            if dim.dim_param in sizes:
                dim.dim_value = sizes[dim.dim_param]
    del graph.value_info[:]  # It may hold the dynamic dimensions, which are gone.
