"""Damages the tests of the onnx package by seed, and sees what toolkit makes of them.

    python -m benchmarks.fuzz --cases 5000
    python -m benchmarks.fuzz --table

Each case is one test with one to three mutations: cut or flipped bytes, another type, a missing
attribute, a wrong shape, a doubled name, an input that is gone … It is read, drawn for, evaluated,
simulated and judged as `toolkit check` does, on the reference evaluator. Right is that it is
judged, or refused in one line. A process serves many cases, with a limit on its memory, and is
replaced after a crash or a time-out; the ledger goes on where it stopped. A case is made from its
seed alone: `--show SEED` writes its file.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import onnx
from onnx import AttributeProto, ModelProto, TensorProto

from benchmarks import ledger
from benchmarks.ledger import Ledger, Line
from toolkit.answers import simulate
from toolkit.engine import assignment as assignments
from toolkit.engine.assignment import FeedRequest
from toolkit.errors import ToolkitError, typed_line
from toolkit.feeds import elements
from toolkit.operatortests import cases
from toolkit.supervision import limits

MEMORY = 3 * 1024**3
"""Bytes that the serving process may hold."""
PATIENCE = 20.0
"""Seconds that a case gets: a command gives one node 60."""
GOOD = ("judged", "refused", "memory")
BUILD = Path("build/fuzz.jsonl")
"""The ledger: a line a case is too much for the repository."""
SUMMARY = ledger.RESULTS / "fuzz.json"
SIZES = (-1, 0, 1, 7, 2**31, 2**40)
Mutation = Callable[[ModelProto, random.Random], None]


def _retype_value(model: ModelProto, draw: random.Random) -> None:
    value = draw.choice([*model.graph.input, *model.graph.output])
    value.type.tensor_type.elem_type = draw.randrange(0, 26)


def _reshape_value(model: ModelProto, draw: random.Random) -> None:
    value = draw.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims and draw.random() < 0.7:
        draw.choice(dims).dim_value = draw.choice(SIZES)
    else:
        dims.add().dim_param = draw.choice(("n", "", "2*n", "n/0", "9**9"))


def _drop_attribute(model: ModelProto, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    if node.attribute:
        del node.attribute[draw.randrange(len(node.attribute))]


def _change_attribute(model: ModelProto, draw: random.Random) -> None:
    attributes = [each for node in model.graph.node for each in node.attribute]
    if not attributes:
        return
    attribute = draw.choice(attributes)
    if attribute.type == AttributeProto.INT:
        attribute.i = draw.choice((-(2**63), -1, 0, 99, 2**40))
    elif attribute.type == AttributeProto.INTS and attribute.ints:
        attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(SIZES)
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = draw.choice((float("nan"), float("inf"), -1.0, 0.0))
    elif attribute.type == AttributeProto.STRING:
        attribute.s = draw.choice((b"", b"\xff", b"nonsense", b"a" * 10_000))
    else:
        attribute.type = draw.choice(range(1, 14))


def _double_name(model: ModelProto, draw: random.Random) -> None:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = draw.choice(model.graph.node)
    if node.output:
        node.output[draw.randrange(len(node.output))] = draw.choice(names)


def _rewire(model: ModelProto, draw: random.Random) -> None:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    node = draw.choice(model.graph.node)
    if node.input:
        node.input[draw.randrange(len(node.input))] = draw.choice([*names, "", "nobody"])


def _drop_input(model: ModelProto, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    if node.input:
        del node.input[draw.randrange(len(node.input))]


def _drop_value(model: ModelProto, draw: random.Random) -> None:
    values = draw.choice((model.graph.input, model.graph.output, model.graph.node))
    if values:
        del values[draw.randrange(len(values))]


def _store_tensor(model: ModelProto, draw: random.Random) -> None:
    """Makes an input a constant, whose bytes may not be those of its shape."""
    value = draw.choice(model.graph.input)
    dims = [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
    length = draw.choice((0, 1, 4, 64))
    tensor = TensorProto(name=value.name, dims=dims, raw_data=draw.randbytes(length))
    tensor.data_type = draw.randrange(0, 26)
    model.graph.initializer.append(tensor)


def _other_operator(model: ModelProto, draw: random.Random) -> None:
    node = draw.choice(model.graph.node)
    node.op_type = draw.choice(("Relu", "Conv", "Loop", "If", "Scan", "Resize", "NoSuch", ""))
    node.domain = draw.choice((node.domain, "com.microsoft", "ai.onnx.ml", "somebody"))


def _other_opset(model: ModelProto, draw: random.Random) -> None:
    draw.choice(model.opset_import).version = draw.choice((-1, 0, 1, 7, 13, 26, 2**31))


MUTATIONS: tuple[Mutation, ...] = (
    _retype_value, _reshape_value, _drop_attribute, _change_attribute, _double_name, _rewire,
    _drop_input, _drop_value, _store_tensor, _other_operator, _other_opset,
)  # fmt: skip


def damaged(every: Sequence[cases.OperatorTest], seed: int) -> tuple[str, bytes]:
    """The name of a test and the bytes of its damaged model."""
    draw = random.Random(seed)
    test = draw.choice(every)
    model = ModelProto()
    model.CopyFrom(test.model)
    for _ in range(draw.randrange(1, 4)):
        if model.graph.node and model.graph.input and model.graph.output and model.opset_import:
            draw.choice(MUTATIONS)(model, draw)
    content = bytearray(model.SerializeToString())
    if draw.random() < 0.03:
        del content[draw.randrange(len(content)) :]
    for _ in range(draw.choice((0, 0, 0, 0, 0, 0, 0, 0, 1, 4))):
        if content:
            content[draw.randrange(len(content))] = draw.randrange(256)
    return test.name, bytes(content)


def judged(path: Path, work: Path) -> tuple[str, str]:
    """What toolkit makes of a file: the outcome, and its words."""
    try:
        asked = assignments.ask(path, FeedRequest(), work, simulate.reference_runner)
        types = {spec.name: spec.type for spec in asked.file.outputs}
        answers = [
            {name: elements.as_type(array, types[name]) for name, array in each.items()}
            for each in asked.judge.oracle
        ]
        verdict = asked.judge.verdict(answers)
    except ToolkitError as error:
        is_one_line = "\n" not in error.what and bool(error.what)
        return ("refused" if is_one_line else "bug"), error.what
    except MemoryError as error:
        return "memory", str(error)
    except Exception as error:  # noqa: BLE001 - every other one is what is looked for.
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        at = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
        return "bug", f"{at} {typed_line(error)}"
    return "judged", verdict.text


def serve() -> None:
    """Judges the cases whose seeds come on stdin, one a line, and answers each with a line."""
    limits.apply(MEMORY)
    # Libraries print to stdout: the answers have another way.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    every = cases.cases()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        answers.write(json.dumps({"ready": True}) + "\n")
        for line in sys.stdin:
            seed = int(line)
            name, content = damaged(every, seed)
            folder = Path(scratch) / str(seed)
            folder.mkdir()
            path = folder / "m.onnx"
            path.write_bytes(content)
            outcome, what = judged(path, folder)
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
            answer = {"seed": seed, "test": name, "outcome": outcome, "what": what[:300]}
            answers.write(json.dumps(answer) + "\n")


class Server:
    """A process that judges cases, replaced when it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, seed: int) -> Line:
        """The outcome of one case; what ends the process is one, too."""
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(f"{seed}\n")
            process.stdin.flush()
            answer = self._line(PATIENCE)
        except BrokenPipeError:  # It died between two cases.
            answer = ""
        if answer is None:
            self.stop()
            return {"seed": seed, "outcome": "hang", "what": f"no answer in {PATIENCE:g} s"}
        if not answer:
            code = process.wait()
            self.stop()
            return {"seed": seed, "outcome": "crash", "what": f"exit code {code}"}
        line: Line = json.loads(answer)
        return line

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-c",
                    "from benchmarks.fuzz import serve; serve()",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            if not self._line(300.0):
                raise SystemExit("the serving process does not start")
        return self._process

    def _line(self, seconds: float) -> str | None:
        """The next line; empty where the process ended, None where none came in time."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else None

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(BrokenPipeError):  # What it was asked last is lost.
                self._process.communicate()
        self._process = None


def summary(lines: Sequence[Line]) -> Line:
    """The counts of the outcomes, and each one that is not good."""
    return {
        **ledger.stamp(),
        "onnx": onnx.__version__,
        "first": lines[0]["seed"],
        "last": lines[-1]["seed"],
        "outcomes": dict(Counter(line["outcome"] for line in lines)),
        "bad": [line for line in lines if line["outcome"] not in GOOD],
    }


def table(lines: Sequence[Line]) -> str:
    """The outcomes so far, and each one that is not good."""
    counts = Counter(line["outcome"] for line in lines)
    rows = [f"{len(lines):,} cases: {', '.join(f'{n:,} {kind}' for kind, n in counts.items())}"]
    rows += [
        f"{line['seed']:>8} {line['outcome']:<6} {line['what']}"
        for line in lines
        if line["outcome"] not in GOOD
    ]
    return "\n".join(rows)


@click.command()
@click.option("--cases", "count", type=click.IntRange(min=1), default=5000, show_default=True)
@click.option("--first", type=click.IntRange(min=0), default=0, help="The first seed.")
@click.option("--minutes", type=float, help="Stop after so long.")
@click.option("--again", is_flag=True, help="Run those that were not good once more.")
@click.option("--show", type=int, metavar="SEED", help="Write the file of one case and stop.")
@click.option("--table", "shows", is_flag=True, help="Print what there is so far.")
@click.option("--keep", is_flag=True, help="Keep the counts in results/fuzz.json.")
@click.option("--ledger", "path", type=click.Path(path_type=Path), default=BUILD, show_default=True)
def main(
    count: int,
    first: int,
    minutes: float | None,
    again: bool,
    show: int | None,
    shows: bool,
    keep: bool,
    path: Path,
) -> None:
    """Judges damaged models, as many as are missing in the ledger."""
    results = Ledger(path)
    if show is not None:
        Path(f"fuzz-{show}.onnx").write_bytes(damaged(cases.cases(), show)[1])
        return
    newest = {line["seed"]: line for line in results.lines()}
    wanted = [seed for seed in range(first, first + count) if seed not in newest]
    if again:
        wanted = [seed for seed, line in newest.items() if line["outcome"] not in GOOD]
    began, server, commit = time.monotonic(), Server(), ledger.commit()
    try:
        for seed in () if shows else wanted:
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                break
            line = {**server.ask(seed), "onnx": onnx.__version__, "commit": commit}
            newest[seed] = line
            results.append(line)
    finally:
        server.stop()
    lines = [newest[seed] for seed in sorted(newest)]
    click.echo(table(lines))
    if keep:
        SUMMARY.write_text(json.dumps(summary(lines), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
