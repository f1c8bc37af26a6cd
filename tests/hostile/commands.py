"""Commands of toolkit, many in one process: its libraries are imported once for all.

What bounds a command in time is another process (toolkit/supervision); here nothing does, but for
the patience of whoever asks. Memory is limited as it is there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz import serving
from benchmarks.fuzz.serving import Server
from benchmarks.ledger import Line
from tests.command import Ended
from toolkit.units import Seconds

PROGRAM = "from tests.hostile.commands import serve; serve()"
PATIENCE: Seconds = 120.0
"""Time that a command gets: what hangs takes longer on a machine that is busy, too."""


@dataclass
class Commands:
    """The process that runs the commands."""

    server: Server

    def run(self, *words: str, cwd: Path) -> Ended:
        """Runs `toolkit` to its end; one that hangs, or that a signal ends, has the code -1."""
        line = self.server.ask(json.dumps({"folder": str(cwd), "words": words}))
        if "outcome" in line:
            return Ended(-1, "", f"{line['outcome']}: {line['what']}")
        return Ended(line["code"], line["out"], line["err"])


@contextlib.contextmanager
def commands() -> Iterator[Commands]:
    """The process, for as long as the block lasts."""
    server = Server(PROGRAM, PATIENCE)
    try:
        yield Commands(server)
    finally:
        server.stop()


def serve() -> None:
    """Runs the commands that come on stdin."""
    from toolkit import cli

    cli.SUPERVISED.clear()  # This process does the work itself.
    serving.serve(_answer)


def _answer(request: str) -> Line:
    asked = json.loads(request)
    os.chdir(asked["folder"])
    path = [*sys.path]
    sys.argv = ["toolkit", *asked["words"]]
    # As strict as a pipe is: a letter that cannot be encoded is an error.
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", how) for how in ("strict", "backslashreplace")
    )
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _ran()
    sys.path[:] = path
    sys.modules.pop("net", None)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return {"code": code, "out": texts[0], "err": texts[1]}


def _ran() -> object:
    from toolkit import cli

    try:
        cli.main()
    except SystemExit as ended:
        return ended.code
    except BaseException:  # noqa: BLE001 - the last handler of `main` let it through.
        traceback.print_exc()
    return -2
