"""toolkit report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.report import golden, runs
from toolkit.cli.report import command
from toolkit.errors import InputError, RunError
from toolkit.records import store
from toolkit.records.schema import VERSION, Run
from toolkit.tensors import Array


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run under ./reports, as the newest."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "reports" / "20261123T104501Z-mlp"
    path.mkdir(parents=True)
    keep(path, *runs.make(runs.MIXED, runs.Shape(warnings=(runs.EARLY,))))
    return path


def keep(path: Path, run: Run, samples: dict[str, Array]) -> None:
    (path / store.RUN).write_bytes(store.encode(run))
    np.savez_compressed(path / store.SAMPLES, **samples)  # type: ignore[arg-type]


def report(*words: str) -> Result:
    return CliRunner().invoke(command, words, catch_exceptions=False)


def test_without_arguments_the_newest_run_is_shown_as_in_the_terminal(folder: Path) -> None:
    result = report()
    assert result.exit_code == 0
    assert result.stdout == (golden.FOLDER / "mixed.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["", "run.json"], ids=["folder", "file"])
def test_a_run_is_named_by_its_folder_or_its_file(folder: Path, name: str) -> None:
    assert report(str(folder / name)).stdout == report().stdout


def test_json_is_the_record_itself(folder: Path) -> None:
    printed = report("--format", "json").stdout
    assert json.loads(printed) == json.loads((folder / store.RUN).read_bytes())


def test_csv_goes_to_the_file_that_is_named(folder: Path, tmp_path: Path) -> None:
    result = report("--format", "csv", "-o", "run.csv")
    assert result.stdout == ""
    assert (tmp_path / "run.csv").read_text().startswith("case,target,label,")


def test_markdown_goes_to_stdout(folder: Path) -> None:
    expected = (golden.FOLDER / "mixed.md").read_text(encoding="utf-8")
    assert report("--format", "markdown").stdout == expected


def test_without_samples_the_report_says_what_is_missing(folder: Path) -> None:
    (folder / store.SAMPLES).unlink()
    assert "samples.npz is not beside the record" in report("--format", "markdown").stdout


def test_the_schema_is_printed_without_any_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert json.loads(report("--schema").stdout)["title"] == f"run.json, version {VERSION}"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x00\x01", "is no record of a run"),
        (b'{"version": 99}', "was written by a newer toolkit (record version 99"),
        (b'{"version": 1}', "is a broken record"),
    ],
    ids=["not a record", "newer", "broken"],
)
def test_a_file_that_is_no_record_is_refused_in_one_line(
    folder: Path, content: bytes, says: str
) -> None:
    (folder / store.RUN).write_bytes(content)
    with pytest.raises(RunError) as caught:
        report(str(folder))
    assert says in caught.value.what
    assert "\n" not in caught.value.what


def test_a_run_that_is_not_there_is_named_with_a_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="there is no run in nowhere") as caught:
        report("nowhere")
    assert caught.value.cures == ("toolkit bench    makes one under reports/",)
    with pytest.raises(RunError, match="there is no run in reports"):
        report()


def test_html_goes_into_the_folder_of_the_run_and_its_path_is_printed(folder: Path) -> None:
    result = report(str(folder), "--format", "html")
    assert Path(result.stdout.strip()) == folder / "report.html"
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_markdown_in_a_file_has_its_plots_beside_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    report("--format", "markdown", "-o", "out/run.md")
    text = (tmp_path / "out" / "run.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([^)]+\.svg)\)", text))
    assert named == {file.name for file in (tmp_path / "out").glob("*.svg")}
    assert "ratios-batch-1.svg" in named


def test_a_file_that_cannot_be_written_is_one_line(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        report("--format", "csv", "-o", "nowhere/run.csv")


def test_the_list_names_all_runs_and_what_cannot_be_read(folder: Path) -> None:
    broken = folder.parent / "20260101T000000Z-broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")

    listed, as_json = report("--list"), report("--list", "--format", "json")

    assert listed.exit_code == 0
    assert folder.name in listed.stdout
    assert "left out: 20260101T000000Z-broken" in listed.stderr
    (row,) = json.loads(as_json.stdout)
    assert row["folder"] == folder.name
    assert report("--list", "--format", "csv").exit_code == 2


def test_a_name_that_the_list_has_is_found_under_reports(folder: Path) -> None:
    assert report(folder.name).stdout == report(str(folder)).stdout
