"""Another file of the same model, for a target that names one: quantized, converted, optimised.

It is fed and judged as the model of the run is: same feeds, same oracle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from toolkit.answers.declared import of_file
from toolkit.answers.formats import Precision
from toolkit.answers.saturation import saturable
from toolkit.engine.assignment import Assignment
from toolkit.errors import InputError
from toolkit.onnxfiles import graphs, modelfile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.runtimes.base import Program
from toolkit.supervision import progress
from toolkit.tensors import TensorSpec


@dataclass(frozen=True)
class Variant:
    """A file that one target runs in place of the run's model."""

    file: ModelFile
    program: Program
    declared: Precision
    """The precision that the file itself says."""
    shape_arithmetic: Counter[str]
    """Operator → how many of its nodes compute shapes only."""
    saturable: Counter[str]
    """Operator → how many of its nodes have products of bytes that may saturate without VNNI."""


def of(path: str, assignment: Assignment) -> Variant:
    """The file as a variant of the assignment's model. Raises InputError for one with other inputs
    or outputs."""
    with progress.bounded():
        opened = modelfile.open_once(Path(path))
    file, model = opened.facts, opened.model
    _demand_same("input", assignment.file.inputs, file.inputs, file.name)
    _demand_same("output", assignment.file.outputs, file.outputs, file.name)
    whole = modelfile.program(file, threads=assignment.program.threads)
    return Variant(
        file, whole, of_file(model), graphs.shape_arithmetic(model), saturable(model, opened.folder)
    )


def _demand_same(
    what: str, ours: tuple[TensorSpec, ...], theirs: tuple[TensorSpec, ...], name: str
) -> None:
    """Raises InputError where names or ranks differ, or the types of inputs; an output may have a
    lower type, which the verdict then names."""
    if [spec.name for spec in ours] != [spec.name for spec in theirs]:
        raise InputError(
            f"{name} is no variant of this model: its {what}s are {_shown(theirs)}, "
            f"the model's are {_shown(ours)}"
        )
    for wanted, spec in zip(ours, theirs, strict=True):
        has_type = what == "output" or wanted.type == spec.type
        if not has_type or _rank(wanted) != _rank(spec):
            raise InputError(f"{name} is no variant of this model: it has {spec}, not {wanted}")


def _rank(spec: TensorSpec) -> int | None:
    return None if spec.shape is None else len(spec.shape)


def _shown(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(map(str, specs))
