"""What the user wrote for PyTorch says which dimensions are dynamic."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from toolkit.errors import InputError
from toolkit.sources import dynamic, examples, factory, inputs, source
from toolkit.sources.inputs import Dimension, Stated

NET = """
import torch
from torch import nn
from torch.export import Dim

class Net(nn.Module):
    def forward(self, x, past):
        return x

def example_inputs():
    t = torch.zeros
    return {given}
"""
ONE_CALL = "t(2, 3), [t(2, 5), t(2, 5)]"


def stated(folder: Path, given: str, shapes: str = "") -> dict[str, tuple[int | str, ...]]:
    """Input → its dimensions, by name where they are dynamic."""
    return {
        name: tuple(d.name if isinstance(d, Dimension) else d for d in dims)
        for name, dims in dims_of(folder, given, shapes).items()
    }


def dims_of(folder: Path, given: str, shapes: str) -> dict[str, tuple[int | Dimension, ...]]:
    """Input → its dimensions."""
    rest = f"def dynamic_shapes():\n    return {shapes}\n" if shapes else ""
    (folder / "shaped.py").write_text(NET.replace("{given}", given) + rest)
    net = source.parse("shaped.py:Net", folder=folder)
    read = examples.of(net, factory.build(net))
    return {each.name: each.dims for each in dynamic.of(net, read)}


@pytest.mark.parametrize(
    "shapes",
    [
        "{'x': {0: Dim('n')}, 'past': [{0: 'n', 1: Dim('m')}, None]}",
        "({0: Dim('n')}, ({0: Dim('n'), 1: Dim('m')}, None))",
        "{'x': (Dim('n'), None), 'past': [(Dim('n'), Dim('m')), {}]}",
        "{'x': {0: Dim('n'), 1: Dim.STATIC}, 'past': [{-2: 'n', -1: Dim('m')}, {0: None}]}",
    ],
)
def test_dynamic_shapes_are_read_in_each_form_that_torch_takes(tmp_path: Path, shapes: str) -> None:
    assert stated(tmp_path, ONE_CALL, shapes) == {
        "x": ("n", 3),
        "past.0": ("n", "m"),
        "past.1": (2, 5),
    }


def test_a_dimension_without_a_name_gets_one(tmp_path: Path) -> None:
    shapes = "{'x': {0: Dim.DYNAMIC, 1: Dim.AUTO}, 'past': None}"

    assert stated(tmp_path, ONE_CALL, shapes)["x"] == ("x_0", "x_1")


@pytest.mark.parametrize(
    ("shapes", "error"),
    [
        ("{'y': {0: 'n'}}", "names 'y'; the inputs are x, past"),
        ("{'past': [{0: 'n'}]}", "not in the form of the module's inputs"),
        ("{'x': {0: 2 * Dim('n') + 1}}", "2*n + 1 is computed from another dimension"),
        ("{'x': {0: 2 * Dim('n'), 1: Dim('n')}}", "n and 2*n are sizes of one call"),
        ("5", "not in the form of the module's inputs"),
        ("1 / 0", "raised ZeroDivisionError"),
    ],
)
def test_what_is_no_specification_is_refused_in_one_line(
    tmp_path: Path, shapes: str, error: str
) -> None:
    with pytest.raises(InputError) as caught:
        stated(tmp_path, ONE_CALL, shapes)

    assert error in caught.value.what


def test_a_dimension_that_is_so_many_times_another_is_a_multiple(tmp_path: Path) -> None:
    shapes = "{'x': {0: 4 * Dim('n', min=1, max=9)}, 'past': None}"

    assert dims_of(tmp_path, ONE_CALL, shapes)["x"] == (Dimension("n", None, 4, 36, 4), 3)


def test_what_differs_between_calls_is_dynamic(tmp_path: Path) -> None:
    calls = "[(t(2, 3), [t(2, 5), t(2, 5)]), (t(4, 3), [t(4, 7), t(4, 7)])]"

    assert stated(tmp_path, calls) == {
        "x": ("batch", 3),
        "past.0": ("batch", "past_0_1"),
        "past.1": ("batch", "past_0_1"),
    }


def test_calls_of_different_forms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="calls of different forms"):
        stated(tmp_path, "[(t(2, 3), [t(2, 5)]), (t(4, 3), [t(4, 7), t(4, 7)])]")


def test_only_inputs_that_agree_on_their_first_dimension_have_a_batch() -> None:
    three = inputs.of_examples({"x": torch.zeros(3, 4), "n": torch.tensor(1), "y": torch.zeros(3)})
    other = inputs.of_examples({"x": torch.zeros(3, 4), "y": torch.zeros(2)})

    assert dynamic.with_batch(other) == ()
    assert dynamic.with_batch(three) == (
        Stated("x", "float32", (Dimension("batch"), 4)),
        Stated("n", "int64", ()),
        Stated("y", "float32", (Dimension("batch"),)),
    )


def test_a_dynamic_dimension_of_1_is_doubled() -> None:
    wide = dynamic.widened(
        {"x": torch.ones(1, 1)}, [Stated("x", "float32", (Dimension("batch"), 1))]
    )

    assert wide["x"].shape == (2, 1)
