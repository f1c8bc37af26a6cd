"""Trains the reference model: its weights are written, or compared with the file that is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.errors import InputError
from toolkit.exporter import landing
from toolkit.sources import reference
from toolkit.sources.reference import Data, Epoch, Watch

WEIGHTS = Path("models/mlp/mlp.safetensors")
"""The file of the reference model's weights, beside its .onnx."""

Outcome: TypeAlias = Literal["written", "same", "kept"]


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    path: Path
    outcome: Outcome
    """'same': the file had these bytes. 'kept': it has others, and was not overwritten."""
    learned_from: int
    """Examples in the training set."""
    held_out: int
    """Examples that the training never saw."""
    parameters: int
    """Numbers in all weights."""
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
    examples = reference.split(data)
    return Trained(
        path,
        _put(path, save(state), force=force),
        len(examples.x),
        len(examples.held_x),
        sum(tensor.numel() for tensor in state.values()),
        tuple(epochs),
    )


def weights(given: Path | None = None) -> Path:
    """The absolute path of the weights' file: the given one, or the usual one, which is trained
    where there is none yet. Raises InputError where the given one is not there."""
    file = given or WEIGHTS
    if given is None and not file.exists():
        train(file)
    if not file.is_file():
        raise InputError(f"no such file: {file}")
    return file.resolve()


def _put(path: Path, content: bytes, *, force: bool) -> Outcome:
    with landing.beside(path) as folder:
        if path.exists():
            if path.read_bytes() == content:
                return "same"
            if not force:
                return "kept"
        (folder / path.name).write_bytes(content)
        landing.land(folder / path.name, path)
    return "written"
