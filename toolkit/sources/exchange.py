"""Makes PyTorch's tensors of arrays, and back. bfloat16, which numpy lacks, travels as its bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch


def tensor(array: Array, kind: str) -> torch.Tensor:
    """A tensor that owns its memory; `kind` is the ONNX type of the array."""
    import torch

    if kind == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def array(tensor: torch.Tensor) -> Array:
    """A tensor's values on the CPU, those of bfloat16 as uint16."""
    import torch

    if tensor.dtype == torch.bfloat16:
        bits: Array = tensor.cpu().view(torch.int16).numpy().view(np.uint16)
        return bits
    values: Array = tensor.cpu().numpy()
    return values
