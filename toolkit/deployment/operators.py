"""Says what a destination cannot take, as far as the file alone shows; the proof shows the rest."""

from __future__ import annotations

from toolkit.deployment.base import Destination
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.tensors import PLAIN

ONNXRUNTIME = frozenset({"ai.onnx.ml", "com.microsoft"})
"""Domains of operators that every build of ONNX Runtime has, beside ONNX's own."""

NUMPY = frozenset(PLAIN) - {"complex64", "complex128"}
"""Types that an .npy file holds under their own name, and that runtimes take: none of the runtimes
shipped here takes complex numbers."""


def refusal(destination: Destination, file: ModelFile) -> str:
    """Returns one line that names the operators or the tensor that the destination cannot take;
    empty where the file alone shows none."""
    foreign = [name for name in file.operators if _domain(name) - destination.domains]
    if foreign:
        return f"{destination.name} has no operator {', '.join(foreign)}"
    for spec in (*file.inputs, *file.outputs):
        if spec.type not in destination.types:
            return f"its client does not read or write {spec.type} ({spec.name!r})"
    return ""


def _domain(operator: str) -> set[str]:
    """Returns {'com.microsoft'} for 'com.microsoft.Gelu', and nothing for ONNX's own operators."""
    return {operator.rpartition(".")[0]} - {""}
