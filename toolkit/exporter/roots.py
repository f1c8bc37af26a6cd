"""Dimensions that are so many times another one for torch, and one size of a file's.

torch.export takes a dimension that must be a multiple as a number times a dimension of its own
kind, its root: `32*Dim("_height")`. Where it finds out by itself that a dimension must be one, it
makes such a root too. The file that comes out speaks of roots ('32*_height'), and whoever runs it
knows the sizes of its inputs: they are written by these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.sources.inputs import Dimension

if TYPE_CHECKING:
    import onnx_ir as ir

LEAST = 2
"""The least root that torch (2.13) keeps dynamic: it takes 1 for a fixed size."""


def name(dim: str) -> str:
    """The name of a dimension's root, as torch itself calls it."""
    return f"_{dim}"


def as_torch(dim: Dimension, traced: int) -> Any:
    """A dimension as torch.export takes it: a multiple as a root times a number, but where it is
    traced at that number itself, and torch would fix the root."""
    from torch.export import Dim

    times = dim.multiple if traced >= LEAST * dim.multiple else 1
    least, most = dim.least // times, None if dim.most is None else dim.most // times
    called = dim.name if times == 1 else name(dim.name)
    made = Dim(called, min=least, max=most) if most else Dim(called, min=least)
    return made if times == 1 else times * made


def written_as_sizes(model: ir.Model, program: Any) -> dict[str, int]:
    """Writes the shapes of a model by the sizes of its inputs instead of roots.

    Returns the number that each of these dimensions is a multiple of, where torch made it one.
    """
    roots = _of_inputs(model, program)
    if not roots:
        return {}
    import onnx_ir as ir

    for value in _values(model):
        if value.shape is not None and any(isinstance(d, ir.SymbolicDim) for d in value.shape):
            sizes = [
                d
                if isinstance(d, int) or d.value is None
                else ir.SymbolicDim(by_sizes(d.value, roots))
                for d in value.shape
            ]
            value.shape = ir.Shape(sizes)
    return {root.dim: root.multiple for root in roots.values()}


@dataclass(frozen=True)
class Root:
    """A root's dimension, and how many times the root that is."""

    dim: str
    multiple: int


def by_sizes(text: str, roots: Mapping[str, Root]) -> str:
    """The arithmetic of a dimension by the sizes that are so many times a root.

    >>> roots = {"_height": Root("height", 32)}
    >>> [by_sizes(text, roots) for text in ("32*_height", "8*_height + 1", "_height**2")]
    ['height', '(height//4) + 1', '(height//32)**2']
    """
    for called, root in roots.items():
        # A factor binds to the root but behind a division, and before a power.
        factor = rf"(?<![\w/%*.])(?<![/%*] )(\d+)\*{re.escape(called)}\b(?!\s*\*\*)"
        text = re.sub(factor, _times(root), text)
        text = re.sub(rf"(?<!\w){re.escape(called)}\b", f"({root.dim}//{root.multiple})", text)
    return text


def _times(root: Root) -> Callable[[re.Match[str]], str]:
    def written(match: re.Match[str]) -> str:
        times = int(match[1])
        if times % root.multiple == 0:
            return root.dim if times == root.multiple else f"{times // root.multiple}*{root.dim}"
        if root.multiple % times == 0:
            return f"({root.dim}//{root.multiple // times})"
        return f"{times}*({root.dim}//{root.multiple})"

    return written


def _of_inputs(model: ir.Model, program: Any) -> dict[str, Root]:
    """The roots that the sizes of a program's inputs are multiples of, by torch's symbol and by
    name."""
    roots: dict[str, Root] = {}
    for shown, size in sizes_of_inputs(model, program):
        expression = getattr(getattr(size, "node", None), "expr", None)
        if expression is None or not expression.is_Mul or len(expression.free_symbols) != 1:
            continue
        (symbol,) = expression.free_symbols
        times = expression / symbol
        if times.is_Integer:
            named = re.fullmatch(rf"{times}\*_(\w+)", shown)
            dim = named[1] if named else shown
            roots[str(symbol)] = roots[name(dim)] = Root(dim, int(times))
    return roots


def sizes_of_inputs(model: ir.Model, program: Any) -> Iterator[tuple[str, Any]]:
    """Each dynamic dimension of a file's inputs with the size that the program has for it;
    TorchScript has no program, and gives none."""
    if program is None:
        return
    values = {
        node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"
    }
    users = [values.get(each) for each in program.graph_signature.user_inputs]
    # By their order: the file has the names that were stated, the program has torch's.
    for value, tensor in zip(model.graph.inputs, users, strict=False):
        if tensor is None or value.shape is None:
            continue
        for shown, size in zip(value.shape, tensor.shape, strict=True):
            if not isinstance(shown, int):
                yield str(shown.value), size


def _values(model: ir.Model) -> Iterator[ir.Value]:
    """All values of a model that have a shape."""
    parts: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for part in parts:
        for graph in (part, *part.subgraphs()):
            yield from graph.inputs
            for node in graph:
                yield from node.outputs
