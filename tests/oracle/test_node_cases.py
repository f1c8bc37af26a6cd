"""All node cases of the onnx package in float64: they hold what each operator should give."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx.backend.test.case.test_case import TestCase

from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array

FLOATS = ("float16", "float32", "bfloat16")

UNSUPPORTED = {
    *("BitCast", "Bernoulli", "Dropout", "RandomUniformLike"),
    *("Scan", "the output 'seq'", "Adam: the evaluator rounds it"),
}
"""Beginnings of the messages with which a case is refused: bits of a float, operators that draw at
random, Scan of opset 8, outputs that are no tensors, Adam for several tensors at once."""

OTHERWISE = {
    "test_dynamicquantizelinear": "a value halfway between two integers, nearly",
    "test_dynamicquantizelinear_expanded": "the same",
    "test_resize_downsample_scales_linear_align_corners": "PyTorch and ONNX Runtime do as we do",
    "test_resize_downsample_scales_cubic_align_corners": "the same",
}
"""Cases with another result, and why that is right."""


def bits(array: Any) -> Array:
    """Gives an array the form in which it travels."""
    array = np.asarray(array)
    if array.dtype == ml_dtypes.bfloat16:
        return np.asarray(array.view(np.uint16))
    plain = array.dtype.kind != "V" and array.dtype.isbuiltin
    return np.asarray(array if plain else array.view(np.uint8))


def cases() -> Iterator[TestCase]:
    """Yields the cases with tensors only, and a float among them."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows in the making of the cases
        everything = collect_testcases(None)
    for case in everything:
        arrays = [a for data in case.data_sets or [] for part in data for a in part]
        if all(isinstance(a, np.ndarray | np.generic) for a in arrays) and any(
            a.dtype.name in FLOATS for a in arrays
        ):
            yield case


def agrees(got: Array, want: Array) -> bool:
    if want.dtype.kind in "biu":
        return np.array_equal(got, want)
    close = 2e-3 if want.dtype in (np.float32, np.float64) else 2e-2
    return got.shape == want.shape and np.allclose(
        got.astype(float), want.astype(float), rtol=close, atol=close, equal_nan=True
    )


def other(case: TestCase) -> str:
    """Says why a case is not as it should be; empty: it is."""
    assert case.model is not None
    for inputs, outputs in case.data_sets or []:
        names = [value.name for value in case.model.graph.input]
        feed = {name: bits(array) for name, array in zip(names, inputs, strict=False)}
        try:
            got = Evaluator(case.model).run(feed)
        except Unsupported as error:
            known = any(error.what.startswith(start) for start in UNSUPPORTED)
            return "" if known else error.what
        if not all(agrees(a, np.asarray(b)) for a, b in zip(got.values(), outputs, strict=True)):
            return "another result"
    return ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.kernels
def test_every_case_that_is_not_refused_by_name_has_its_result() -> None:
    seen = list(cases())
    reasons = {case.name: other(case) for case in seen}
    assert len(seen) > 1000
    assert {name for name, why in reasons.items() if why} == set(OTHERWISE)
