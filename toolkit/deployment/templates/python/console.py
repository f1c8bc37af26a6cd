"""The command line around a model: reads arrays, runs the model, prints what came out.

A model, here, is anything with `runtime` (a text), `inputs` and `outputs` (names, in order) and
`run`, which takes the input arrays in that order and returns the output arrays in theirs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
DataSet = tuple[str, list[Array], list[Array]]
"""A name, the inputs, and the outputs that are expected; empty where none are."""
HERE = Path(__file__).resolve().parent
SHOWN = 6
"""Elements of an array that are printed."""


class Model(Protocol):
    """The interface of the class `Model` in client.py."""

    runtime: str
    inputs: list[str]
    outputs: list[str]

    def run(self, arrays: Sequence[Array]) -> list[Array]: ...


class ShapeRefused(ValueError):
    """The form of the model that lies here cannot take arrays of this shape."""


def main(load: Callable[[Path, int], Model], file: str = "model.onnx") -> None:
    """Runs the test data beside this script, or the arrays that are named."""
    options = _options()
    model = load(HERE / "model" / file, options.threads)
    threads = "1 thread" if options.threads == 1 else f"{options.threads} threads"
    print(f"{file} on {model.runtime}, {threads}")
    for data_set in _given(model, options.arrays) if options.arrays else _test_data(model):
        _run(model, data_set, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs the model in this folder.")
    parser.add_argument(
        "arrays",
        nargs="*",
        type=Path,
        metavar="INPUT.npy",
        help="your own inputs, one file for each input of the model; default: the test data",
    )
    parser.add_argument("--output", type=Path, help="a folder for what comes out, as .npy files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--calls", type=int, default=100, help="calls whose time is taken")
    return parser.parse_args()


def _run(model: Model, data_set: DataSet, options: argparse.Namespace) -> None:
    """Runs the model on one set, prints arrays and times, and writes the outputs where asked."""
    name, arrays, expected = data_set
    try:
        outputs = model.run(arrays)
    except ShapeRefused as error:
        _refuse(name, error, options.output, own=bool(options.arrays))
        return
    except Exception as error:  # Every runtime has its own.
        sys.exit(f"error: the model does not take {name}: {error}")
    print(name)
    for label, array in zip([*model.inputs, *model.outputs], [*arrays, *outputs], strict=True):
        print(f"  {label}: {_shown(array)}")
    if expected:
        difference = _largest_difference(outputs, expected)
        print(f"  largest difference from the expected outputs: {difference:.2g}")
    print(f"  {_latency(model, arrays, options.calls)}")
    if options.output:
        folder = options.output / name
        folder.mkdir(parents=True, exist_ok=True)
        for index, array in enumerate(outputs):
            np.save(folder / f"output_{index}.npy", array)


def _refuse(name: str, error: ShapeRefused, output: Path | None, *, own: bool) -> None:
    """Ends the program at a user's own arrays; of test data the other sets are still run."""
    if own:
        sys.exit(f"error: the model does not take {name}: {error}")
    print(f"{name}\n  refused: {error}")
    if output:
        folder = output / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "refused.txt").write_text(str(error), "utf-8")


def _test_data(model: Model) -> Iterator[DataSet]:
    """Yields the test data beside this script."""
    folders = sorted(HERE.glob("test_data_set_*"), key=lambda f: int(f.name.rpartition("_")[2]))
    for folder in folders:
        inputs = [np.load(folder / f"input_{i}.npy") for i in range(len(model.inputs))]
        outputs = [np.load(folder / f"output_{i}.npy") for i in range(len(model.outputs))]
        yield folder.name, inputs, outputs


def _given(model: Model, files: list[Path]) -> Iterator[DataSet]:
    """Yields the user's own arrays, for which nothing is expected."""
    if len(files) != len(model.inputs):
        sys.exit(f"error: the model has {len(model.inputs)} inputs: {', '.join(model.inputs)}")
    try:
        arrays = [np.load(file, allow_pickle=False) for file in files]
    except (OSError, ValueError) as error:
        sys.exit(f"error: an input cannot be read: {error}")
    yield "your inputs", arrays, []


def _shown(array: Array) -> str:
    """Describes an array: 'float32 1×64  0, 0, 0.0625 …'."""
    shape = "×".join(map(str, array.shape)) or "scalar"
    values = ", ".join(f"{value:.4g}" for value in array.ravel()[:SHOWN].tolist())
    return f"{array.dtype} {shape}  {values}{' …' if array.size > SHOWN else ''}"


def _largest_difference(outputs: list[Array], expected: list[Array]) -> float:
    pairs = zip(outputs, expected, strict=True)
    return max(
        float(np.max(np.abs(a.astype(float) - b.astype(float)), initial=0)) for a, b in pairs
    )


def _latency(model: Model, arrays: Sequence[Array], calls: int) -> str:
    """Times calls. The median is shown, since a mean would also tell what else the machine did."""
    times = []
    for _ in range(max(1, calls)):
        start = time.perf_counter()
        model.run(arrays)
        times.append(time.perf_counter() - start)
    return f"{statistics.median(times) * 1e3:.4g} ms a call, the median of {len(times)}"
