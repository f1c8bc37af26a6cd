"""Dimensions that torch narrows without a word are named, with the line."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from torch import nn

from tests.exporter import models
from toolkit.errors import ProofError
from toolkit.exporter import convert, guards, specialised
from toolkit.exporter.guards import SizeGuard
from toolkit.exporter.quiet import Chatter
from toolkit.exporter.specialised import Narrowed
from toolkit.exporter.tracing import Traced

pytestmark = pytest.mark.export


def examine(module: nn.Module, *texts: str) -> tuple[Traced, list[Narrowed], list[Narrowed]]:
    """What the file shows, and what torch took for granted besides."""
    stated, traced = models.traced(module, *texts)
    made = convert.convert(module, stated, traced, opset=None, chatter=Chatter())
    assumed = guards.find(module, stated, traced, Chatter())
    shown = list(specialised.fixed(module, stated, traced, made, assumed))
    return traced, shown, list(specialised.possible(module, stated, traced, made, assumed))


def told(narrowed: Narrowed, traced: Traced) -> ProofError:
    return specialised.error(narrowed, traced, [{**traced.sizes, narrowed.name: 37}])


def test_looking_for_guards_leaves_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated, traced = models.traced(models.Branch(), "x:float32[batch,seq=16]")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    assert guards.find(models.Branch(), stated, traced, Chatter())

    # torch makes an empty cache folder of its own there.
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_branch_on_a_size_is_told_with_range_size_and_line() -> None:
    traced, shown, possible = examine(models.Branch(), "x:float32[batch,seq=16]")

    assert shown == []
    error = told(possible[0], traced)
    assert error.what == (
        "the exported graph holds for seq ≥ 13 only: right at the traced 16 and at 37, wrong at 9."
    )
    line, cure, end = error.cures
    assert line.endswith("   if x.shape[1] > 12:")
    assert cure == (
        "Write the branch with torch.cond, or state a range: 'x:float32[batch,seq=13..]'"
    )
    assert end == "No file was written."


def test_a_range_that_excludes_the_branch_leaves_nothing_to_tell() -> None:
    _, shown, possible = examine(models.Branch(), "x:float32[batch,seq=13..]")

    assert (shown, possible) == ([], [])


def test_the_other_side_of_a_branch_is_an_upper_end() -> None:
    traced, _, possible = examine(models.Branch(), "x:float32[batch,seq=3]")

    assert "holds for seq ≤ 12 only" in told(possible[0], traced).what
    assert "wrong at 13" in told(possible[0], traced).what


def test_a_condition_that_is_no_range_is_found_too() -> None:
    traced, shown, possible = examine(models.Even(), "x:float32[batch,seq=16]")

    assert shown == []
    error = told(possible[0], traced)
    assert error.what.startswith("the exported graph holds for seq % 2 = 0 only: ")
    assert error.what.endswith("wrong at 15.")
    assert "if x.shape[1] % 2 == 0 else" in error.cures[0]


def test_a_size_that_became_a_number_is_told_with_the_line() -> None:
    traced, shown, _ = examine(models.Fixing(), "x:float32[batch,seq=16]")

    error = specialised.error(shown[0], traced)
    assert error.what == (
        "the exported graph holds for seq = 16 only: the module itself accepts seq 17."
    )
    assert error.cures[0].endswith("   n = int(x.shape[1])")
    assert "'x:float32[batch,16]'" in error.cures[1]


def test_two_sizes_that_became_one_are_told() -> None:
    traced, shown, _ = examine(models.Added(), "x:float32[a,4]", "y:float32[b,4]")

    error = specialised.error(shown[0], traced)
    assert error.what.startswith("the exported graph holds for b = a only")
    assert error.cures[0].endswith("   return x + y")
    assert error.cures[1] == "Where they are always equal, state one name: 'y:float32[a,4]'"


def test_sizes_that_the_module_itself_refuses_are_no_fault() -> None:
    _, shown, possible = examine(models.Strided(), "x:float32[batch,2,width]")

    assert (shown, possible) == ([], [])


@pytest.mark.parametrize(
    ("expression", "text", "right", "wrong"),
    [
        ("s27 > 12", "seq > 12", 13, 12),
        ("Eq(s27, 16)", "seq = 16", 16, 17),
        ("Ne(s27, 7)", "seq ≠ 7", 8, 7),
        ("Eq(Mod(s27, 2), 0)", "seq % 2 = 0", 4, 5),
        ("Eq(4*((s27//4)), s27)", "4 * (seq // 4) = seq", 8, 9),
        ("(s27 > 3) & (s27 < 9)", "(seq > 3) & (seq < 9)", 4, 9),
        ("~(s27 > 3)", "~(seq > 3)", 3, 4),
        ("Max(3, s27) <= 5", "Max(3, seq) ≤ 5", 5, 6),
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
