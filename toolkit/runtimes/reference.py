"""The ONNX reference evaluator: slow, and what the standard says. For `check`, not for speed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from toolkit.runtimes.base import Call, Option, Placement, Program
from toolkit.tensors import Array, Feed


class Reference:
    """The evaluator of the onnx package."""

    name: ClassVar[str] = "reference"
    distributions: ClassVar[tuple[str, ...]] = ("onnx",)
    requirements: ClassVar[tuple[str, ...]] = ()
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    licence: ClassVar[str] = "Apache-2.0"
    module: ClassVar[str] = "onnx"
    providers: ClassVar[tuple[str, ...]] = ("cpu",)
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    options: ClassVar[Mapping[str, Option]] = {}
    # numpy's own BLAS threads: the evaluator has no switch for them.
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ()
    environment: ClassVar[Mapping[str, str]] = {"OPENBLAS_NUM_THREADS": "1"}

    def version(self) -> str:
        import onnx

        return str(onnx.__version__)

    def library(self) -> Path:
        import onnx

        return Path(str(onnx.__file__))

    def precision(self, options: Mapping[str, str]) -> str:
        return "float32"

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> ReferenceSession:
        from onnx.reference import ReferenceEvaluator

        names = [spec.name for spec in program.outputs]
        return ReferenceSession(ReferenceEvaluator(str(program.model)), names)


class ReferenceSession:
    """One evaluator."""

    def __init__(self, evaluator: Any, outputs: list[str]) -> None:
        self._evaluator = evaluator
        self._outputs = outputs

    def bind(self, feed: Feed) -> Call:
        return Call(partial(self._evaluator.run, self._outputs, dict(feed)), self._named)

    def placement(self) -> Placement:
        return Placement({})

    def output_types(self) -> Mapping[str, str]:
        return {}

    def copies(self) -> str:
        return "numpy arrays in, new numpy arrays out"

    def close(self) -> None:
        del self._evaluator

    def _named(self, arrays: list[Any]) -> dict[str, Array]:
        return {k: np.asarray(v) for k, v in zip(self._outputs, arrays, strict=True)}


RUNTIME = Reference
