"""The conditions that torch relied on are found with their lines, by the one trace of an export."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from tests.exporter import models
from toolkit.errors import ExportError
from toolkit.exporter import guards
from toolkit.exporter.guards import SizeGuard


@pytest.mark.export
def test_a_condition_is_known_with_its_dimension_and_its_line() -> None:
    converted = models.converted(models.Branch(), "x:float32[batch,seq=16]")

    assert [(guard.text, guard.dims) for guard in converted.guards] == [("seq > 12", ("seq",))]
    assert str(converted.guards[0].line).split("   ")[1] == "if x.shape[1] > 12:"


class Counted(nn.Module):
    """Counts how often it is traced."""

    traces = 0

    def forward(self, x: Any) -> Any:
        if torch.compiler.is_compiling():
            Counted.traces += 1
        return x * 2 if x.shape[1] % 2 == 0 else x * 3


@pytest.mark.export
def test_finding_the_conditions_takes_no_further_trace() -> None:
    converted = models.converted(Counted(), "x:float32[batch,seq=16]")

    assert [guard.text for guard in converted.guards] == ["seq % 2 = 0"]
    assert Counted.traces == 1


@pytest.mark.export
def test_a_torch_without_that_method_exports_without_knowing_conditions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guards, "_LOGGED", "_no_such_method")

    assert models.converted(models.Branch(), "x:float32[batch,seq=16]").guards == ()
    assert not hasattr(ShapeEnv, "_no_such_method")


@pytest.mark.export
def test_torch_is_left_as_it_was_where_it_refuses_too() -> None:
    before = ShapeEnv._log_guard

    with pytest.raises(ExportError):
        models.converted(models.OnValues(), "x:float32[batch,seq=16]")

    assert ShapeEnv._log_guard is before


class Length(nn.Module):
    """Another function from 13 on, behind a bytecode that torch is made to interpret."""

    def forward(self, x: Any) -> Any:
        return x * 2 if x.shape[1] > 12 else x * 3


@pytest.mark.export
def test_where_torch_interprets_the_module_the_line_is_known_too() -> None:
    dynamic = {"x": {1: torch.export.Dim.DYNAMIC}}
    with guards.watched() as met:
        torch.export.export(Length(), (torch.ones(2, 16),), dynamic_shapes=dynamic, strict=True)

    lines = [each.line.text for each in met if "12" in each.expression and each.line]
    assert lines
    assert set(lines) == {"return x * 2 if x.shape[1] > 12 else x * 3"}


@pytest.mark.parametrize(
    ("expression", "text", "right", "wrong"),
    [
        ("s27 > 12", "seq > 12", 13, 12),
        ("Eq(4*((s27//4)), s27)", "4 * (seq // 4) = seq", 8, 9),
    ],
)
def test_a_guard_is_read_and_said_in_the_users_names(
    expression: str, text: str, right: int, wrong: int
) -> None:
    guard = SizeGuard(expression, {"s27": "seq"}, None)

    assert guard.text == text
    assert guard.holds({"seq": right})
    assert not guard.holds({"seq": wrong})


@pytest.mark.parametrize("expression", ["__import__('os').system('true')", "s27 >", "f(s27) > 1"])
def test_a_guard_that_is_no_arithmetic_is_never_executed(expression: str) -> None:
    assert SizeGuard(expression, {"s27": "seq"}, None).holds({"seq": 1})
