"""Says what a destination cannot take, as far as the file alone shows; the proof shows the rest."""

from __future__ import annotations

from toolkit.deployment import listing
from toolkit.deployment.base import Destination
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.tensors import PLAIN
from toolkit.units import size

ONNXRUNTIME = frozenset({"ai.onnx.ml", "com.microsoft"})
"""Domains of operators that every build of ONNX Runtime has, beside ONNX's own."""

NUMPY = frozenset(PLAIN) - {"complex64", "complex128"}
"""Types that an .npy file holds under their own name, and that runtimes take: none of the runtimes
shipped here takes complex numbers."""


def refusal(destination: Destination, file: ModelFile) -> str:
    """Returns one line that names the limit, the operators or the tensor that the destination
    cannot take; empty where the file alone shows none."""
    if too_large := _too_large(destination, file):
        return too_large
    return _foreign(destination, file)


def _too_large(destination: Destination, file: ModelFile) -> str:
    """Returns the size, the limit, and the destinations that take such a file as it is."""
    limit = destination.largest
    if limit is None or file.inlined <= limit.bytes:
        return ""
    able = [other.name for other in map(listing.load, listing.NAMES) if _ships(other, file)]
    takers = f"; {', '.join(able)} can take it" if able else ""
    return f"{file.name} has {size(file.inlined)}, and {limit.why} ends at {limit.text}{takers}"


def _ships(destination: Destination, file: ModelFile) -> bool:
    """Says whether a destination takes the .onnx itself, at this size, as far as the file shows."""
    limit = destination.largest
    fits = limit is None or file.inlined <= limit.bytes
    return fits and not destination.form and not _foreign(destination, file)


def _foreign(destination: Destination, file: ModelFile) -> str:
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
