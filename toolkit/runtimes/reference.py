"""The ONNX reference evaluator: slow, and what the standard says. For `check`, not for speed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from toolkit.runtimes import base
from toolkit.runtimes.base import Call, Program, Runtime, Session
from toolkit.tensors import Array, Feed


class Reference(Runtime):
    """The evaluator of the onnx package."""

    name = "reference"
    distributions = ("onnx",)
    licence = "Apache-2.0"
    module = "onnx"
    variants = ()  # `--all` compares speeds.
    # numpy's own BLAS threads: the evaluator has no switch for them.
    environment: ClassVar[Mapping[str, str]] = {"OPENBLAS_NUM_THREADS": "1"}

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        from onnx.reference import ReferenceEvaluator

        # The bits of a bfloat16 would be added as the integers that they travel as.
        base.check_types(program, self.name, strings=True)
        names = [spec.name for spec in program.outputs]
        return ReferenceSession(ReferenceEvaluator(str(program.model)), names)


class ReferenceSession(Session):
    """One evaluator."""

    def __init__(self, evaluator: Any, outputs: list[str]) -> None:
        self._evaluator = evaluator
        self._outputs = outputs

    def bind(self, feed: Feed) -> Call:
        return Call(partial(self._evaluator.run, self._outputs, dict(feed)), self._named)

    def _named(self, arrays: list[Any]) -> dict[str, Array]:
        return {k: np.asarray(v) for k, v in zip(self._outputs, arrays, strict=True)}


RUNTIME = Reference
