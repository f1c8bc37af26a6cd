"""Damaged files are made from their seeds, and whatever ends the serving process is an outcome."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from benchmarks import ledger
from benchmarks.fuzz import base, kinds, models, outcomes, program, reading, serving, values
from benchmarks.fuzz.models import Models
from benchmarks.fuzz.outcomes import Cases
from benchmarks.fuzz.records import RUN, SOUND
from benchmarks.fuzz.replies import Replies
from toolkit.engine import assignment
from toolkit.errors import RunError
from toolkit.operatortests import cases
from toolkit.operatortests.cases import OperatorTest
from toolkit.records import store
from toolkit.report import page

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def every() -> list[OperatorTest]:
    return cases.cases()


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(params=[*kinds.KINDS])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cases:
    """The cases of one kind, tried where nothing lies that they name."""
    monkeypatch.chdir(tmp_path)
    return kinds.KINDS[request.param]()


def written(kind: Cases, folder: Path, seed: int) -> dict[str, bytes]:
    folder.mkdir()
    kind.write(seed, folder)
    return files(folder)


def test_a_seed_makes_the_same_files_each_time_and_another_makes_others(
    kind: Cases, tmp_path: Path
) -> None:
    first, again, other = (
        written(kind, tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    assert first == again != other


def test_a_damaged_file_is_read_or_refused_in_one_line(kind: Cases, tmp_path: Path) -> None:
    lines = [kinds.tried(kind, tmp_path, str(seed)) for seed in range(8)]

    assert {line["outcome"] for line in lines} <= {*outcomes.GOOD}, lines
    assert [line["seed"] for line in lines] == [*range(8)]
    assert [*tmp_path.iterdir()] == []


def test_every_mutation_changes_some_model(every: list[OperatorTest]) -> None:
    for mutate in models.MUTATIONS:
        changed = 0
        for seed in range(20):
            model = type(every[0].model)()
            model.CopyFrom(every[7 * seed].model)
            mutate(model, Random(seed))
            changed += model != every[7 * seed].model
        assert changed, mutate.__name__


def test_every_change_and_damage_of_a_record_changes_some() -> None:
    raw = json.loads(base.finished()[store.RUN])
    texts = {values.encoded(raw, Random(seed)) for seed in range(300)}

    assert sum(values.changed(raw, Random(seed), 1) != raw for seed in range(100)) > 80
    assert len(texts) > 20
    assert raw == json.loads(base.finished()[store.RUN])


def test_a_model_is_judged_or_refused_and_a_traceback_is_a_bug(
    every: list[OperatorTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relu = next(test for test in every if test.name == "test_relu")
    path = tmp_path / models.FILE
    path.write_bytes(relu.model.SerializeToString())
    assert outcomes.of(lambda: Models().read(tmp_path))[0] == "judged"
    path.write_bytes(b"nonsense")
    assert outcomes.of(lambda: Models().read(tmp_path)) == (
        "refused",
        f"{path} is a text file, not an .onnx file",
    )

    monkeypatch.setattr(assignment, "ask", lambda *_: [][0])
    outcome, what = outcomes.of(lambda: Models().read(tmp_path))

    assert outcome == "bug"
    assert what.startswith("test_fuzz.py:")


def test_an_error_of_several_lines_is_a_bug() -> None:
    assert outcomes.refused(RunError("one\ntwo"))[0] == "bug"
    assert outcomes.refused(RunError("one")) == ("refused", "one")


@pytest.mark.parametrize("made", [base.finished, base.sweep, base.unfinished])
def test_a_sound_run_is_read_to_its_end(tmp_path: Path, made: object) -> None:
    base.put(made(), tmp_path / RUN)  # type: ignore[operator]
    base.put(base.finished(), tmp_path / SOUND)
    (tmp_path / reading.DRAWS).touch()

    outcome, what = reading.read(tmp_path / RUN, tmp_path / SOUND)

    assert outcome == "read", what
    assert (tmp_path / RUN / "report.html").stat().st_size > 500_000


def test_a_report_that_has_a_text_as_markup_is_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.put(base.finished(), tmp_path / RUN)
    text = f"<html>{reading.MARKUP}(1)</script></html>"
    monkeypatch.setattr(page, "render", lambda view, plots: text)

    with pytest.raises(ValueError, match=r"is markup in report\.html"):
        reading.show(tmp_path / RUN, lambda view: ())


def test_a_reply_is_taken_by_the_parent_of_a_worker(tmp_path: Path) -> None:
    replies, line = Replies(), json.dumps({"number": 1, "resident": 5, "peak": 10**30})
    for name, text in (("verb", "usage"), ("reply", line + "\n"), ("0.npy", "")):
        (tmp_path / name).write_text(text)

    assert replies.read(tmp_path) == (
        "refused",
        "answered nonsense to usage: a number is beyond all measure",
    )


def test_cases_are_served_by_one_process_and_the_ledger_goes_on(tmp_path: Path) -> None:
    ledgers = ("--ledgers", str(tmp_path))

    first = CliRunner().invoke(program.main, ["samples", "--cases", "3", *ledgers])
    again = CliRunner().invoke(program.main, ["samples", "--cases", "5", *ledgers])

    assert first.output.startswith("samples: 3 cases: "), first.output
    assert again.output.startswith("samples: 5 cases: ")
    assert len((tmp_path / "samples.jsonl").read_text().splitlines()) == 5


def test_the_files_of_a_case_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    shown = CliRunner().invoke(program.main, ["replies", "--show", "7"])

    assert shown.output.startswith("fuzz-replies-7: ")
    assert sorted(os.listdir("fuzz-replies-7")) == ["0.npy", "reply", "verb"]


def test_the_summary_of_one_kind_stands_beside_those_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "SUMMARY", tmp_path / "fuzz.json")
    monkeypatch.setattr(ledger, "stamp", dict)
    (tmp_path / "fuzz.json").write_text("{}")
    for kind, first, second in (("samples", "read", "bug"), ("models", "judged", "refused")):
        lines = [
            {"seed": n, "outcome": o, "commit": f"c{n}"} for n, o in enumerate((first, second))
        ]
        program.keep(kind, lines)

    kept = program.summaries()

    assert [line["kind"] for line in kept] == ["models", "samples"]
    assert kept[0]["commit"] == "c0, c1"
    assert program.markdown(kept).splitlines()[2:] == [
        "| models | 2 | 1 | 1 | 0 | 0 |",
        "| samples | 2 | 1 | 0 | 0 | 1 |",
    ]


def test_what_ends_the_process_or_hangs_is_an_outcome_and_it_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = kinds.server("replies")
    try:
        assert server.ask("1")["outcome"] in outcomes.GOOD
        assert server._process is not None
        server._process.kill()
        server._process.wait()
        assert server.ask("2")["outcome"] == "crash"
        assert server.ask("2")["outcome"] in outcomes.GOOD
        monkeypatch.setattr(serving, "PATIENCE", 0.0)
        assert server.ask("3")["outcome"] == "hang"
    finally:
        server.stop()
