from __future__ import annotations

import pytest

from benchmarks import suite


@pytest.mark.parametrize(
    ("output", "counts"),
    [
        ("…\n2407 passed, 17 skipped in 887.12s (0:14:47)\n", {"passed": 2407, "skipped": 17}),
        (
            "1 failed, 2 passed, 1 error in 3.0s\nmake: error",
            {"failed": 1, "passed": 2, "error": 1},
        ),
        ("3 failed to build\n", {}),
        ("", {}),
    ],
    ids=["passed", "failed", "no closing line", "nothing"],
)
def test_the_counts_are_those_of_the_closing_line(output: str, counts: dict[str, int]) -> None:
    assert suite.counts(output) == counts


def test_a_run_is_a_row_with_its_conditions() -> None:
    line = {
        "kind": "test", "machine": "AMD EPYC, 2 cores", "processor": "AVX-512 with VNNI",
        "masked": "AVX2", "busy": 2, "code": 0, "seconds": 900.0, "passed": 10, "skipped": 1,
    }  # fmt: skip

    assert suite.table([line]).splitlines()[-1] == (
        "| make test | AMD EPYC, 2 cores, AVX2 | 2 busy processes | 10 | 0 | 1 | 15.0 |"
    )
