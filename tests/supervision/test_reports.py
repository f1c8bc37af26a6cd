"""`toolkit report` on a run of a stranger that is long to read or to draw: ended, in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests import command
from tests.cli.test_report import keep
from tests.report import runs

pytestmark = pytest.mark.process

LITTLE = runs.Shape(starts=7, rounds=2, calls=3)
MANY = runs.Shape(starts=7, rounds=2, calls=1, batches=range(1, 4001))
"""Some minutes of work, from a record of a few megabytes."""


def kept(folder: Path, shape: runs.Shape) -> Path:
    folder.mkdir()
    keep(folder, *runs.make(runs.MIXED[:2], shape))
    return folder


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept(tmp_path_factory.mktemp("reports") / "run", MANY)


@pytest.mark.parametrize("form", ["terminal", "html"])
def test_a_run_that_is_long_to_draw_is_ended_and_the_step_is_named(
    endless: Path, form: str
) -> None:
    asked = ("report", "run", "--format", form, "--timeout", "3s")

    ended = command.run(*asked, cwd=endless.parent)

    assert (ended.code, ended.out) == (1, "")
    (error,) = ended.errors
    assert error.startswith("error: it was not done after 3 s, at ")
    assert [line.split()[0] for line in ended.err.splitlines()[1:]] == ["--timeout"]
    assert {path.name for path in endless.iterdir()} == {"run.json", "samples.npz"}


def test_samples_that_unpack_to_more_than_the_memory_are_ended_by_its_limit(
    tmp_path: Path,
) -> None:
    run = kept(tmp_path / "run", LITTLE)
    header = {"descr": "<i8", "fortran_order": False, "shape": (1, 1 << 27)}
    with (
        zipfile.ZipFile(run / "samples.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("0/0/0.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(1 << 6):
            member.write(bytes(1 << 24))

    ended = command.run("report", "run", "--memory-limit", "500MB", cwd=tmp_path)

    assert (ended.code, ended.out) == (1, "")
    assert ended.errors == ["error: the memory limit of 500\u2009MB was reached"]


def test_two_runs_that_are_long_to_compare_are_ended_too(endless: Path) -> None:
    ended = command.run("compare", "run", "run", "--timeout", "2s", cwd=endless.parent)

    assert ended.code == 1
    assert ended.errors[0].startswith("error: it was not done after 2 s, at ")


@pytest.mark.parametrize("form", ["terminal", "markdown", "html", "csv", "json"])
def test_a_run_of_the_usual_size_is_shown_within_the_limits(tmp_path: Path, form: str) -> None:
    kept(tmp_path / "run", LITTLE)

    ended = command.run("report", "run", "--format", form, cwd=tmp_path)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out
