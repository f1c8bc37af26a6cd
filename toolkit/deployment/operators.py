"""Says what a destination cannot take, as far as the file alone shows; the proof shows the rest."""

from __future__ import annotations

from pathlib import PurePosixPath

from toolkit.deployment import listing
from toolkit.deployment.base import ONNX, Destination
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.tensors import PLAIN
from toolkit.units import size

ONNXRUNTIME = frozenset({"ai.onnx.ml", "com.microsoft"})
"""Domains of operators that every build of ONNX Runtime has, beside ONNX's own."""

NUMPY = frozenset(PLAIN) - {"complex64", "complex128"}
"""Types that an .npy file holds under their own name, and that runtimes take: none of the runtimes
shipped here takes complex numbers."""


def refusal(destination: Destination, file: ModelFile) -> str:
    """Returns one line that names the limit, the operators, the tensor or the file of weights that
    the destination cannot take; empty where the file alone shows none."""
    return _too_large(destination, file) or _foreign(destination, file) or _taken(destination, file)


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


def _taken(destination: Destination, file: ModelFile) -> str:
    """Returns the file of weights that would take the model's own place in the folder: the model
    gets a new name there, and its weights keep theirs, since the model names them."""
    own = PurePosixPath(ONNX).name
    for location in () if destination.form else file.external:
        # Not every disk tells large letters from small ones.
        if PurePosixPath(location).parts[0].casefold() == own:
            return (
                f"{file.name} has weights in {location!r}, and {own} is what the model itself is"
                " called there; onnx.save_model(…, location='weights.bin') gives them another name"
            )
    return ""


def _domain(operator: str) -> set[str]:
    """Returns {'com.microsoft'} for 'com.microsoft.Gelu', and nothing for ONNX's own operators."""
    return {operator.rpartition(".")[0]} - {""}
