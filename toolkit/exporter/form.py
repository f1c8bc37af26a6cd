"""The first step of the proof: the file on disk is well formed, and of the form that was asked."""

from __future__ import annotations

import onnx

from toolkit.errors import first_line
from toolkit.exporter import casting
from toolkit.exporter.proof import Contract, Step
from toolkit.onnxfiles import referencefile, thinmodels
from toolkit.onnxfiles.modelfile import Opened

UNSUPPORTED = "has unsupported type"
"""The checker's words for an operator that this opset allows not for this type (Conv in bfloat16
before 22)."""


def check(opened: Opened, contract: Contract) -> Step:
    """Runs ONNX's own checker with inference of all shapes, and compares inputs and outputs with
    the contract.

    The checker has the graph without its large tensors, which it would parse once more: that each
    is as long as its shape says was seen when the file was read.
    """
    what = "checker, contract, names" if contract.reference else "checker, inputs, dimensions"
    try:
        light, _ = thinmodels.of_opened(opened).apart()
        onnx.checker.check_model(light, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        says = f"the ONNX checker refuses it: {first_line(error)}"
        narrow = UNSUPPORTED in says and casting.would_help(opened.model)
        return Step("form", what, "fails", says, cures=(casting.CURE,) if narrow else ())
    if differences := _differences(opened, contract):
        return Step("form", what, "fails", differences[0], details=tuple(differences[1:]))
    return Step("form", what, "holds", "")


def _differences(opened: Opened, contract: Contract) -> list[str]:
    """A line for each thing that is not as the contract says."""
    facts = opened.facts
    if contract.reference:
        return list(referencefile.differences(opened))
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
