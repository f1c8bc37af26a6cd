"""The entries of the zoo by their kind, and their inputs under the names that forward has."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from benchmarks.zoo.entry import ENTRIES, Entry
from toolkit.sources import calls, inputs
from toolkit.sources.inputs import Stated

GROUPS = ("blocks", "convolutional", "pictures", "sequences", "structures", "families", "minimal")


def every() -> dict[str, Entry]:
    """All entries, by name. Imports the transformers library, which takes seconds."""
    for group in GROUPS:
        importlib.import_module(f"benchmarks.zoo.{group}")
    return ENTRIES


def one(group: str, name: str) -> Entry:
    """One entry; imports no more than its own group."""
    importlib.import_module(f"benchmarks.zoo.{group}")
    return ENTRIES[name]


def inputs_of(entry: Entry, module: nn.Module) -> Sequence[Stated]:
    """The inputs as stated; a single one under forward's own name for it, as toolkit takes it."""
    stated = inputs.parse_all(entry.inputs)
    own = calls.all_parameters(module)
    if len(stated) == len(own) == 1:
        return [replace(stated[0], name=own[0])]
    return stated
