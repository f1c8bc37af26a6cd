"""Loads weights from a file into a module. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import InputError
from toolkit.sources.source import Source
from toolkit.tensors import demand_file, read_npz

if TYPE_CHECKING:
    import torch
    from torch import nn

_CURE = "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')   makes one"


def put(file: Path, module: nn.Module) -> None:
    """Loads the weights into the module. Raises InputError where they are not the module's own."""
    given, own = read(file), module.state_dict()
    wrong = [
        f"{name} is {_shape(given[name])}, the module's is {_shape(own[name])}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    missing = [name for name in own if name not in given]
    surplus = [name for name in given if name not in own]
    if wrong or missing or surplus:
        faults = [
            *wrong[:3],
            *([f"missing: {_few(missing)}"] if missing else []),
            *([f"not in the module: {_few(surplus)}"] if surplus else []),
        ]
        raise InputError(f"{file.name} does not hold this module's weights", *faults)
    module.load_state_dict(given)


def read(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors, .npz or .pt file. Raises InputError for anything else."""
    readers = {".safetensors": _safetensors, ".npz": _npz, ".pt": _pt, ".pth": _pt, ".bin": _pt}
    if file.suffix not in readers:
        raise InputError(f"{file.name}: weights are .safetensors, .pt or .npz")
    demand_file(file)
    return readers[file.suffix](file)


def sha256(source: Source, module: nn.Module) -> str:
    """The hash of a source's weights: of their file, as `sha256sum` says it; without a file, of the
    tensors themselves: each one's name, type, shape and bytes in the order of the names."""
    if source.weights is not None:
        with open(source.weights, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    from toolkit.sources import nested

    digest = hashlib.sha256()
    for name, tensor in sorted(nested.inner(module).state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> bytes:
    import torch

    flat = tensor.detach().cpu().contiguous().flatten()
    # As bytes, since numpy has no bfloat16.
    return flat.view(torch.uint8).numpy().tobytes()


def _safetensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise InputError(f"{file.name} is no safetensors file: {error}") from error


def _npz(file: Path) -> dict[str, torch.Tensor]:
    import torch

    try:
        return {name: torch.from_numpy(array) for name, array in read_npz(file).items()}
    except (ValueError, TypeError) as error:  # Texts are none of torch's.
        raise InputError(f"{file.name} is no .npz file of plain arrays: {error}") from error


def _pt(file: Path) -> dict[str, torch.Tensor]:
    import torch

    try:
        held = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file.name} holds more than tensors; it is not loaded, since that could run any code",
            _CURE,
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # torch's reader of pickles raises whatever the bytes lead it to.
        raise InputError(f"{file.name} is no file of torch.save", _CURE) from error
    return _state(file, held)


def _state(file: Path, held: object) -> dict[str, torch.Tensor]:
    """The tensors themselves, or the one dictionary of tensors in a checkpoint."""
    if tensors := _tensors(held):
        return tensors
    inner = {key: value for key, value in _items(held) if _tensors(value)}
    if len(inner) != 1:
        content = f"several sets of weights: {', '.join(inner)}" if inner else "no tensors by name"
        raise InputError(f"{file.name} holds {content}; one state_dict is needed", _CURE)
    return _tensors(next(iter(inner.values())))


def _tensors(held: object) -> dict[str, torch.Tensor]:
    """A dictionary of tensors as it is; an empty one for anything else."""
    import torch

    items = _items(held)
    return dict(items) if items and all(isinstance(v, torch.Tensor) for _, v in items) else {}


def _items(held: object) -> list[tuple[str, Any]]:
    """The items of a dictionary; none for anything else."""
    return [(str(key), value) for key, value in held.items()] if isinstance(held, Mapping) else []


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
