"""The sizes of dynamic dimensions: what the user gave, and what is chosen where nothing was given.

A dynamic dimension without a name is called by its place, 'input.0', and can be given so. A
dimension may be written as arithmetic on others ('2*seq + 1'), as torch.export writes it.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from toolkit.errors import InputError, unknown
from toolkit.sources.inputs import Dimension
from toolkit.tensors import Dim, TensorSpec

Dims: TypeAlias = Mapping[str, int]
"""Dynamic dimension → its size."""

BATCH = re.compile(r"^(n|b|bs|.*batch.*)$", re.IGNORECASE)
PRIME = 7
USUAL = 16
"""The size of a dimension that is no batch and of which nothing is known."""

OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


def parse_dims(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """What `--dim` gave. A value without a name belongs to the name before it.

    >>> parse_dims(["batch=1,8,seq=128"])
    {'batch': (1, 8), 'seq': (128,)}
    """
    found: dict[str, list[int]] = {}
    for text in texts:
        name = ""
        for part in text.split(","):
            key, equals, value = part.rpartition("=")
            name = key.strip() if equals else name
            if not name:
                raise InputError(f"--dim {text}: {part!r} has no name", "--dim batch=1,8,seq=128")
            found.setdefault(name, []).append(_size(value, f"--dim {text}"))
    return {name: tuple(dict.fromkeys(sizes)) for name, sizes in found.items()}


def parse_batch(text: str) -> tuple[int, ...]:
    """What `--batch` gave.

    >>> parse_batch("1,8")
    (1, 8)
    """
    return tuple(dict.fromkeys(_size(part, f"--batch {text}") for part in text.split(",")))


def parse_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """What `--shape` gave; an input without dimensions is written `name=`.

    >>> parse_shapes(["input=1x3x224x224", "scale="])
    {'input': (1, 3, 224, 224), 'scale': ()}
    """
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise InputError(f"--shape {text} has no name", "--shape input=1x3x224x224")
        sizes = value.split("x") if value else []
        found[name] = tuple(_size(size, f"--shape {text}") for size in sizes)
    return found


def named(inputs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The inputs with a name for each dynamic dimension that has none: its place, 'input.0'."""
    return tuple(
        spec
        if spec.shape is None
        else TensorSpec(
            spec.name,
            spec.type,
            tuple(f"{spec.name}.{i}" if d is None else d for i, d in enumerate(spec.shape)),
        )
        for spec in inputs
    )


def free(inputs: Iterable[TensorSpec]) -> tuple[str, ...]:
    """The dynamic dimensions that have to be chosen, in order: expressions are their names."""
    found = [
        name
        for spec in named(inputs)
        for dim in spec.shape or ()
        if isinstance(dim, str)
        for name in _names(dim)
    ]
    return tuple(dict.fromkeys(found))


def shape(spec: TensorSpec, dims: Dims) -> tuple[int, ...]:
    """The shape of an input at these sizes. Raises InputError where the rank is unknown."""
    if spec.shape is None:
        raise InputError(
            f"the rank of the input {spec.name!r} is unknown",
            f"--shape {spec.name}=1x3x224x224   states it",
            "--inputs feeds.npz   gives whole inputs",
        )
    return tuple(value(dim, dims) for dim in named([spec])[0].shape or ())


def value(dim: Dim, dims: Dims) -> int:
    """The size of one dimension.

    >>> value("2*seq + 1", {"seq": 3}), value(64, {})
    (7, 64)
    """
    if isinstance(dim, int):
        return dim
    if dim is None:
        raise InputError("a dynamic dimension without a name has no size of its own")
    if dim in dims:
        return dims[dim]
    tree = _tree(dim)
    if tree is None or isinstance(tree, ast.Name):
        raise InputError(f"the dynamic dimension {dim!r} has no size", f"--dim {dim}=8")
    return _evaluate(tree, dims)


def dims_of(inputs: Iterable[TensorSpec], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The sizes of the dynamic dimensions that whole shapes state.

    Raises InputError for a rank, a fixed size or two sizes of one name that do not agree.
    """
    found: dict[str, int] = {}
    for spec in named(inputs):
        if spec.name not in shapes or spec.shape is None:
            continue
        given = shapes[spec.name]
        if len(given) != len(spec.shape):
            raise InputError(
                f"the input {spec.name!r} has {len(spec.shape)} dimensions, {_x(given)}"
                f" has {len(given)}"
            )
        for dim, size in zip(spec.shape, given, strict=True):
            expected = found.setdefault(dim, size) if isinstance(dim, str) else dim
            if expected != size:
                wanted = f"{expected} is wanted" if isinstance(dim, int) else f"{dim} is {expected}"
                raise InputError(
                    f"the input {spec.name!r} of shape {_x(given)} has {size} where {wanted}"
                )
    return {name: size for name, size in found.items() if isinstance(_tree(name), ast.Name | None)}


def check_names(inputs: Iterable[TensorSpec], given: Iterable[str]) -> None:
    """Raises InputError for a dimension that the model does not have, with a suggestion."""
    known = free(inputs)
    for name in given:
        if name not in known:
            what = unknown("dynamic dimension", name, known)
            raise InputError(what if known else "this model has no dynamic dimensions")


def sweep(given: Mapping[str, Sequence[int]]) -> Iterator[dict[str, int]]:
    """Every combination of the sizes given, the last name fastest.

    >>> list(sweep({"batch": (1, 8), "seq": (128,)}))
    [{'batch': 1, 'seq': 128}, {'batch': 8, 'seq': 128}]
    """
    if not given:
        yield {}
        return
    *rest, last = given
    for head in sweep({name: given[name] for name in rest}):
        yield from ({**head, last: size} for size in given[last])


def chosen(
    inputs: Sequence[TensorSpec],
    traced: Dims | None = None,
    ranges: Mapping[str, Dimension] | None = None,
) -> dict[str, int]:
    """A size for each dynamic dimension that the user did not give: the traced one where it is
    known, 1 for a batch, else 16, within the range."""
    traced, ranges = traced or {}, ranges or {}
    return {
        name: _within(
            traced.get(name, 1 if BATCH.match(name) or _leads(inputs, name) else USUAL),
            ranges.get(name, Dimension(name)),
        )
        for name in free(inputs)
    }


def tried(
    traced: Dims,
    ranges: Mapping[str, Dimension] | None = None,
    wanted: Mapping[str, Sequence[int]] | None = None,
) -> list[dict[str, int]]:
    """Sizes at which a file is proven: the traced ones, each dimension at others with the rest as
    traced, and all of them changed at once."""
    ranges, wanted = ranges or {}, wanted or {}
    others = {
        name: wanted.get(name) or alternatives(size, ranges.get(name, Dimension(name)))
        for name, size in traced.items()
    }
    sizes = [dict(traced)]
    sizes += [{**traced, name: size} for name in others for size in others[name]]
    return _distinct([*sizes, together(traced, others)])


def together(traced: Dims, others: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """All dimensions changed at once, where they can to different sizes: two dimensions that were
    confused do not stay hidden."""
    found: dict[str, int] = {}
    for name, size in traced.items():
        own = others.get(name) or (size,)
        found[name] = next((s for s in reversed(own) if s not in found.values()), own[-1])
    return found


def alternatives(traced: int, within: Dimension) -> tuple[int, ...]:
    """Other sizes of one dimension: 1, a prime, and a prime that is larger than the traced one.

    >>> alternatives(16, Dimension("seq")), alternatives(16, Dimension("seq", None, 13, 19))
    ((1, 7, 37), (13, 17, 19))
    """
    low = (1, PRIME) if within.least <= 1 else (within.least, next_prime(within.least))
    high = next_prime(2 * traced)
    sizes = (*low, high if high in within else within.most or high)
    return tuple(dict.fromkeys(s for s in sizes if s != traced and s in within))


def further(traced: int, within: Dimension) -> tuple[int, ...]:
    """Sizes to look at where the module refuses the usual ones: multiples of the traced one,
    and its halves.

    >>> further(16, Dimension("seq", most=40))
    (32, 8, 4)
    """
    sizes = (2 * traced, 3 * traced, 4 * traced, traced // 2, traced // 4)
    return tuple(dict.fromkeys(s for s in sizes if s >= 1 and s != traced and s in within))


def is_prime(size: int) -> bool:
    return size > 1 and all(size % d for d in range(2, int(size**0.5) + 1))


def next_prime(size: int) -> int:
    """The smallest prime above a size."""
    size += 1
    while not is_prime(size):
        size += 1
    return size


def said(dims: Dims) -> str:
    """As it is shown: 'batch 1, seq 128'; 'fixed shape' where nothing is dynamic."""
    return ", ".join(f"{name} {size}" for name, size in dims.items()) or "fixed shape"


def _leads(inputs: Sequence[TensorSpec], name: str) -> bool:
    """A first dimension that more than one input has, or the only dynamic one."""
    firsts = [spec.shape[0] for spec in named(inputs) if spec.shape]
    return bool(firsts) and all(first == name for first in firsts)


def _within(size: int, within: Dimension) -> int:
    size = max(size, within.least)
    return size if within.most is None else min(size, within.most)


def _distinct(sizes: list[dict[str, int]]) -> list[dict[str, int]]:
    seen: dict[tuple[tuple[str, int], ...], dict[str, int]] = {}
    for each in sizes:
        seen.setdefault(tuple(each.items()), each)
    return list(seen.values())


def _size(text: str, where: str) -> int:
    if not text.strip().isdecimal() or not text.isascii() or int(text) < 1:
        raise InputError(
            f"{where}: {text.strip()!r} is no size; a size is a whole number from 1 on"
        )
    return int(text)


def _tree(dim: str) -> ast.expr | None:
    """A dimension's arithmetic; None for a name that is no arithmetic ('input.0', 'a-b c')."""
    try:
        tree = ast.parse(dim, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    parts = list(ast.walk(tree))
    # Symbols and numbers below + - * // %, and nothing else: calls and attributes are names to us.
    plain = (ast.BinOp, ast.Name, ast.Constant, ast.operator, ast.expr_context)
    if not all(isinstance(part, plain) for part in parts):
        return None
    if any(isinstance(part, ast.BinOp) and type(part.op) not in OPERATIONS for part in parts):
        return None
    constants = [part.value for part in parts if isinstance(part, ast.Constant)]
    return tree if all(type(constant) is int for constant in constants) else None


def _names(dim: str) -> list[str]:
    tree = _tree(dim)
    if tree is None:
        return [dim]
    return [part.id for part in ast.walk(tree) if isinstance(part, ast.Name)] or [dim]


def _evaluate(tree: ast.expr, dims: Dims) -> int:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return tree.value
    if isinstance(tree, ast.Name):
        return value(tree.id, dims)
    if not isinstance(tree, ast.BinOp):
        raise InputError(f"the dimension {ast.unparse(tree)!r} cannot be computed")
    left, right = _evaluate(tree.left, dims), _evaluate(tree.right, dims)
    if right == 0 and isinstance(tree.op, ast.FloorDiv | ast.Div | ast.Mod):
        raise InputError(f"the dimension {ast.unparse(tree)!r} divides by 0")
    result: int = OPERATIONS[type(tree.op)](left, right)
    return result


def _x(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) or "(no dimensions)"
