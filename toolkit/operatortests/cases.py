"""The operator tests that the onnx package ships, as models with their inputs and right outputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper
from onnx.backend.test import loader
from onnx.backend.test.case.test_case import TestCase

from toolkit.errors import InputError, unknown
from toolkit.onnxfiles import graphs, modelfile
from toolkit.tensors import BITS, Array, TensorSpec

KINDS = ("simple", "pytorch-operator", "pytorch-converted")
"""Folders of tests beside those that onnx makes in memory, all of them small. 'light' and 'real'
hold whole models: they test no operator."""
SEVERAL = "several"
"""The operator of a test whose graph has more than one and expands none."""

DataSet = tuple[dict[str, Array], list[Array]]
"""Inputs by name, and the right outputs in the model's order."""


@dataclass(frozen=True)
class OperatorTest:
    """One test: a model, what it is fed, and what is right."""

    name: str
    operator: str
    """The operator that is tested, with its domain where that is not ONNX's own."""
    model: ModelProto
    sets: Sequence[DataSet]
    rtol: float
    atol: float
    left_out: str = ""
    """The reason why it cannot be fed or compared here; empty: it can be."""

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators."""
        return graphs.opset(self.model)

    @property
    def inputs(self) -> str:
        """The types and shapes of the first set of inputs: 'x:float32[3,4,5], n:int64[]'."""
        if not self.sets:
            return ""
        types = self.types
        fed, _ = self.sets[0]
        return ", ".join(str(TensorSpec(n, types[n], a.shape)) for n, a in fed.items())

    @property
    def types(self) -> dict[str, str]:
        """The ONNX types of the inputs by name."""
        return {
            value.name: modelfile.type_name(value.type.tensor_type.elem_type)
            for value in self.model.graph.input
        }


def cases(operators: Sequence[str] = ()) -> list[OperatorTest]:
    """All tests in the order of their names; of some operators only, where any are named.

    Raises InputError for an operator that no test has.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's overflows while onnx makes the tests
        every = [*loader.load_node_model_tests(), *_stored()]
    by_name = {test.name: test for test in every}
    made = sorted((_case(test, by_name) for test in by_name.values()), key=lambda case: case.name)
    known = {case.operator for case in made}
    for name in operators:
        if name not in known:
            raise InputError(unknown("operator that is tested", name, known))
    return [case for case in made if not operators or case.operator in operators]


def _stored() -> Iterator[TestCase]:
    for kind in KINDS:
        yield from loader.load_model_tests(kind=kind)


def _case(test: TestCase, others: dict[str, TestCase]) -> OperatorTest:
    model = _model(test)
    operator = _operator(test.name, model, others)
    try:
        sets = list(_sets(test, model))
    except _NotTensors as error:
        return OperatorTest(test.name, operator, model, (), test.rtol, test.atol, str(error))
    return OperatorTest(test.name, operator, model, sets, test.rtol, test.atol)


def _model(test: TestCase) -> ModelProto:
    if test.model is not None:
        return test.model
    if test.model_dir is None:
        raise InputError(f"the test {test.name} has no model in this package")
    return onnx.load(Path(test.model_dir) / "model.onnx")


def _operator(name: str, model: ModelProto, others: dict[str, TestCase]) -> str:
    """Finds the operator of a test: that of its one node, or the one that its graph expands."""
    base = name.partition("_expanded")[0]
    if base != name and base in others:
        model = _model(others[base])
    names = {
        node.op_type if node.domain in graphs.STANDARD else f"{node.domain}.{node.op_type}"
        for node in model.graph.node
        if node.op_type != "Constant"
    }
    return names.pop() if len(names) == 1 else SEVERAL


class _NotTensors(Exception):
    """Something that is fed or expected is a sequence, a map or an optional."""


def _sets(test: TestCase, model: ModelProto) -> Iterator[DataSet]:
    names = [value.name for value in model.graph.input]
    if test.data_sets is not None:
        for inputs, outputs in test.data_sets:
            given = zip(names, inputs, strict=False)
            yield {name: _array(each) for name, each in given}, [_array(each) for each in outputs]
        return
    for folder in sorted(Path(str(test.model_dir)).glob("test_data_set_*")):
        inputs_of, outputs_of = (
            [_read(folder / f"{role}_{n}.pb") for n in range(len([*folder.glob(f"{role}_*.pb")]))]
            for role in ("input", "output")
        )
        yield dict(zip(names, inputs_of, strict=False)), outputs_of


def _read(file: Path) -> Array:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(file.read_bytes())
    return _array(numpy_helper.to_array(tensor))


def _array(value: object) -> Array:
    """Gives a value as an array. Raises _NotTensors for what is none."""
    if isinstance(value, onnx.TensorProto):  # a type that numpy lacks
        value = numpy_helper.to_array(value)
    if not isinstance(value, np.ndarray | np.generic):
        raise _NotTensors("sequences, maps and optionals are not fed here")
    array = np.asarray(value)
    return array.astype(np.str_) if array.dtype == object else array


def as_fed(array: Array, onnx_type: str) -> Array:
    """Gives an array the form in which its ONNX type travels: types that numpy lacks as bits."""
    return array.view(BITS[onnx_type]) if onnx_type in BITS else array
