"""The kinds of cases, and the process that tries those of one kind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.fuzz import outcomes, reading, serving
from benchmarks.fuzz.models import Models
from benchmarks.fuzz.outcomes import Cases
from benchmarks.fuzz.records import Records
from benchmarks.fuzz.replies import Replies
from benchmarks.fuzz.samples import Samples
from benchmarks.fuzz.serving import Server
from benchmarks.ledger import Line

KINDS: Mapping[str, Callable[[], Cases]] = {
    "models": Models,
    "records": Records,
    "samples": Samples,
    "replies": Replies,
}


def server(kind: str) -> Server:
    """A process that tries cases of a kind, given their seeds."""
    return Server(f"from benchmarks.fuzz.kinds import serve; serve({kind!r})")


def serve(kind: str) -> None:
    """Tries the cases whose seeds come on stdin, one a line."""
    reading.draw_once()
    cases = KINDS[kind]()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        # What a case makes toolkit look for beside it is not there.
        os.chdir(scratch)
        serving.serve(partial(tried, cases, Path(scratch)))


def tried(cases: Cases, scratch: Path, seed: str) -> Line:
    """Writes a case into a folder of its own and reads it there."""
    folder = scratch / seed
    folder.mkdir()
    source = cases.write(int(seed), folder)
    outcome, what = outcomes.of(partial(cases.read, folder))
    shutil.rmtree(folder)
    return {"seed": int(seed), "source": source, "outcome": outcome, "what": what[:300]}
