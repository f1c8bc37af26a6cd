"""toolkit bench, as it is typed: what it prints where, and how it exits."""

from __future__ import annotations

import json
import os
import subprocess
import unicodedata
from pathlib import Path

import msgspec
import onnxruntime
import pytest

from tests import command, plugin, small
from tests.workers.test_environments import venv
from toolkit.records import store
from toolkit.records.schema import Run
from toolkit.runtimes import listing

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench")
    small.layer(path / "layer.onnx")
    return path


def bench(folder: Path, *words: str, env: dict[str, str] | None = None) -> command.Ended:
    return command.run("bench", "layer.onnx", *words, *command.QUICK, cwd=folder, env=env)


def strict(text: str) -> Run:
    """The record that a text is, and nothing else around it. NaN and Infinity are no JSON."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    json.loads(text, parse_constant=refuse)
    return msgspec.json.decode(text, type=Run)


@pytest.fixture(scope="module")
def mixed(folder: Path) -> command.Ended:
    """One that is well, one that is coarse, one that crashes."""
    targets = ("fake,us=10", "fake,compute=bfloat16", "fake,fault=crash,at=sample")
    return bench(folder, *(word for target in targets for word in ("--target", target)))


def test_a_target_that_was_named_and_has_no_right_number_makes_the_command_fail(
    mixed: command.Ended,
) -> None:
    assert mixed.code == 1
    assert mixed.errors == [
        "error: 2 of 3 targets were not measured with right answers: "
        "fake cpu, compute=bfloat16; fake cpu, at=sample, fault=crash."
    ]


def test_the_table_shows_what_is_right_and_why_the_others_are_not(
    mixed: command.Ended,
) -> None:
    words = " ".join(mixed.out.split())

    assert "fake cpu, us=10 10.0 µs" in words
    assert "not ranked: declares" in words
    assert "not measured: crashed" in words


def test_a_pipe_gets_letters_and_no_control_characters(mixed: command.Ended) -> None:
    for text in (mixed.out, mixed.err):
        strange = {c for c in text if unicodedata.category(c) == "Cc"}
        assert strange <= {"\n"}
    assert max(map(len, mixed.out.splitlines())) <= 120


def test_the_report_that_is_named_is_in_the_folder_of_the_run(
    mixed: command.Ended, folder: Path
) -> None:
    (line,) = (line for line in mixed.out.splitlines() if line.startswith("report "))

    assert (folder / line.split()[1]).parent.resolve() == (folder / "reports/latest").resolve()
    assert (folder / line.split()[1]).parent.joinpath("report.md").exists()


def test_json_is_the_record_and_stdout_holds_nothing_else(folder: Path) -> None:
    done = bench(folder, "--target", "fake,us=10", "--target", "fake,fault=flood", "--json")

    assert (done.code, done.err) == (0, "")
    run = strict(done.out)
    assert run == store.read(store.newest(folder / "reports"))
    assert run.state == "done"


def test_a_coarse_target_is_ranked_where_the_user_accepts_it(folder: Path) -> None:
    done = bench(folder, "--target", "fake,compute=bfloat16", "--accept", "bfloat16")

    assert (done.code, done.err) == (0, "")


def test_the_reference_evaluator_is_checked_and_never_timed(folder: Path) -> None:
    done = bench(folder, "--target", "reference")

    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        "error: reference is what the standard says, not a runtime to be timed",
        "  toolkit check --target reference    judges its answers",
    ]


def test_a_target_that_cannot_be_run_is_one_clear_line(folder: Path) -> None:
    done = bench(folder, "--target", "fake,uss=1")

    assert (done.code, done.out) == (1, "")
    assert done.errors == [
        "error: fake cpu, uss=1: not measured. "
        "no option of fake is called 'uss'; there are: at, compute, fault, seed, spread, start, "
        "turns, us. Did you mean us?"
    ]


def test_cuda_on_a_machine_without_one_is_an_error_and_the_cpu_is_measured_under_its_own_name(
    folder: Path,
) -> None:
    done = bench(folder, "--provider", "cpu,cuda", "--json")

    run = strict(done.out)
    rows = {run.plan.targets[record.target].name: record for record in run.records}
    assert done.code == 1
    for name, record in rows.items():
        assert bool(record.timings) == ("cuda" not in name)
        assert (record.failure is None) == ("cuda" not in name)


@pytest.mark.parametrize(
    ("typed", "errors"),
    [
        (
            ["toolkit", "compare", "old.onnx", "a new.onnx"],
            [
                "error: {} was started by toolkit compare old.onnx 'a new.onnx': "
                "only a run of toolkit bench goes on by --resume",
                "  toolkit compare old.onnx 'a new.onnx'    starts it anew",
            ],
        ),
        (
            [],
            ["error: {} was started from Python: only a run of toolkit bench goes on by --resume"],
        ),
    ],
    ids=["another command", "Python"],
)
def test_a_run_that_bench_did_not_start_is_not_resumed(
    folder: Path, tmp_path: Path, typed: list[str], errors: list[str]
) -> None:
    bench(folder, "--target", "fake,us=10", "-o", str(tmp_path))
    path = store.newest(tmp_path)
    cut_off = msgspec.structs.replace(store.read(path), state="interrupted", command=typed)
    (path / store.RUN).write_bytes(store.encode(cut_off))

    done = bench(folder, "--resume", str(path))

    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [line.format(path) for line in errors]


def test_sizes_are_swept_and_each_has_its_own_numbers(folder: Path) -> None:
    limits = ("--latency-limit", "20ms", "--price", "0.34")
    done = bench(folder, "--target", "fake", "--dim", "batch=1,8", *limits, "--json")

    run = strict(done.out)
    assert (run.plan.latency_limit, run.plan.price) == (0.02, 0.34)
    assert [case.name for case in run.plan.cases] == ["batch 1", "batch 8"]
    assert [timing.case for timing in run.records[0].timings] == [0, 1]


# Which library is measured


def test_the_library_of_the_users_environment_is_measured_whatever_lies_around_it(
    tmp_path: Path,
) -> None:
    """Another onnxruntime than ours, and a current folder full of the wrong ones."""
    small.layer(tmp_path / "layer.onnx")
    site = venv(tmp_path / "venv")
    (site / "onnxruntime").mkdir()
    (site / "onnxruntime" / "__init__.py").write_text(SHIM.format(onnxruntime.__path__[0]))
    for name in ("toolkit", "numpy", "onnxruntime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong one')\n")

    done = bench(
        tmp_path,
        *("--target", "onnxruntime", "--target", f"onnxruntime,env={tmp_path / 'venv'}"),
        "--json",
    )

    assert (done.code, done.err) == (0, "")
    ours, theirs = (record.library for record in strict(done.out).records)
    assert ours is not None
    assert theirs is not None
    assert ours.version == onnxruntime.__version__
    assert theirs.version == "1.99.0"
    assert theirs.file == "onnxruntime/__init__.py"


# Another version of the library, for as much as can be told apart: ours under another number.
SHIM = """
import os, sys
__path__ = [{0!r}]
exec(compile(open(os.path.join(__path__[0], "__init__.py")).read(), __file__, "exec"))
__version__ = "1.99.0"
"""


# Plug-ins

THEIRS = """
    import os
    assert os.environ.get("TOOLKIT_PADDING") is not None, "imported in the parent"


    class Theirs(Fake):
        name = "elsewhere"

        def version(self):
            return "7.3"
"""


def test_a_plug_in_is_found_by_its_entry_point_and_imported_in_the_worker_alone(
    folder: Path, tmp_path: Path
) -> None:
    path = plugin.installed(tmp_path, plugin.package(tmp_path, THEIRS))
    env = {"PYTHONPATH": str(path)}

    done = bench(folder, "--target", "elsewhere,us=7", "--target", "fake", "--json", env=env)

    assert (done.code, done.err) == (0, "")
    first = strict(done.out).records[0]
    assert first.library is not None
    assert (first.library.runtime, first.library.version) == ("elsewhere", "7.3")
    assert first.timings[0].series[0].medians == [7000.0] * 20


def test_a_plug_in_that_is_misspelt_is_suggested(folder: Path, tmp_path: Path) -> None:
    path = plugin.installed(tmp_path, plugin.package(tmp_path, THEIRS))

    done = bench(folder, "--target", "elswhere", env={"PYTHONPATH": str(path)})

    names = ", ".join(sorted([*listing.names(), "elsewhere"]))
    assert done.errors == [
        f"error: no runtime is called 'elswhere'; there are: {names}. Did you mean elsewhere?"
    ]


def test_a_reader_that_goes_away_is_no_bug(folder: Path) -> None:
    line = f"'{command.TOOLKIT}' bench layer.onnx --target fake --quick --time 1s | true"
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, capture_output=True, text=True, env={**os.environ}
    )

    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr
