"""Reads the task that a caller asked for, runs it, and writes its result or its error."""

from __future__ import annotations

from pathlib import Path

import msgspec

from toolkit.api import crossing, senterror, tasks

ASKED, TOLD, RESULT, ERROR = "asked", "told.jsonl", "result", "error"
"""The files in the folder of a call: the task, what was told while it ran, a line each, and what
came of it."""


def work(folder: Path) -> None:
    """Runs the task in a folder to its end. An error of the task is written, and not raised."""
    task: tasks.AnyTask = crossing.read(folder / ASKED, tasks.AnyTask)  # type: ignore[arg-type]
    with open(folder / TOLD, "ab", buffering=0) as told:

        def watch(*event: object) -> None:
            told.write(msgspec.json.encode(event) + b"\n")

        try:
            crossing.write(folder / RESULT, task.run(watch))
        except BaseException as error:  # noqa: BLE001 - the caller raises it, whatever it is.
            crossing.write(folder / ERROR, senterror.of(error))
