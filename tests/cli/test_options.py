"""A user's mistakes: each is one clear line with the right exit code and leaves nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import command, needs, small
from toolkit import cli
from toolkit.runtimes import listing

pytestmark = pytest.mark.process

FAKE = ("--target", "fake", *command.QUICK)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good model and with every kind of bad one."""
    folder = tmp_path_factory.mktemp("models")
    good = small.layer(folder / "good.onnx").read_bytes()
    (folder / "half.onnx").write_bytes(good[: len(good) // 2])
    (folder / "text.onnx").write_text("no model, but words\n")
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "noise.onnx").write_bytes(bytes(range(256)) * 8)
    (folder / "folder.onnx").mkdir()
    model = onnx.load(folder / "good.onnx")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, folder / "rank.onnx")
    outside(folder)
    texts(folder / "strings.onnx")
    np.savez(folder / "misnamed.npz", z=np.ones((1, 8), np.float32))
    np.savez(folder / "mistyped.npz", x=np.ones((1, 8)))
    np.savez(folder / "pickled.npz", x=np.array([{}], dtype=object))
    return folder


def outside(folder: Path) -> None:
    """A model that wants its weights from the folder above."""
    onnx.save_model(
        onnx.load(folder / "good.onnx"),
        str(folder / "outside.onnx"),
        save_as_external_data=True,
        location="outside.data",
        size_threshold=0,
    )
    model = onnx.load(folder / "outside.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = "../outside.data" if entry.key == "location" else entry.value
    (folder / "outside.onnx").write_bytes(model.SerializeToString())


def texts(path: Path) -> None:
    """A model of strings."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.STRING, ["n"]) for n in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


Typed = Callable[..., command.Ended]


@pytest.fixture
def typed(
    models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Typed:
    """The command line itself, in this process: it ends before anything is started."""
    monkeypatch.chdir(models)

    def run(*words: str) -> command.Ended:
        monkeypatch.setattr(sys, "argv", ["toolkit", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return command.Ended(ended.value.code, *capfd.readouterr())

    return run


FILES = {
    "no such file": ("gone.onnx", "no such file: gone.onnx"),
    "a folder": ("folder.onnx", "folder.onnx is a folder, not an .onnx file"),
    "an empty file": ("empty.onnx", "empty.onnx is empty"),
    "a text file": ("text.onnx", "text.onnx is a text file, not an .onnx file"),
    "other bytes": ("noise.onnx", "noise.onnx is not an .onnx file"),
    "half a file": ("half.onnx", "half.onnx is damaged: it begins as an .onnx file and breaks off"),
    "an unknown rank": ("rank.onnx", "the rank of the input 'x' is unknown"),
    "weights elsewhere": (
        "outside.onnx",
        "outside.onnx wants its external data from '../outside.data', which is outside its folder;"
        " such a file is not opened",
    ),
    "strings": ("strings.onnx", "the input 'x' holds string, which cannot be drawn"),
}


@pytest.mark.parametrize("verb", ["bench", "check"])
@pytest.mark.parametrize(("file", "error"), FILES.values(), ids=FILES)
def test_a_bad_model_is_one_clear_line(
    typed: Typed, models: Path, verb: str, file: str, error: str
) -> None:
    done = typed(verb, file, "--target", "fake")

    assert (done.code, done.out) == (1, "")
    assert done.errors == [f"error: {error}"]
    assert not [*models.glob("reports/*")]


MISTYPED = {
    "a runtime": (
        ("--target", "onnxrt"),
        f"no runtime is called 'onnxrt'; there are: {', '.join(listing.names())}. "
        "Did you mean onnxruntime?",
    ),
    "a target's form": (
        ("--target", "fake:"),
        "'fake:' is no target; the form is RUNTIME[@VERSION][:PROVIDER][,key=value…]",
    ),
    "half an option": (("--target", "fake,us"), "'fake,us': 'us' is not of the form key=value"),
    "an option twice": (("--target", "fake,us=1,us=2"), "'fake,us=1,us=2': us is given twice"),
    "a target twice": (
        ("--target", "fake", "--target", "fake:cpu"),
        "the target fake:cpu is named twice",
    ),
    "no provider": (("--provider", ""), "--provider '' names no provider"),
    "half a list of providers": (("--provider", "cpu,"), "--provider 'cpu,' names no provider"),
    "a dimension": (
        (*FAKE, "--dim", "bach=3"),
        "no dynamic dimension is called 'bach'; there are: batch. Did you mean batch?",
    ),
    "a size of nothing": (
        (*FAKE, "--dim", "batch=0"),
        "--dim batch=0: '0' is no size; a size is a whole number from 1 on",
    ),
    "a word for a size": (
        (*FAKE, "--batch", "many"),
        "--batch many: 'many' is no size; a size is a whole number from 1 on",
    ),
    "another size than the model's": (
        (*FAKE, "--shape", "x=1x9"),
        "the input 'x' of shape 1x9 has 9 where 8 is wanted",
    ),
    "another rank": ((*FAKE, "--shape", "x=8"), "the input 'x' has 2 dimensions, 8 has 1"),
    "an input in --shape": (
        (*FAKE, "--shape", "z=1x8"),
        "--shape: no input is called 'z'; there are: x.",
    ),
    "no feeds": ((*FAKE, "--inputs", "gone.npz"), "no such file: gone.npz"),
    "feeds of no kind": (
        (*FAKE, "--inputs", "text.onnx"),
        "text.onnx is no .npz, no .safetensors and no folder of test data",
    ),
    "feeds of another input": (
        (*FAKE, "--inputs", "misnamed.npz"),
        "misnamed.npz: no input is called 'z'; there are: x.",
    ),
    "feeds of another type": (
        (*FAKE, "--inputs", "mistyped.npz"),
        "mistyped.npz: 'x' is float64, the model wants float32",
    ),
    "no run to go on with": (("--resume",), "there is no unfinished run in reports"),
    "no run of that name": (("--resume", "gone"), "there is no run in gone"),
    "no run in that folder": (("--resume", "-o", "x"), "there is no unfinished run in x"),
    "a source that is not there": (
        (*FAKE, "--source", "gone.py:Net"),
        "no such file: gone.py",
    ),
}


@pytest.mark.parametrize(("words", "error"), MISTYPED.values(), ids=MISTYPED)
def test_a_wish_that_cannot_be_met_is_one_clear_line(
    typed: Typed, models: Path, words: tuple[str, ...], error: str
) -> None:
    done = typed("bench", "good.onnx", *words)

    assert (done.code, done.out) == (1, "")
    assert done.errors == [f"error: {error}"]
    assert not [*models.glob("reports/*")]


def test_pickled_feeds_are_refused_and_not_opened(typed: Typed) -> None:
    done = typed("bench", "good.onnx", *FAKE, "--inputs", "pickled.npz")

    assert done.code == 1
    assert len(done.errors) == 1
    assert done.errors[0].startswith("error: pickled.npz")


USAGE = {
    "threads of none": (("--threads", "0"), "'0' is no number of threads: give 1, 2 … or all"),
    "threads of words": (("--threads", "x"), "'x' is no number of threads: give 1, 2 … or all"),
    "no time": (("--time", "0"), "'0' is no time: give one such as 20s or 2m"),
    "a time of words": (("--time", "soon"), "'soon' is no time: give one such as 20s or 2m"),
    "no patience": (("--timeout", "0s"), "'0s' is no time: give one such as 20s or 2m"),
    "a price of nothing": (("--price", "0"), "'0' is no price of an hour: give one such as 0.34"),
    "a price in words": (("--price", "$1"), "'$1' is no price of an hour: give one such as 0.34"),
    "a limit of no time": (("--latency-limit", "0ms"), "'0ms' is no time: give one such as 20s"),
    "a bare share": (("--precision", "5"), "'5' is no percentage: give one such as 0.5%"),
    "no share": (("--precision", "0%"), "'0%' is no percentage: give one such as 0.5%"),
    "more than all": (
        ("--min-top1-agreement", "101%"),
        "'101%' is no percentage: give one such as 0.5%",
    ),
    "a seed below zero": (("--seed", "-1"), "-1 is not in the range x>=0."),
    "an error of no size": (("--atol", "nan"), "'nan' is no limit of an error: give one such as"),
    "an error below zero": (("--rtol", "-1"), "'-1' is no limit of an error: give one such as"),
    "a class of no name": (("--accept", "half"), "'half' is not one of 'float32', 'tf32'"),
    "weights of no source": (("--weights", "w.pt"), "--weights needs the --source that they"),
    "an unknown switch": (("--presicion", "1%"), "Did you mean one of: '--precision', '--price'?"),
}


@pytest.mark.parametrize(("words", "error"), USAGE.values(), ids=USAGE)
def test_a_senseless_switch_is_a_question_of_usage(
    typed: Typed, words: tuple[str, ...], error: str
) -> None:
    done = typed("bench", "good.onnx", *FAKE[:2], *words)

    assert (done.code, done.out) == (2, "")
    assert error in done.err
    assert "Traceback" not in done.err


def test_without_a_model_the_reference_is_asked_for_where_there_is_none(typed: Typed) -> None:
    done = typed("check")

    assert done.code == 1
    assert done.err.splitlines() == [
        "error: there is no models/mlp/mlp.onnx here",
        "  toolkit export          makes it",
        "  toolkit check M.onnx    takes another model",
    ]


# Root writes and reads anywhere, unless it lays its privileges down.
PLAIN = "-dac_override,-dac_read_search"


def unprivileged(*arguments: str, cwd: Path) -> command.Ended:
    """`toolkit` as a user whom the bits of a file's mode hold back."""
    setpriv = needs.program("setpriv")
    bounds = [f"--bounding-set={PLAIN}", f"--inh-caps={PLAIN}"]
    return command.started([setpriv, *bounds, command.TOOLKIT, *arguments], cwd=cwd)


def test_a_model_that_may_not_be_read_is_one_clear_line(tmp_path: Path) -> None:
    small.layer(tmp_path / "good.onnx").chmod(0)

    done = unprivileged("bench", "good.onnx", *FAKE, cwd=tmp_path)

    assert done.code == 1
    assert done.errors == ["error: good.onnx cannot be read: Permission denied"]


def test_a_folder_that_may_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    small.layer(tmp_path / "good.onnx")
    (tmp_path / "reports").mkdir(mode=0o500)

    done = unprivileged("bench", "good.onnx", *FAKE, cwd=tmp_path)

    assert done.code == 1
    assert done.err.splitlines() == [
        "error: no report can be written to reports: Permission denied",
        "  -o FOLDER    names another",
    ]


def test_a_file_in_the_place_of_the_reports_is_one_clear_line(typed: Typed) -> None:
    done = typed("bench", "good.onnx", *FAKE, "-o", "text.onnx")

    assert done.code == 1
    assert done.errors == ["error: no report can be written to text.onnx: File exists"]


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.argv[:2] = ["toolkit"]
from toolkit.cli import main
main()
"""


@pytest.mark.parametrize(
    ("most", "said"),
    [(0, "no temporary file can be written"), (8_000, "File too large")],
    ids=["the first file", "a longer one"],
)
def test_a_full_disk_is_one_clear_line(tmp_path: Path, most: int, said: str) -> None:
    """Every file ends at a size. Later on, see tests/pipelines/test_bench.py."""
    small.layer(tmp_path / "good.onnx")
    limited = [sys.executable, "-c", LIMITED, str(most)]

    done = command.started([*limited, "bench", "good.onnx", *FAKE], cwd=tmp_path)

    assert done.code == 1
    assert len(done.errors) == 1
    assert done.errors[0].startswith("error: ")
    assert said in done.errors[0]
    assert not [*tmp_path.glob("reports/*")]


def test_a_full_disk_behind_stdout_is_one_clear_line(tmp_path: Path) -> None:
    small.layer(tmp_path / "good.onnx")
    full = ["sh", "-c", f"'{command.TOOLKIT}' check good.onnx --target fake > /dev/full"]

    done = command.started([*full], cwd=tmp_path)

    assert done.code == 1
    assert done.err == (
        "error: a file cannot be written: the disk is full\n  df -h    shows which disk is full\n"
    )
