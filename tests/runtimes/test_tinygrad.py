"""tinygrad, from the environment that toolkit makes for it: what it runs, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests import needs, plugin, small
from tests.workers.conftest import Start, program, start
from toolkit.errors import ShapeRefused, TargetError
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.tensors import Feed
from toolkit.workers import environments, managed
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["program", "start"]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    needs.program("clang")
    needs.runtime("tinygrad")


def loaded(worker: Worker, program: Program) -> Worker:
    worker.post_hello()
    worker.hello()
    worker.post_load(program)
    worker.load()
    return worker


def answer(worker: Worker, feed: Feed) -> Feed:
    worker.bind("a", feed, {})
    return worker.answer("a")[0]


def test_it_is_float32_by_both_ways_in(tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    run = check(model, BenchRequest([parse("tinygrad"), parse("tinygrad,io=bound")])).run

    verdicts = [(r.verdict.text, r.verdict.right) for r in run.records if r.verdict is not None]
    assert verdicts == [("float32", True), ("float32", True)]
    relu = [{row.value: row.alone for row in record.card} for record in run.records]
    assert [given["NaN"] for given in relu] == [0, 0]  # As the README says.


def test_an_operator_that_it_does_not_have_is_refused_by_name(start: Start, tmp_path: Path) -> None:
    nodes = [helper.make_node("Det", ["x"], ["y"])]
    det = small.program(
        tmp_path / "det.onnx", nodes, {"x": ("float32", ("n", 4, 4))}, {"y": ("float32", ("n",))}
    )

    with pytest.raises(TargetError) as caught:
        loaded(start("tinygrad"), det)

    assert caught.value.what == "tinygrad has no Det"


def test_a_file_that_it_does_not_read_is_refused_in_one_line(start: Start, tmp_path: Path) -> None:
    broken = small.mlp_program(tmp_path / "broken.onnx")
    (tmp_path / "broken.onnx").write_text("hello")

    with pytest.raises(TargetError) as caught:
        loaded(start("tinygrad"), broken)

    assert caught.value.what.startswith("tinygrad does not read the model: ")
    assert "\n" not in caught.value.what


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_inputs_go_by_their_name_whatever_it_is_and_whatever_the_order_of_the_feed(
    start: Start, tmp_path: Path, io: str
) -> None:
    nodes = [
        helper.make_node("Gather", ["a/table:0", "self"], ["rows"]),
        helper.make_node("Where", ["mask", "rows", "a/table:0"], ["y"]),
        helper.make_node("Add", ["self", "self"], ["twice"]),
    ]
    three = small.program(
        tmp_path / "three.onnx",
        nodes,
        {"mask": ("bool", ("n",)), "a/table:0": ("float32", ("n",)), "self": ("int64", ("n",))},
        {"y": ("float32", ("n",)), "twice": ("int64", ("n",))},
    )
    ids = np.array([2, 0, 1, 1])
    table = np.array([1.5, 2.5, 3.5, 4.5], np.float32)
    mask = np.array([True, False, True, False])

    outputs = answer(
        loaded(start("tinygrad", io=io), three), {"self": ids, "mask": mask, "a/table:0": table}
    )

    np.testing.assert_array_equal(outputs["y"], np.where(mask, table[ids], table))
    np.testing.assert_array_equal(outputs["twice"], 2 * ids)
    assert outputs["twice"].dtype == np.int64


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_dimensions_without_a_name_scalars_shapes_and_no_rows_are_taken(
    start: Start, tmp_path: Path, io: str
) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Neg", ["x"], ["w"]),
        helper.make_node("Neg", ["s"], ["t"]),
    ]
    odd = small.program(
        tmp_path / "odd.onnx",
        nodes,
        {"x": ("float32", (None, 4)), "s": ("float32", ())},
        {"shape": ("int64", (2,)), "w": ("float32", (None, 4)), "t": ("float32", ())},
    )
    worker = loaded(start("tinygrad", io=io), odd)

    for rows in (3, 0):
        x = np.arange(4 * rows, dtype=np.float32).reshape(rows, 4)
        outputs = answer(worker, {"x": x, "s": np.array(2, np.float32)})

        assert outputs["shape"].tolist() == [rows, 4]
        np.testing.assert_array_equal(outputs["w"], -x)
        assert (outputs["t"].shape, float(outputs["t"])) == ((), -2)


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_feeds_of_one_shape_have_outputs_of_their_own(
    start: Start, tmp_path: Path, io: str
) -> None:
    """R10. An output that is an input among them: a JIT gives back the tensor that it recorded."""
    nodes = [helper.make_node("Identity", ["x"], ["same"]), helper.make_node("Neg", ["x"], ["y"])]
    spec = ("float32", ("n",))
    two = small.program(tmp_path / "two.onnx", nodes, {"x": spec}, {"same": spec, "y": spec})
    worker = loaded(start("tinygrad", io=io), two)
    feeds = {name: {"x": np.full(3, value, np.float32)} for name, value in (("a", 1), ("b", 2))}

    for name, feed in feeds.items():
        worker.bind(name, feed, {})
    for name in ("a", "b", "a"):
        worker.sample(name, 5, 1)

    for name, feed in feeds.items():
        outputs, _ = worker.answer(name, again=False)
        np.testing.assert_array_equal(outputs["same"], feed["x"])
        np.testing.assert_array_equal(outputs["y"], -feed["x"])


IDLE = """
    from dataclasses import replace
    from toolkit.runtimes.tinygrad import Tinygrad

    class Theirs(Tinygrad):
        name = "elsewhere"

        def load(self, program, provider, options):
            session = super().load(program, provider, options)
            bind = session.bind

            def bind_idle(feed):
                # Computes in the two warm calls and one more, and idles from then on.
                call, left = bind(feed), []

                def run():
                    if len(left) < 3:
                        left.append(call.run())
                    return left[-1]

                return replace(call, run=run)

            session.bind = bind_idle
            return session
"""


def test_an_output_buffer_that_no_call_wrote_is_seen(tmp_path: Path) -> None:
    """`forget` overwrites what the calls before left, of integers and floats alike."""
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Neg", ["k"], ["m"])]
    line, whole = ("float32", ("n",)), ("int64", ("n",))
    two = small.program(
        tmp_path / "two.onnx", nodes, {"x": line, "k": whole}, {"y": line, "m": whole}
    )
    entry = plugin.package(tmp_path / "site", IDLE)
    home = managed.home(listing.find("tinygrad"), "cpu")
    rooms = environments.lay(tmp_path / "rooms", [entry])
    spec = WorkerSpec(entry, home, "cpu", {"io": "bound"})

    with Worker(spec, rooms, patience=Patience()) as worker:
        loaded(worker, two)
        worker.bind("a", {"x": np.ones(2, np.float32), "k": np.ones(2, np.int64)}, {})
        computed, _ = worker.answer("a")
        worker.sample("a", 3)
        left, _ = worker.answer("a", again=False)

    assert (computed["y"].tolist(), computed["m"].tolist()) == ([-1, -1], [-1, -1])
    assert np.isnan(left["y"]).all()
    assert (left["m"] == np.iinfo(np.int64).max).all()


def test_a_softmax_of_an_old_opset_is_said_to_be_wrong(tmp_path: Path) -> None:
    """Before opset 13 it runs over all dimensions from its axis on; tinygrad takes one alone."""
    spec = ("float32", ("n", 3, 4))
    nodes = [helper.make_node("Softmax", ["x"], ["y"], axis=1)]
    old = small.program(tmp_path / "old.onnx", nodes, {"x": spec}, {"y": spec}, opset=11)
    assert old.model is not None

    (record,) = check(old.model, BenchRequest([parse("tinygrad")])).run.records

    assert record.verdict is not None
    assert not record.verdict.right


def test_sizes_that_do_not_go_together_are_refused_in_one_line_and_others_run(
    start: Start, tmp_path: Path
) -> None:
    spec = ("float32", ("n",))
    nodes = [helper.make_node("Add", ["a", "b"], ["y"])]
    sums = small.program(tmp_path / "sum.onnx", nodes, {"a": spec, "b": spec}, {"y": spec})
    worker = loaded(start("tinygrad"), sums)
    three, two = np.ones(3, np.float32), np.ones(2, np.float32)

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", {"a": three, "b": two}, {})

    assert caught.value.what.startswith("at the shape a (3,), b (2,): IndexError: shape mismatch")
    assert answer(worker, {"a": three, "b": three})["y"].tolist() == [2, 2, 2]


def test_what_depends_on_the_values_of_an_input_is_refused_in_one_line(
    start: Start, tmp_path: Path
) -> None:
    """A JIT would replay the answer of the first feed."""
    nonzero = small.program(
        tmp_path / "nonzero.onnx",
        [helper.make_node("NonZero", ["x"], ["y"])],
        {"x": ("float32", ("n",))},
        {"y": ("int64", (1, None))},
    )
    worker = loaded(start("tinygrad"), nonzero)

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", {"x": np.array([1, 0, 2], np.float32)}, {})

    assert caught.value.what.startswith("at the shape x (3,): JitError: cannot access tensor data")


def test_more_threads_than_one_are_refused(start: Start, tmp_path: Path) -> None:
    """It runs the pieces into which it cuts a loop for several threads one after the other."""
    with pytest.raises(TargetError) as caught:
        loaded(start("tinygrad"), small.mlp_program(small.mlp(tmp_path / "m.onnx"), threads=2))

    assert caught.value.what == "tinygrad runs on one thread, not on the 2 asked for"


def test_its_calls_use_one_thread(start: Start, program: Program) -> None:
    worker = loaded(start("tinygrad"), program)
    worker.bind("a", {"input": np.ones((7, 64), np.float32)}, {})
    before = busy(worker.pid)
    worker.sample("a", 100)
    after = busy(worker.pid)

    assert [thread for thread in after if after[thread] > before.get(thread, 0)] == [worker.pid]


def busy(pid: int) -> dict[int, int]:
    """The nanoseconds that each thread of a process has run."""
    tasks = Path(f"/proc/{pid}/task")
    return {int(t.name): int((t / "schedstat").read_text().split()[0]) for t in tasks.iterdir()}


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        (None, "tinygrad compiles with clang, which is not on the PATH"),
        ("no-such-clang", "tinygrad compiles with no-such-clang, which is not on the PATH"),
        ("false", "tinygrad cannot compile with false: "),
    ],
    ids=["none", "another that is missing", "no clang"],
)
def test_without_a_clang_it_says_how_to_get_one(
    start: Start,
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    compiler: str | None,
    reason: str,
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "false").symlink_to(needs.program("false"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CC", compiler or "")

    with pytest.raises(TargetError) as caught:
        loaded(start("tinygrad"), program)

    assert caught.value.what.startswith(reason)
    assert caught.value.cures[0].startswith("sudo apt install clang ")


def test_it_keeps_nothing_in_the_users_home(
    start: Start, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kernels of an earlier run would make its first calls faster than those of the one before."""
    cache = os.environ.get("TOOLKIT_CACHE") or str(Path.home() / ".cache" / "toolkit")
    worker_home = tmp_path / "home"
    worker_home.mkdir()
    monkeypatch.setenv("TOOLKIT_CACHE", cache)
    monkeypatch.setenv("HOME", str(worker_home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    answer(loaded(start("tinygrad"), program), {"input": np.ones((1, 64), np.float32)})

    assert [*worker_home.rglob("*")] == []
