"""The first step of the proof: the file on disk is well formed, and of the form that was asked."""

from __future__ import annotations

from pathlib import Path

import onnx

from toolkit.errors import ToolkitError, first_line
from toolkit.exporter.proof import Contract, Step
from toolkit.onnxfiles import modelfile, referencefile
from toolkit.onnxfiles.modelfile import ModelFile


def check(path: Path, contract: Contract) -> Step:
    """Reads the file as it stands on disk, runs ONNX's own checker with inference of all shapes,
    and compares inputs and outputs with the contract."""
    what = "checker, contract, names" if contract.reference else "checker, inputs, dimensions"
    try:
        facts = modelfile.read(path)
        onnx.checker.check_model(str(path), full_check=True)
        differences = _differences(facts, contract)
    except ToolkitError as error:
        return Step("form", what, "fails", error.what)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        line = first_line(error)
        return Step("form", what, "fails", f"the ONNX checker refuses it: {line}")
    if differences:
        return Step("form", what, "fails", differences[0], details=tuple(differences[1:]))
    return Step("form", what, "holds", "")


def _differences(facts: ModelFile, contract: Contract) -> list[str]:
    """A line for each thing that is not as the contract says."""
    if contract.reference:
        return list(referencefile.differences(facts.path))
    lines = [
        f"the input {wanted.name} is {actual}, stated was {wanted}"
        for wanted, actual in zip(contract.inputs, facts.inputs, strict=False)
        if wanted != actual
    ]
    if len(facts.inputs) != len(contract.inputs):
        names = ", ".join(spec.name for spec in facts.inputs)
        lines.append(f"its inputs are {names}, {len(contract.inputs)} were stated")
    outputs = tuple(spec.name for spec in facts.outputs)
    if outputs != contract.outputs:
        lines.append(f"its outputs are {', '.join(outputs)}, not {', '.join(contract.outputs)}")
    return lines
