"""The tests of the onnx package become models with inputs and right outputs."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.errors import InputError
from toolkit.operatortests import cases
from toolkit.operatortests.cases import SEVERAL, OperatorTest

pytestmark = pytest.mark.kernels


@pytest.fixture(scope="module")
def every() -> dict[str, OperatorTest]:
    return {case.name: case for case in cases.cases()}


def test_all_kinds_of_tests_are_there(every: dict[str, OperatorTest]) -> None:
    assert len(every) > 1400
    assert {"test_relu", "test_Conv2d", "test_operator_conv", "test_sequence_model1"} <= {*every}


def test_a_test_has_the_operator_of_its_node_or_the_one_that_its_graph_expands(
    every: dict[str, OperatorTest],
) -> None:
    assert every["test_relu"].operator == "Relu"
    assert every["test_relu_expanded_ver18"].operator == "Relu"
    assert every["test_ai_onnx_ml_array_feature_extractor"].operator == (
        "ai.onnx.ml.ArrayFeatureExtractor"
    )
    assert every["test_sequence_model1"].operator == SEVERAL


def test_inputs_have_names_and_types_of_fewer_bits_are_arrays(
    every: dict[str, OperatorTest],
) -> None:
    (inputs, (right,)) = every["test_relu"].sets[0]
    assert list(inputs) == ["x"]
    assert np.array_equal(right, inputs["x"].clip(0))
    assert every["test_cast_FLOAT_to_BFLOAT16"].left_out == ""


def test_what_holds_sequences_is_left_out_with_its_reason(every: dict[str, OperatorTest]) -> None:
    left_out = {case.left_out for case in every.values()} - {""}

    assert left_out == {"sequences, maps and optionals are not fed here"}
    assert sum(bool(case.left_out) for case in every.values()) < 100


def test_an_unknown_operator_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"Did you mean Conv\?|Did you mean"):
        cases.cases(["Convv"])
