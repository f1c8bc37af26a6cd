"""The edges of the rule, on errors that are drawn to lie on either side of them."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.answers import rule
from toolkit.answers.direction import Floats
from toolkit.answers.formats import Precision
from toolkit.answers.rule import Fault, Finding, Named, Scale

ERRORS: dict[Precision, tuple[float, ...]] = {
    "float32": (1e-7,),
    "tf32": (1e-4, 2e-4),
    "float16": (1e-4, 2e-4),
    "bfloat16": (3e-3, 6e-3),
    "int8": (0.1, 0.2),
}
"""RMS error of each simulation, relative to outputs of about 1."""


def drawn(seed: int, size: float, rows: int = 400) -> Floats:
    return np.random.default_rng(seed).normal(0, size, (rows, 5))


def scale(rows: int = 400) -> Scale:
    oracle = drawn(0, 1.0, rows)
    errors = [(c, e) for c, sizes in ERRORS.items() for e in sizes]
    parts = [(c, "full", oracle + drawn(n + 1, e, rows)) for n, (c, e) in enumerate(errors)]
    return Scale(oracle, parts)


def judged(size: float, rows: int = 400) -> Finding:
    on = scale(rows)
    return on.judge(on.oracle + drawn(99, size, rows))


@pytest.mark.parametrize(
    ("size", "names"),
    [
        (1e-7, ("float32",)),
        (9e-7, ("float32",)),
        (0.45e-4, ("tf32", "float16")),
        (4.5e-4, ("tf32", "float16")),
        (1.35e-3, ("bfloat16",)),
        (14e-3, ("bfloat16",)),
        (0.45, ("int8",)),
    ],
)
def test_a_class_reaches_from_two_fifths_of_its_least_to_its_largest_and_half(
    size: float, names: tuple[Precision, ...]
) -> None:
    finding = judged(size)

    assert isinstance(finding, Named)
    assert finding.names == names


@pytest.mark.parametrize("size", [1.1e-6, 0.36e-4, 5.6e-4, 1.1e-3, 17e-3, 0.036])
def test_what_lies_outside_every_band_is_between(size: float) -> None:
    finding = judged(size)

    assert isinstance(finding, Fault)
    assert finding.name == "between"


def test_beyond_the_coarsest_band_is_wrong() -> None:
    finding = judged(0.55)

    assert isinstance(finding, Fault)
    assert finding.name == "wrong"
    assert "beyond every format" in finding.evidence


def test_random_errors_of_a_formats_size_do_not_prove_it() -> None:
    finding = judged(2e-4)

    assert isinstance(finding, Named)
    assert not finding.proven
    assert finding.evidence == (
        "as large as tf32 or float16's error, nothing else shows tf32 or float16:"
        " a small fault looks the same"
    )


def test_the_same_errors_as_a_simulations_do() -> None:
    on = scale()

    finding = on.judge(on.oracle + on.classes["bfloat16"][0].error)

    assert isinstance(finding, Named)
    assert finding.names == ("bfloat16",)


def test_with_few_elements_a_lower_class_has_no_name() -> None:
    finding = judged(4e-3, rows=9)

    assert isinstance(finding, Fault)
    assert finding.name == "less than float32"


def test_a_simulation_that_overflowed_is_no_class() -> None:
    oracle = drawn(0, 1.0)
    high = np.full_like(oracle, np.inf)

    on = Scale(oracle, [("float32", "plain", oracle + 1e-7), ("float16", "full", high)])

    assert list(on.classes) == ["float32"]


def test_a_large_output_is_looked_at_in_some_rows_and_has_the_same_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on = scale(rows=4000)
    low = on.oracle + on.classes["bfloat16"][0].error
    by_all = on.judge(low)
    monkeypatch.setattr(rule, "MANY", 2000)

    few = scale(rows=4000)
    by_some = few.judge(low)

    assert isinstance(by_all, Named)
    assert isinstance(by_some, Named)
    assert by_some.names == by_all.names == ("bfloat16",)
    assert few._unit(low - few.oracle).size == 2000
