"""The reference model's weights: trained, written, and compared with the file that is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.exporter import landing
from toolkit.sources import reference
from toolkit.sources.reference import Data, Epoch, Watch

WEIGHTS = Path("models/mlp/mlp.safetensors")

Outcome: TypeAlias = Literal["written", "same", "kept"]


@dataclass(frozen=True)
class Trained:
    """What a training gave."""

    path: Path
    outcome: Outcome
    """'same': the file had these bytes. 'kept': it has others, and was not overwritten."""
    learned_from: int
    held_out: int
    parameters: int
    epochs: tuple[Epoch, ...]


def train(
    path: Path = WEIGHTS,
    *,
    data: Data = "digits",
    force: bool = False,
    watch: Watch = lambda epoch: None,
) -> Trained:
    """Trains the reference model and writes its weights.

    A file that is there with other weights is kept, unless `force`: another processor's vector
    instructions give other last bits, and what was proven and measured belongs to the old ones.
    Raises InputError where the file cannot be written.
    """
    from safetensors.torch import save

    epochs: list[Epoch] = []

    def note(epoch: Epoch) -> None:
        epochs.append(epoch)
        watch(epoch)

    state = reference.train(data, note)
    learned_from, _, held_out, _ = reference.split(data)
    return Trained(
        path,
        _put(path, save(state), force=force),
        len(learned_from),
        len(held_out),
        sum(tensor.numel() for tensor in state.values()),
        tuple(epochs),
    )


def _put(path: Path, weights: bytes, *, force: bool) -> Outcome:
    with landing.beside(path) as folder:
        if path.exists():
            if path.read_bytes() == weights:
                return "same"
            if not force:
                return "kept"
        (folder / path.name).write_bytes(weights)
        landing.land(folder / path.name, path)
    return "written"
