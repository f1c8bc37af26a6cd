"""Judges files against their module, by nothing of toolkit's proof: numbers against numbers.

    python -m benchmarks.zoo.judged families hf_bert bare.onnx model.onnx

The module and the file (in ONNX Runtime) answer the same inputs at the traced sizes and at others,
each dimension alone and all together, also at 1. A file is wrong where an output has another shape
or is off by more than a thousandth of its largest value: float32 of either side is far nearer. It
prints a line of JSON for each file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from benchmarks.zoo import listing
from toolkit.exporter import tracing
from toolkit.sources import calls
from toolkit.sources.inputs import Dimension, Stated, dimensions

LIMIT = 1e-3
OTHERS = (1, 3, 7, 29)
"""Sizes of one dimension while the others keep theirs; multiples of the traced size come too, since
a picture may have to be one of whole patches."""


def sizes(stated: Sequence[Stated]) -> Iterator[dict[str, int]]:
    """The sizes to look at, the traced ones first."""
    dims = dimensions(stated)
    traced = {name: dim.traced or dim.from_on(2) for name, dim in dims.items()}
    yield traced
    for name, dim in dims.items():
        for size in (*OTHERS, 2 * traced[name], 3 * traced[name]):
            if _within(dim, size) and size != traced[name]:
                yield {**traced, name: size}
    for factor in (2, 3):
        every = {name: factor * size for name, size in traced.items()}
        if dims and all(_within(dims[name], size) for name, size in every.items()):
            yield every


def _within(dim: Dimension, size: int) -> bool:
    return size in dim


def draw(stated: Sequence[Stated], at: Mapping[str, int], seed: int) -> dict[str, Tensor]:
    """Inputs as people use them: ids within small tables, masks of ones, numbers around zero."""
    generator = torch.Generator().manual_seed(seed)
    drawn = {}
    for each in stated:
        shape, kind = each.shape(at), getattr(torch, each.type)
        if "mask" in each.name:
            ones = torch.ones(shape, dtype=kind)
            drawn[each.name] = torch.zeros(shape, dtype=kind) if "padding" in each.name else ones
        elif kind.is_floating_point:
            drawn[each.name] = torch.randn(shape, generator=generator).to(kind)
        elif "ids" in each.name:
            drawn[each.name] = torch.randint(3, 19, shape, generator=generator).to(kind)
        else:
            drawn[each.name] = torch.randint(0, 4, shape, generator=generator).to(kind)
    return drawn


def judge(module: nn.Module, stated: Sequence[Stated], file: str) -> dict[str, Any]:
    """The verdict on the file, with the sizes that were seen and the first at which it is wrong."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - whatever ONNX Runtime raises is the answer.
        return {"verdict": "wrong", "says": f"does not load: {_line(error)}", "seen": 0}
    seen, worst = 0, 0.0
    for count, at in enumerate(sizes(stated)):
        tensors = draw(stated, at, count)
        try:
            result = tracing.call(module, tensors)
        except Exception:  # noqa: BLE001 - the module does not take these sizes.
            continue
        right = [tensor.numpy() for tensor in calls.outputs(result).values()]
        seen += 1
        names = [each.name for each in session.get_inputs()]
        feed = {n: t.numpy() for n, t in tensors.items() if n in names}
        try:
            answers = session.run(None, feed)
        except Exception as error:  # noqa: BLE001 - whatever ONNX Runtime raises is the answer.
            return _wrong(at, f"does not run: {_line(error)}", seen)
        if len(answers) != len(right):
            return _wrong(at, f"{len(answers)} outputs, the module has {len(right)}", seen)
        for got, wanted in zip(answers, right, strict=True):
            if got.shape != wanted.shape:
                return _wrong(at, f"shape {list(got.shape)}, not {list(wanted.shape)}", seen)
            off = _error(got, wanted)
            worst = max(worst, off)
            if not off <= LIMIT:
                return _wrong(at, f"off by {off:.2g} of the largest value", seen)
    return {"verdict": "right", "says": "", "seen": seen, "error": worst}


def _wrong(at: Mapping[str, int], says: str, seen: int) -> dict[str, Any]:
    where = ", ".join(f"{name} {size}" for name, size in at.items())
    return {"verdict": "wrong", "says": f"at {where}: {says}", "seen": seen}


def _error(got: np.ndarray, wanted: np.ndarray) -> float:
    if wanted.dtype.kind not in "fc":
        return float((got != wanted).mean()) if wanted.size else 0.0
    finite = np.isfinite(wanted)
    if not np.array_equal(got[~finite], wanted[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    largest = float(np.abs(wanted[finite]).max()) or 1.0
    return float(np.abs(got[finite] - wanted[finite]).max()) / largest


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def main(group: str, name: str, *files: str) -> None:
    """Judges the files and prints the verdicts."""
    entry = listing.one(group, name)
    for file in files:
        module = entry.factory()  # Anew: a call may have changed it.
        click.echo(json.dumps(judge(module, listing.inputs_of(entry, module), file)))


if __name__ == "__main__":
    main(*sys.argv[1:])
