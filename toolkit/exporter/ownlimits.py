"""Finds where a module itself states the largest size that it was made for: 'max_len = 96'.

Rules, cited below:

M1  An attribute counts by its name: `num_layers = 12` is no limit of a length, `n_positions` is.
M2  A table counts by its rows, and a parameter or buffer of the user's own class by any dimension;
    the weights of torch's layers have widths, which are no limits.
M3  A table of relative positions has rows for both ways, one of a padding has some more: such
    numbers count where the name says what the table is for.
M4  A buffer that forward makes anew for other sizes is a store, and no limit.
M5  A number in the very line that chooses is a branch of the code's, whatever else is as large.
M6  Layers with a stride make several steps one position: a limit that is one by its name counts
    times 2, 4 or 8 too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.sources.inputs import Dimension
from toolkit.sources.lines import Line

if TYPE_CHECKING:
    from torch import nn

WORDS = frozenset(
    {
        *("max", "pos", "position", "positions", "positional", "pe", "wpe", "rel", "relative"),
        *("len", "length", "seq", "sequence", "context", "ctx", "limit", "table"),
    }
)
"""Parts of names that speak of positions or lengths, from the configs and modules of
transformers 5. A window, a block or a span is a part of a longer text, and no limit of it."""
STRIDES = (2, 4, 8)
"""Steps of an input that a speech model's first layers make one position."""
DEEP = 3
"""Configs within configs that are looked at: those of several towers have one for each."""


@dataclass(frozen=True)
class OwnLimit:
    """A dimension with the largest size that the module itself states for it."""

    dim: Dimension
    origin: str
    """The module's statement: 'DebertaConfig.max_position_embeddings = 96'."""

    @property
    def end(self) -> dict[str, int]:
        """The dimension at its largest size."""
        return {self.dim.name: self.dim.most or self.dim.least}

    @property
    def told(self) -> str:
        """The line for the summary and the record."""
        return (
            f"{self.dim.name} is held to {self.dim.range}: beyond it the file is"
            f" not the module ({self.origin})"
        )


def origin(module: nn.Module, most: int, line: Line | None, grown: Collection[str] = ()) -> str:
    """The place where a module states that `most` is its largest size, in words; empty: nowhere.

    `line` is the one that set the condition, where it is known; `grown` are the names of buffers
    that had another shape before forward was called with other sizes.
    """
    if line is not None and re.search(rf"(?<![\w.])({most}|{most + 1})(?![\w.])", line.text):
        return ""  # M5
    exact, near, strided = [], [], []
    for name, text, size, counts in _statements(module, grown):
        if size == most and counts:
            exact.append(text)
        elif most in _limits_of(size) and _speaks(name):  # M3
            near.append(text)
        elif size and most % size == 0 and most // size in STRIDES and _speaks(name):  # M6
            strided.append(f"{text}, of {most // size} steps each")
    return next(iter((*exact, *near, *strided)), "")


def between(module: nn.Module, least: int, most: int) -> list[tuple[int, str]]:
    """All limits from one size to another that a module states, each with the place that does; the
    largest first."""
    stated: dict[int, str] = {}
    for name, text, size, counts in _statements(module):
        for limit in ((size,) if counts else ()) + (_limits_of(size) if _speaks(name) else ()):
            if least <= limit <= most:
                stated.setdefault(limit, text)
    return sorted(stated.items(), reverse=True)


def _limits_of(size: int) -> tuple[int, ...]:
    """The largest sizes for which a table with so many rows may have been made."""
    return (size - 1, size // 2, (size + 1) // 2)


def _statements(
    module: nn.Module, grown: Collection[str] = ()
) -> Iterator[tuple[str, str, int, bool]]:
    """Name, text and number of all that may state a limit, and whether the number itself counts."""
    seen: set[int] = set()
    for part in module.modules():
        for owner, name, value in _numbers(part, seen):
            yield name, f"{owner}.{name} = {value}", value, _speaks(name)  # M1
    for path, part in module.named_modules():
        yield from _tables(path, part, grown)


def _numbers(owner: object, seen: set[int], depth: int = DEEP) -> Iterator[tuple[str, str, int]]:
    """Whole numbers among the attributes of a module; before them those of the configs that it
    holds, which the user knows."""
    from torch import nn

    if id(owner) in seen:
        return
    seen.add(id(owner))
    title = type(owner).__name__
    held = owner if isinstance(owner, Mapping) else getattr(owner, "__dict__", {})
    own = []
    for name, value in held.items():
        if not isinstance(name, str) or name.startswith("_"):
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            own.append((title, name, value))
        elif depth and not isinstance(value, nn.Module) and _is_config(value):
            yield from _numbers(value, seen, depth - 1)
    yield from own


def _is_config(value: object) -> bool:
    return isinstance(value, Mapping) or (
        hasattr(value, "__dict__") and not callable(value) and not hasattr(value, "shape")
    )


def _tables(
    path: str, part: nn.Module, grown: Collection[str]
) -> Iterator[tuple[str, str, int, bool]]:
    """The dimensions of a module's own tables. M2"""
    from torch import nn

    if isinstance(part, nn.Embedding):
        rows = part.num_embeddings
        yield path, f"{path or 'the Embedding'} has {rows} rows", rows, True
        return
    if type(part).__module__.startswith("torch."):
        return
    own = {**dict(part.named_parameters(recurse=False)), **dict(part.named_buffers(recurse=False))}
    for name, tensor in own.items():
        whole = f"{path}.{name}" if path else name
        if whole in grown:
            continue  # M4
        # A parameter of one dimension is a bias or a scale.
        if tensor.ndim > 1 or name not in part._parameters:
            for size in dict.fromkeys(tensor.shape):
                yield whole, f"{whole} has the shape {list(tensor.shape)}", size, True


def _speaks(name: str) -> bool:
    """Says whether a part of a name speaks of positions or lengths."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return any(word in WORDS for word in re.split(r"[^a-z]+", parts))
