"""The arrays that a library gives become the model's outputs, or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.errors import ShapeRefused, TargetError
from toolkit.runtimes.base import Program
from toolkit.runtimes.support import fitting
from toolkit.tensors import Array, Dim, TensorSpec

FEED = {"x": np.zeros((3, 4), np.float32)}


def fitted(array: Array, kind: str, shape: tuple[Dim, ...] | None) -> Array:
    x, y = TensorSpec("x", "float32", ("batch", 4)), TensorSpec("y", kind, shape)
    return fitting.outputs(Program(None, (x,), (y,)), FEED, [array])["y"]


@pytest.mark.parametrize(
    ("given", "kind"),
    [("int32", "int64"), ("uint8", "bool"), ("int32", "bool"), ("float32", "float16")],
)
def test_a_type_that_holds_the_values_is_the_models(given: str, kind: str) -> None:
    array = np.array([[0, 1, 1, 0]] * 3, given)

    found = fitted(array, kind, ("batch", 4))

    assert found.dtype == kind
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("given", "kind"),
    [("float32", "float64"), ("float32", "int64"), ("int64", "float32"), ("int32", "bool")],
)
def test_a_type_that_would_claim_more_is_refused(given: str, kind: str) -> None:
    with pytest.raises(TargetError) as caught:
        fitted(np.full((3, 4), 2, given), kind, ("batch", 4))

    assert caught.value.what == f"it gives 'y' as {given}, the model as {kind}"


@pytest.mark.parametrize(
    ("given", "shape", "wanted"),
    [
        ((3, 4), ("batch", 4), (3, 4)),
        ((12,), None, (12,)),
        ((3, 9), ("batch", "other"), (3, 9)),
        ((3, 4), ("batch", 1, 4), (3, 1, 4)),
        ((3, 1, 4), ("batch", 4), (3, 4)),
        ((1,), (), ()),
    ],
)
def test_dimensions_of_size_1_are_added_and_dropped(
    given: tuple[int, ...], shape: tuple[Dim, ...] | None, wanted: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(given), dtype=np.float32).reshape(given)

    found = fitted(array, "float32", shape)

    assert found.shape == wanted
    np.testing.assert_array_equal(found.ravel(), array.ravel())


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ((4, 3), ("batch", 4)),
        ((12,), ("batch", 4)),
        ((2, 4), ("batch", 4)),
        ((3, 1), ("batch", 1, "other")),
    ],
)
def test_another_shape_is_refused(given: tuple[int, ...], shape: tuple[Dim, ...]) -> None:
    with pytest.raises(ShapeRefused) as caught:
        fitted(np.zeros(given, np.float32), "float32", shape)

    assert caught.value.what.startswith(f"it gives 'y' the shape {given}, the model (3, ")


def test_another_number_of_outputs_is_refused() -> None:
    x = TensorSpec("x", "float32", ("batch", 4))

    with pytest.raises(TargetError) as caught:
        fitting.outputs(Program(None, (x,), (x,)), FEED, [])

    assert caught.value.what == "it gives 0 outputs, the model 1"
