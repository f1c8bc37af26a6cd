"""Asks a runtime's Relu for the special values of floats, which tell runtimes apart.

There are two tiny models: one Relu; and a Relu between two Gemm with the weight 1, since runtimes
fuse. Each value stands alone among ordinary ones, and each in a row of its own: in an identity
matrix the zeros beside it would turn one Inf into a row of NaN (0·Inf), and the answer would show
Gemm.

Expected is ONNX's max(0, x) on IEEE 754 numbers:

1  NaN stays NaN. The text of max leaves it open (IEEE 754-2008's maxNum gives 0, IEEE 754-2019's
   maximum NaN); ONNX's reference implementation, ONNX Runtime and PyTorch give NaN. So 0 is marked,
   and the note says why.
2  −0.0 gives either zero: they are equal, and max may return either.
3  Subnormals are numbers: a positive one stays. A processor set to flush them gives 0, marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from toolkit.tensors import Array, Feed
from toolkit.units import Number, number

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

ROWS = 16
"""As many floats as the widest vector register holds (AVX-512), twice as many as AVX2's."""
SPECIAL_ROW = 5
"""The row of the special value: inside the part that vector instructions do."""
INPUT, OUTPUT = "x", "y"
ORDINARY = np.linspace(-2.0, 2.0, ROWS, dtype=np.float32).reshape(ROWS, 1)

_LIMITS = np.finfo(np.float32)
SPECIAL: dict[str, np.float32] = {
    "NaN": np.float32(np.nan),
    "−Inf": np.float32(-np.inf),
    "+Inf": np.float32(np.inf),
    "−0.0": np.float32(-0.0),
    "smallest subnormal": _LIMITS.smallest_subnormal,
    "−smallest subnormal": -_LIMITS.smallest_subnormal,
    "smallest normal": _LIMITS.smallest_normal,
    "largest float32": _LIMITS.max,
    "large negative": np.float32(-1e30),
    "ordinary": np.float32(1.5),
}
"""Name → value, in the order in which they are shown."""

Outcome: TypeAlias = Sequence[Mapping[str, Array]] | str
"""The outputs for each of `feeds()`, or one line that says why the runtime refused."""


@dataclass(frozen=True)
class SpecialValue:
    """The answers of a runtime for one special value, alone in a vector of ordinary ones."""

    value: str
    """Its name: 'NaN', '−Inf', '+Inf', '−0.0', 'smallest subnormal', 'largest float32' …"""
    given: Number
    expected: Number
    alone: Number | None
    """The answer of a model of one Relu; None: the runtime refused it (see `note`)."""
    fused: Number | None
    """The answer of a Relu between two identity layers; None: refused."""
    deviates: bool
    """One of the answers is not max(0, x), or another row changed. A refusal is no deviation."""
    note: str = ""
    """Remarkable things about the answers, in words."""


def models() -> dict[str, ModelProto]:
    """Makes the models 'alone' and 'fused'; both take `x` and give `y`, float32 (16, 1)."""
    from onnx import helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((1, 1), np.float32), "one")
    layers = [
        helper.make_node("Gemm", [INPUT, "one"], ["before"]),
        helper.make_node("Relu", ["before"], ["after"]),
        helper.make_node("Gemm", ["after", "one"], [OUTPUT]),
    ]
    alone = [helper.make_node("Relu", [INPUT], [OUTPUT])]
    return {
        "alone": _model("relu_alone", alone, []),
        "fused": _model("relu_fused", layers, [weight]),
    }


def feeds() -> list[Feed]:
    """Makes a feed for each special value, in the order of `SPECIAL`."""
    return [{INPUT: _vector(value)} for value in SPECIAL.values()]


def read(alone: Outcome, fused: Outcome) -> list[SpecialValue]:
    """Compares what the two models gave with max(0, x), for each special value.

    Outputs of another form count as a refusal.
    """
    return [
        _compared(name, value, _outcome(alone, feed), _outcome(fused, feed))
        for feed, (name, value) in enumerate(SPECIAL.items())
    ]


def _model(name: str, nodes: list[NodeProto], weights: list[TensorProto]) -> ModelProto:
    from onnx import TensorProto, helper

    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [ROWS, 1]) for n in (INPUT, OUTPUT)]
    graph = helper.make_graph(nodes, name, info[:1], info[1:], weights)
    # Old enough for every runtime: nothing in Gemm or Relu has changed since.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def _vector(value: np.float32) -> Array:
    vector = ORDINARY.copy()
    vector[SPECIAL_ROW] = value
    return vector


def _outcome(outcome: Outcome, feed: int) -> Array | str:
    """Picks the output for one feed, (16, 1), or the reason why there is none."""
    if isinstance(outcome, str):
        return outcome
    output = outcome[feed].get(OUTPUT)
    if output is None or output.shape != (ROWS, 1):
        return f"it gave no output of {ROWS} rows"
    return np.asarray(output)


def _compared(name: str, value: np.float32, alone: Array | str, fused: Array | str) -> SpecialValue:
    expected = value if np.isnan(value) else max(np.float32(0), value)
    notes = [
        f"{form}: {note}"
        for form, got in (("alone", alone), ("between layers", fused))
        for note in _notes(value, expected, got)
    ]
    return SpecialValue(
        value=name,
        given=number(float(value)),
        expected=number(float(expected)),
        alone=_shown(alone),
        fused=_shown(fused),
        deviates=any(_deviates(value, expected, got) for got in (alone, fused)),
        note="; ".join(notes),
    )


def _shown(got: Array | str) -> Number | None:
    return None if isinstance(got, str) else number(got[SPECIAL_ROW, 0])


def _deviates(value: np.float32, expected: np.float32, got: Array | str) -> bool:
    if isinstance(got, str):
        return False
    return not _same(got[SPECIAL_ROW, 0], expected) or not _neighbours_kept(value, got)


def _neighbours_kept(value: np.float32, got: Array) -> bool:
    wanted = np.maximum(_vector(value), 0)
    mine, right = (np.delete(array, SPECIAL_ROW) for array in (got, wanted))
    return bool(np.array_equal(mine, right))


def _same(got: np.float32, expected: np.float32) -> bool:
    return bool(got == expected or (np.isnan(got) and np.isnan(expected)))


def _notes(value: np.float32, expected: np.float32, got: Array | str) -> list[str]:
    if isinstance(got, str):
        return [f"refused, {got}"]
    answer = got[SPECIAL_ROW, 0]
    notes = []
    if np.isnan(value) and answer == 0:
        notes.append("max(0, NaN) as 0; ONNX's reference and PyTorch keep NaN")  # 1
    elif expected == _LIMITS.smallest_subnormal and answer == 0:
        notes.append("subnormals are flushed to zero")  # 3
    elif np.signbit(value) and value == 0 and np.signbit(answer):
        notes.append("keeps −0.0, which max(0, x) allows")  # 2
    elif not _same(answer, expected):
        notes.append("not max(0, x)")
    if not _neighbours_kept(value, got):
        notes.append("its neighbours changed")
    return notes
