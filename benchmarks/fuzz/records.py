"""Damages run.json, and the parts of a run that was interrupted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz import base, reading, values
from benchmarks.fuzz.outcomes import Outcome
from toolkit.records import store

RUN, SOUND = "run", "sound"
"""The folders of a case: the damaged run, and the one that it is compared with."""


class Records:
    """Runs whose records are damaged."""

    def write(self, seed: int, folder: Path) -> str:
        """Writes a run, and a sound one beside it; returns which part of it is damaged."""
        draw = Random(seed)
        files = dict(draw.choice((base.finished, base.sweep, base.unfinished))())
        times = draw.choice((1, 1, 2, 3))
        parts = [name for name in files if name.startswith(store.GENERATIONS)]
        name = draw.choice(parts) if parts and draw.random() < 0.6 else store.RUN
        if name == store.RUN:
            files[name] = values.encoded(values.changed(json.loads(files[name]), draw, times), draw)
        else:
            files[name] = self._damaged_part(files[name], draw, times)
        reading.may_draw(folder, draw)
        base.put(files, folder / RUN)
        base.put(base.finished(), folder / SOUND)
        return name

    def _damaged_part(self, data: bytes, draw: Random, times: int) -> bytes:
        arrays = dict(np.load(io.BytesIO(data)))
        raw = json.loads(arrays[store.PART].tobytes())
        arrays[store.PART] = base.text(values.encoded(values.changed(raw, draw, times), draw))
        return base.packed(arrays)

    def read(self, folder: Path) -> Outcome:
        """Reads it with all that reads a run."""
        return reading.read(folder / RUN, folder / SOUND)
