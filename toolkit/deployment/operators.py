"""What a destination cannot take, as far as the file alone tells; the proof tells the rest."""

from __future__ import annotations

from toolkit.deployment.base import Destination
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.tensors import PLAIN

ONNXRUNTIME = frozenset({"ai.onnx.ml", "com.microsoft"})
"""Domains of operators in every build of ONNX Runtime, beside ONNX's own."""

NUMPY = frozenset(PLAIN) - {"complex64", "complex128"}
"""Types that an .npy file holds under their own name, and that runtimes take."""


def refusal(destination: Destination, file: ModelFile) -> str:
    """Why it cannot take the model, in one line that names operators or tensors; empty: it may."""
    foreign = [name for name in file.operators if _domain(name) - destination.domains]
    if foreign:
        return f"{destination.name} has no operator {', '.join(foreign)}"
    for spec in (*file.inputs, *file.outputs):
        if spec.type not in destination.types:
            return f"its client does not read or write {spec.type} ({spec.name!r})"
    return ""


def _domain(operator: str) -> set[str]:
    """{'com.microsoft'} of 'com.microsoft.Gelu'; empty for ONNX's own."""
    return {operator.rpartition(".")[0]} - {""}
