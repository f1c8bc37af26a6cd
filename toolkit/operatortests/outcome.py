"""What came of one test on one target, and how it is kept."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np

from toolkit.records import privacy, untrusted
from toolkit.tensors import Array
from toolkit.units import Bytes

Result: TypeAlias = Literal["right", "wrong", "refused", "crashed", "left out"]
FLOAT32 = ("", "exact", "float32", "not shown")
"""The verdicts that are as good as float32's; empty: there is none."""
LARGEST_LEDGER: Bytes = 256 << 20
"""The most that is read of a ledger; a whole run over seven targets has 4 MB."""
COARSE = {"bfloat16": 2.0**-6}
"""Type → the least relative tolerance, as onnx's own test runner has it: two units of the last
place."""


@dataclass(frozen=True)
class OperatorOutcome:
    """One test on one target."""

    case: str
    operator: str
    opset: int
    target: str
    """'oracle', or a target as it is typed."""
    version: str
    """The version of the target's library, and for the oracle that of onnx."""
    onnx: str
    """The version of the package that the test is from."""
    result: Result
    reason: str = ""
    """The shape, type or values that are wrong, or the words of a refusal; empty for `right`."""
    verdict: str = ""
    """The precision by toolkit's own rule, where the oracle is right: 'float32', 'exact' …"""
    inputs: str = ""
    """The inputs with their types and shapes, 'x:float32[3,4,5]', of what is not right or less
    precise than float32; empty else, which keeps the file small."""


@dataclass(frozen=True)
class OutcomeLedger:
    """The file of outcomes: a line of JSON each, in the order in which they were made."""

    path: Path

    def read(self) -> list[OperatorOutcome]:
        """The outcomes so far, the newest of each test on each target; damaged lines are left out.

        A test that was begun and has no outcome ended its process.
        """
        newest: dict[tuple[str, str, str, str], OperatorOutcome] = {}
        try:
            data = untrusted.read(self.path, LARGEST_LEDGER)
        except FileNotFoundError:
            return []
        for line in data.decode(errors="replace").splitlines():
            outcome = _parsed(line)
            if outcome is not None:
                newest[outcome.case, outcome.target, outcome.version, outcome.onnx] = outcome
        return [*newest.values()]

    def append(self, outcome: OperatorOutcome) -> None:
        """Adds an outcome, whose words name no folder of this machine; it is on the disk when this
        returns."""
        outcome = replace(outcome, reason=privacy.without_paths(outcome.reason))
        with untrusted.appending(self.path) as file:
            file.write(_line(outcome).encode())
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def begun(self, outcome: OperatorOutcome) -> Iterator[None]:
        """Keeps an outcome for the case that the process ends within the block, which appends the
        true one.

        Whatever is raised in the block, ^C among it, is no crash: then the outcome is taken back.
        """
        before = self.path.stat().st_size if self.path.exists() else 0
        try:
            self.append(outcome)
            yield
        except BaseException:
            if self.path.exists():
                with untrusted.appending(self.path) as file:
                    file.truncate(before)
            raise


def _line(outcome: OperatorOutcome) -> str:
    """An outcome as it stands in the file, without the fields that are empty."""
    plain = outcome.result == "right" and outcome.verdict in FLOAT32
    fields = asdict(replace(outcome, inputs="") if plain else outcome)
    return json.dumps({name: value for name, value in fields.items() if value != ""}) + "\n"


def _parsed(line: str) -> OperatorOutcome | None:
    try:
        fields = json.loads(line)
        outcome = OperatorOutcome(**fields)
    except (ValueError, TypeError, RecursionError):
        return None
    strings = (outcome.case, outcome.operator, outcome.target, outcome.version, outcome.onnx)
    words = (outcome.reason, outcome.verdict, outcome.inputs)
    is_sound = all(isinstance(each, str) for each in (*strings, *words))
    known = outcome.result in get_args(Result) and isinstance(outcome.opset, int)
    return outcome if is_sound and known else None


def fault(
    names: Sequence[str],
    got: Sequence[Array],
    right: Sequence[Array],
    *,
    rtol: float,
    atol: float,
    exact: bool,
) -> str:
    """Says in words what is wrong with the outputs; empty: they are right, within onnx's own
    tolerances.

    `exact`: the types must be the expected ones; the oracle's floats are float64.
    """
    if len(got) != len(right):
        return f"{len(got)} outputs, {len(right)} are expected"
    for name, mine, wanted in zip(names, got, right, strict=True):
        if reason := _fault(mine, wanted, rtol=rtol, atol=atol, exact=exact):
            return f"{name}: {reason}"
    return ""


def _fault(mine: Array, wanted: Array, *, rtol: float, atol: float, exact: bool) -> str:
    if mine.shape != wanted.shape:
        return f"its shape is {list(mine.shape)}, {list(wanted.shape)} is expected"
    is_float = _is_float(wanted)
    if (exact and mine.dtype != wanted.dtype and wanted.dtype.kind != "U") or (
        is_float != _is_float(mine)
    ):
        return f"its type is {mine.dtype.name}, {wanted.dtype.name} is expected"
    if not is_float:
        differ = int(np.count_nonzero(mine != wanted))
        return f"{differ:,} of {wanted.size:,} elements differ" if differ else ""
    widest = np.complex128 if wanted.dtype.kind == "c" else np.float64
    a, b = mine.astype(widest), wanted.astype(widest)
    close = np.isclose(a, b, rtol=max(rtol, COARSE.get(wanted.dtype.name, 0)), atol=atol,
                       equal_nan=True)  # fmt: skip
    if close.all():
        return ""
    with np.errstate(invalid="ignore"):
        largest = np.nanmax(np.abs(a - b)[~close]) if np.isfinite(a - b)[~close].any() else np.nan
    return (
        f"{np.count_nonzero(~close):,} of {wanted.size:,} elements differ, by up to {largest:.3g}"
    )


def _is_float(array: Array) -> bool:
    return array.dtype.kind in "fc" or array.dtype.name.startswith(("bfloat", "float"))
