"""Gives the values in bodies of Scan, Loop and If names that no other value of the file has.

torch's exporter names a body and the nodes behind it alike where neither sees the other, which ONNX
allows; ONNX Runtime (1.32) refuses it as a value that is computed twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir


def named_apart(model: ir.Model) -> None:
    """Renames what stands in a body under a name that stands elsewhere too."""
    taken = {value.name for value in _values(model.graph)}
    for graph in model.graph.subgraphs():
        for value in _values(graph):
            if value.name in taken:
                value.name = _free(str(value.name), taken)
            taken.add(value.name)


def _values(graph: ir.Graph) -> Iterator[ir.Value]:
    """The values that a graph itself has, without those of the bodies in it."""
    yield from graph.inputs
    yield from (each for each in graph.initializers.values() if not each.is_graph_input())
    for node in graph:
        yield from node.outputs


def _free(name: str, taken: set[str | None]) -> str:
    names = (f"{name}.{number}" for number in itertools.count(1))
    return next(each for each in names if each not in taken)
