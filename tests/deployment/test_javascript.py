"""npy.js reads what numpy writes, and numpy reads what it writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests import needs
from toolkit.deployment.base import TEMPLATES
from toolkit.tensors import Array

pytestmark = pytest.mark.process

COPY = """
import { readFileSync, writeFileSync } from "node:fs";
import { format, numbers, parse } from "%s";
const [from, to] = process.argv.slice(2);
const bytes = readFileSync(from);
const array = parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
writeFileSync(to, format(array));
console.log(JSON.stringify(numbers(array).map(String)));
"""

ARRAYS: dict[str, Array] = {
    "float32": np.array([[1.5, -0.0, np.inf]], np.float32),
    "float16": np.array([0.1, 65504, 6e-8, -2, np.nan], np.float16),
    "float64": np.array(np.pi),
    "int64": np.array([2**62, -1]),
    "uint8": np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float32),
}


def copied(folder: Path, array: Array) -> tuple[subprocess.CompletedProcess[str], Path]:
    program = folder / "copy.mjs"
    program.write_text(COPY % (TEMPLATES / "javascript" / "npy.js").as_uri())
    np.save(folder / "in.npy", array)
    command = [needs.program("node"), str(program), str(folder / "in.npy"), str(folder / "out.npy")]
    done = subprocess.run(["env", "NODE_NO_WARNINGS=1", *command], capture_output=True, text=True)
    return done, folder / "out.npy"


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_goes_there_and_back(name: str, tmp_path: Path) -> None:
    done, out = copied(tmp_path, ARRAYS[name])

    assert done.returncode == 0, done.stderr
    copy = np.load(out)
    assert (copy.dtype, copy.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
    assert copy.tobytes() == ARRAYS[name].tobytes()


def test_halves_are_shown_as_numbers(tmp_path: Path) -> None:
    done, _ = copied(tmp_path, ARRAYS["float16"])

    shown = [float(text) for text in json.loads(done.stdout)]
    assert np.array_equal(shown, ARRAYS["float16"].astype(float), equal_nan=True)


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros(2, np.complex64), "arrays of the type <c8 are not read"),
        (np.zeros((2, 3), order="F"), "not row-major"),
        (np.zeros(2, ">f4"), "arrays of the type >f4 are not read"),
    ],
    ids=["complex", "by columns", "big-endian"],
)
def test_another_array_is_refused(array: Array, error: str, tmp_path: Path) -> None:
    done, _ = copied(tmp_path, array)

    assert done.returncode == 1
    assert error in done.stderr
