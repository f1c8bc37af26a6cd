"""An entry of the zoo: a factory, its group, and the inputs that `toolkit export` is told of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

Factory = Callable[[], nn.Module]

SEED = 20261129


@dataclass(frozen=True)
class Entry:
    """One architecture."""

    name: str
    group: str
    inputs: tuple[str, ...]
    """As --input states them."""
    source: str
    """As `toolkit export` takes it, relative to the project's root."""
    factory: Factory


ENTRIES: dict[str, Entry] = {}


def entry(*inputs: str) -> Callable[[Factory], Factory]:
    """Adds a factory to the zoo, with its inputs; its group is the file in which it stands.

    The weights are seeded before the factory is called, so that two processes build one model.
    """

    def add(factory: Factory) -> Factory:
        def build() -> nn.Module:
            torch.manual_seed(SEED)
            return factory().eval()

        name, group = factory.__name__, factory.__module__.rpartition(".")[2]
        if name in ENTRIES:
            raise ValueError(f"two entries of the zoo are called {name}")
        file = Path("benchmarks/zoo") / f"{group}.py"
        ENTRIES[name] = Entry(name, group, inputs, f"{file}:{name}", build)
        build.__name__, build.__doc__ = name, factory.__doc__
        return build

    return add
