"""Dimensions that torch narrows without a word are named, with the line."""

from __future__ import annotations

import pytest
from torch import nn

from tests.exporter import models
from toolkit.errors import ProofError
from toolkit.exporter import convert, specialised
from toolkit.exporter.conditions import Evidence
from toolkit.exporter.ownlimits import OwnLimit
from toolkit.exporter.proof import ComparedSizes, ExportProof
from toolkit.exporter.quiet import Chatter
from toolkit.exporter.specialised import Narrowed
from toolkit.exporter.tracing import Traced
from toolkit.sources import inputs
from toolkit.sources.inputs import Dimension

pytestmark = pytest.mark.export

FREE = "x:float32[batch,height,width,3]"


def proof(*seen: tuple[tuple[int, int, int], float]) -> ExportProof:
    """A proof that saw an error at each batch, height and width."""
    names = ("batch", "height", "width")
    compared = [ComparedSizes(dict(zip(names, at, strict=True)), error) for at, error in seen]
    return ExportProof((), 1e-6, tuple(compared))


def examine(module: nn.Module, *texts: str) -> tuple[Traced, list[Narrowed], list[Narrowed]]:
    """The dimensions that the file shows to be narrower, and those that torch may have narrowed."""
    stated, traced = models.traced(module, *texts)
    converted = convert.convert(module, stated, traced, opset=None, chatter=Chatter())
    evidence = Evidence(module, stated, traced, converted)
    return traced, list(specialised.fixed(evidence)), list(specialised.possible(evidence))


def fault(narrowed: Narrowed, traced: Traced) -> ProofError:
    return specialised.error(narrowed, traced, [{**traced.sizes, narrowed.name: 37}])


def test_a_branch_on_a_size_is_told_with_range_size_and_line() -> None:
    traced, shown, possible = examine(models.Branch(), "x:float32[batch,seq=16]")

    assert shown == []
    error = fault(possible[0], traced)
    assert error.what == (
        "the exported graph holds for seq ≥ 13 only: right at the traced 16 and at 37, wrong at 9."
    )
    line, cure, end = error.cures
    assert line.endswith("   if x.shape[1] > 12:")
    assert cure == (
        "Write the branch with torch.cond, or state a range: 'x:float32[batch,seq=13..]'"
    )
    assert end == "No file was written."


def test_the_line_is_the_one_that_fixes_the_size_and_not_the_first_condition_on_it() -> None:
    traced, shown, _ = examine(models.CheckedAndCounted(), "x:float32[batch,seq=4]")

    assert "range(x.shape[1])" in fault(shown[0], traced).cures[0]


def test_a_range_that_excludes_the_branch_leaves_nothing_to_tell() -> None:
    _, shown, possible = examine(models.Branch(), "x:float32[batch,seq=13..]")

    assert (shown, possible) == ([], [])


def test_the_other_side_of_a_branch_is_an_upper_end() -> None:
    traced, _, possible = examine(models.Branch(), "x:float32[batch,seq=3]")

    assert "holds for seq ≤ 12 only" in fault(possible[0], traced).what
    assert "wrong at 13" in fault(possible[0], traced).what


def test_a_condition_that_is_no_range_is_found_too() -> None:
    traced, shown, possible = examine(models.Even(), "x:float32[batch,seq=16]")

    assert shown == []
    error = fault(possible[0], traced)
    assert error.what.startswith("the exported graph holds for seq % 2 = 0 only: ")
    assert error.what.endswith("wrong at 15.")
    assert "if x.shape[1] % 2 == 0 else" in error.cures[0]


def test_a_size_that_became_a_number_is_told_with_the_line() -> None:
    traced, shown, _ = examine(models.Fixing(), "x:float32[batch,seq=16]")

    error = specialised.error(shown[0], traced)
    assert error.what == (
        "the exported graph holds for seq = 16 only: the module itself accepts seq 17."
    )
    assert error.cures[0].endswith("   n = len(range(x.shape[1]))")
    assert "'x:float32[batch,16]'" in error.cures[1]


def test_the_line_is_that_of_the_condition_that_fixed_the_size_not_of_an_earlier_one() -> None:
    traced, shown, _ = examine(models.CheckedThenFixing(), "x:float32[batch,seq=16]")

    assert specialised.error(shown[0], traced).cures[0].endswith("   n = len(range(x.shape[1]))")


def test_two_sizes_that_became_one_are_told() -> None:
    traced, shown, _ = examine(models.Added(), "x:float32[a,4]", "y:float32[b,4]")

    error = specialised.error(shown[0], traced)
    assert error.what.startswith("the exported graph holds for b = a only")
    assert error.cures[0].endswith("   return x + y")
    assert error.cures[1] == "Where they are always equal, state one name: 'y:float32[a,4]'"


def test_sizes_that_the_module_itself_refuses_are_no_fault() -> None:
    _, shown, possible = examine(models.Strided(), "x:float32[batch,2,width]")

    assert (shown, possible) == ([], [])


def test_least_sizes_of_several_dimensions_are_left_out_at_once() -> None:
    wrong = proof(((2, 8, 8), 0), ((1, 8, 8), 0), ((2, 1, 8), 1), ((2, 8, 1), 1), ((2, 1, 1), 1))

    assert [*specialised.ranges(inputs.parse_all([FREE]), wrong)] == [
        "--input 'x:float32[batch,height=2..,width=2..,3]'    leaves out height 1 and width 1"
    ]


def test_no_range_is_told_where_something_else_is_wrong_too() -> None:
    wrong = proof(((2, 8, 8), 0), ((2, 1, 8), 1), ((2, 7, 8), 1))

    assert [*specialised.ranges(inputs.parse_all([FREE]), wrong)] == []


def test_what_is_wrong_at_the_traced_sizes_is_no_dimensions_fault() -> None:
    traced, _, possible = examine(models.Branch(), "x:float32[batch,seq=16]")
    at = possible[0].dims(traced)

    blamed = [
        specialised.blamed(possible, traced, ExportProof((), 1e-6, tuple(compared)))
        for compared in (
            [ComparedSizes(at, 1.0)],
            [ComparedSizes(traced.sizes, 1.0), ComparedSizes(at, 1.0)],
        )
    ]

    assert blamed == [tuple(possible), ()]


def test_a_limit_counts_though_the_file_was_right_just_beyond_it_by_chance() -> None:
    stated = inputs.parse_all(["x:float32[batch,height,width,3]"])
    suspects = [
        Narrowed(name, "", 9, None, "range", "", OwnLimit(Dimension(name, None, 1, 8), "its table"))
        for name in ("height", "width")
    ]
    seen = proof(((2, 8, 8), 0), ((2, 9, 8), 1), ((2, 8, 9), 0), ((5, 4, 9), 1))

    taken = specialised.taken(suspects, stated, seen)

    assert [limit.dim.name for limit in taken] == ["height", "width"]
    assert specialised.taken(suspects[:1], stated, seen) == ()
