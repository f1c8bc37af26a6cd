"""Two small runs to be damaged: one that is finished, one that was interrupted."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.report import runs
from toolkit.records import store
from toolkit.records.parts import CasePart, GenerationPart, TargetPart
from toolkit.records.schema import Run, TargetRecord
from toolkit.tensors import Array

Files = Mapping[str, bytes]
"""The files of a run's folder, by their names in it."""


@cache
def finished() -> Files:
    """A run of six targets: right, coarse, wrong and missing ones."""
    run, samples = _run()
    return {store.RUN: store.encode(run), store.SAMPLES: packed(samples)}


@cache
def sweep() -> Files:
    """A run of three targets at two sizes."""
    run, samples = runs.make(runs.SWEEP, runs.Shape(starts=3, rounds=3, calls=3, batches=(1, 8)))
    return {store.RUN: store.encode(run), store.SAMPLES: packed(samples)}


@cache
def unfinished() -> Files:
    """The same before its end, with a file for each generation."""
    run, samples = _run()
    records = [
        TargetRecord(target=each.target, verdict=each.verdict, library=each.library, card=each.card)
        for each in run.records
    ]
    begun = msgspec.structs.replace(run, state="interrupted", records=records, generations=[])
    files = {store.RUN: store.encode(begun)}
    for place in range(len(run.generations)):
        part = _part(run, place)
        number = part.generation.number
        own = {key: each for key, each in samples.items() if key.endswith(f"/{number}")}
        files[generation(number)] = packed({store.PART: text(part), **own})
    return files


def generation(number: int) -> str:
    """The name of a generation's file in the folder of its run."""
    return f"{store.GENERATIONS}/{number:04d}.npz"


def put(files: Files, folder: Path) -> None:
    """Writes the files of a run."""
    for name, data in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def packed(arrays: Mapping[str, Array]) -> bytes:
    """The bytes of an .npz."""
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # The stubs take one keyword only.
    return out.getvalue()


def text(part: Any) -> Array:
    """A part of a generation as its file has it: JSON, as bytes."""
    data = part if isinstance(part, bytes) else msgspec.json.encode(part)
    return np.frombuffer(data, np.uint8)


def _run() -> tuple[Run, dict[str, Array]]:
    return runs.make(runs.MIXED, runs.Shape(starts=3, rounds=3, calls=4, warnings=(runs.EARLY,)))


def _part(run: Run, place: int) -> GenerationPart:
    """What one generation gave, taken out of the whole."""
    targets = []
    for record in run.records:
        if record.failure is not None:
            continue
        cases = [
            CasePart(
                case=timing.case,
                calls=timing.calls,
                discarded=timing.discarded,
                series=timing.series[place],
                into=timing.into[place] if timing.into else None,
                out=timing.out[place] if timing.out else None,
            )
            for timing in record.timings
        ]
        targets.append(
            TargetPart(
                target=record.target,
                cases=cases,
                empty=50.0,
                imported=record.cold.imported[place],
                loaded=record.cold.loaded[place],
                first_call=record.cold.first_call[place],
                idle=record.memory.idle[place],
                resident=record.memory.resident[place],
                peak=record.memory.peak[place],
            )
        )
    return GenerationPart(generation=run.generations[place], targets=targets, seconds=3.0)
