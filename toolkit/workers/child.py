"""The program of a worker: one process, one session of one target.

The parent starts it with the Python of the target's environment, over a copy of the part of toolkit
that it needs. It imports only the standard library, numpy and that part, until the runtime's own
library is asked for.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolkit import tensors
from toolkit.errors import (
    ShapeRefused,
    TargetError,
    ToolkitError,
    demand_room,
    full_disk,
    typed_line,
)
from toolkit.runtimes import base, listing
from toolkit.sources.source import Source
from toolkit.tensors import Feed, TensorSpec
from toolkit.workers import protocol
from toolkit.workers.protocol import Message

PR_SET_PDEATHSIG = 1
"""The number of prctl's request in <linux/prctl.h>."""


def main(read: int, write: int, parent: int) -> None:
    """Answers requests until the pipe closes."""
    die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # A runtime's crash leaves no file behind.
    # What the runtime's library prints is no message: the pipes are not handed down.
    os.set_inheritable(read, False)
    os.set_inheritable(write, False)
    reader, worker = protocol.Reader(read), WorkerLoop()
    while True:
        try:
            request = reader.receive()
        except protocol.Closed:
            return
        reply = worker.reply(request)
        try:
            protocol.send(write, {**reply, "number": request["number"]})
        except protocol.Closed:
            return
        if request["verb"] == "close":
            # Some libraries crash or hang while they are torn down: that is not measured.
            os._exit(0)


def die_with(parent: int) -> None:
    """Ends this process when its parent ends, even by SIGKILL."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It was gone before the line above.
        os._exit(1)


class WorkerLoop:
    """Answers the verbs of the protocol, for one runtime and the program that it loaded last."""

    def __init__(self) -> None:
        self._runtime: base.Runtime
        self._session: base.Session
        self._program: base.Program
        self._calls: dict[str, base.Call] = {}
        self._left: dict[str, Any] = {}
        self._verbs: dict[str, Callable[[Message], Message]] = {
            "hello": self.hello,
            "convert": self.convert,
            "load": self.load,
            "bind": self.bind,
            "answer": self.answer,
            "sample": self.sample,
            "copies": self.copies,
            "inputs": self.inputs,
            "usage": self.usage,
            "close": self.close,
        }

    def reply(self, request: Message) -> Message:
        """The reply to one request; an error of the library is a reply too."""
        try:
            return self._verbs[request["verb"]](request)
        except ToolkitError as raised:
            error = full_disk(raised) or raised
            return {"error": error.what, "cures": list(error.cures), "kind": protocol.kind(error)}
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - foreign code: Rust's panics are BaseException.
            traceback.print_exc()
            if (full := full_disk(error)) is not None:
                return {"error": full.what, "cures": list(full.cures), "kind": None}
            return {"error": typed_line(error), "cures": [], "kind": "library"}

    def hello(self, request: Message) -> Message:
        """Imports the library and gives its version, its file and the runtime's facts."""
        self._runtime = listing.load(request["module"], request["attribute"])
        options = base.settings(type(self._runtime), request["options"])
        os.environ.update(self._runtime.environment_for(options))  # R7
        started = time.perf_counter()
        version = self._version()
        seconds = time.perf_counter() - started
        library = self._runtime.library()
        return {
            "version": version,
            "file": None if library is None else str(library),
            "python": ".".join(map(str, sys.version_info[:3])),
            "seconds": seconds,
            "precision": self._runtime.precision(options),
            "providers": base.provider_names(type(self._runtime)),
            "starts_from": self._runtime.starts_from,
            "empty": empty_interval(),
            "converts": self._runtime.converts(options),
        }

    def _version(self) -> str:
        """Imports the library. Raises TargetError, with its cure, for one that is not there."""
        try:
            return self._runtime.version()
        except ModuleNotFoundError as error:
            if error.name != self._runtime.module:
                raise
            package = next(iter(self._runtime.distributions), self._runtime.module)
            raise TargetError(
                f"{self._runtime.name} is not installed in this environment",
                f"python -m pip install {package}    installs it there",
                f"--target '{self._runtime.name},env=FOLDER'    runs it from another environment",
            ) from None

    def convert(self, request: Message) -> Message:
        """Makes the runtime's own form of the model."""
        program, feed = program_of(request["program"]), tensors.load(request["tensors"])
        base.check_feed(program, feed)
        options = base.settings(type(self._runtime), request["options"])
        started = time.perf_counter()
        self._runtime.convert(program, feed, options, Path(request["folder"]))
        return {"seconds": time.perf_counter() - started}

    def load(self, request: Message) -> Message:
        """Loads the program; the time is that of the runtime's own load."""
        base.check_provider(type(self._runtime), request["provider"])
        self._program = program_of(request["program"])
        self._forget()
        options = base.settings(type(self._runtime), request["options"])
        started = time.perf_counter()
        self._session = self._runtime.load(self._program, request["provider"], options)
        seconds = time.perf_counter() - started
        placement = self._session.placement()
        return {
            "seconds": seconds,
            "copies": self._session.copies(),
            "placement": {
                "nodes": dict(placement.nodes),
                "elsewhere": {name: list(ops) for name, ops in placement.elsewhere.items()},
                "copies": placement.copies,
            },
        }

    def _forget(self) -> None:
        """Lets go of an earlier program before the next one takes memory beside it."""
        self._left.clear()
        self._calls.clear()
        self.__dict__.pop("_session", None)

    def bind(self, request: Message) -> Message:
        """Makes the call for one feed."""
        feed = tensors.load(request["tensors"])
        base.check_feed(self._program, feed)
        call = self._session.bind(feed)
        self._warm(call, feed)
        self._calls[request["feed"]] = call
        # Frozen objects are not looked at: a collection between blocks costs little, and the same.
        gc.collect()
        gc.freeze()
        return {}

    def _warm(self, call: base.Call, feed: Feed) -> None:
        """Makes the calls in which a library compiles, and reads what they leave.

        Raises ShapeRefused for what they raise (R9).
        """
        try:
            for _ in range(self._runtime.warm_calls):
                call.outputs(call.run())
        except ToolkitError:
            raise
        except Exception as error:  # The library's own, of any kind.
            traceback.print_exc()  # To the worker's log.
            demand_room(error)
            shapes = base.shapes_of(feed)
            raise ShapeRefused(f"at the shape {shapes}: {typed_line(error)}") from error

    def answer(self, request: Message) -> Message:
        """Writes the outputs of one call, or of the last timed one."""
        call = self._calls[request["feed"]]
        seconds = 0.0
        if request["again"]:
            call.forget()
            started = time.perf_counter()
            self._left[request["feed"]] = call.run()
            seconds = time.perf_counter() - started
        left = self._left[request["feed"]]
        outputs = {name: np.asarray(array) for name, array in call.outputs(left).items()}
        rows = tensors.save(Path(request["folder"]), outputs, self._session.output_types())
        return {"tensors": rows, "seconds": seconds}

    def sample(self, request: Message) -> Message:
        """A block of timed calls. Only the call stands between the two readings of the clock."""
        call = self._calls[request["feed"]]
        calls = request["calls"] + request["discard"]
        times = [0] * calls
        run, clock, left = call.run, call.clock, None
        call.forget()
        gc.disable()
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        start = time.perf_counter_ns()
        for i in range(calls):
            before = clock()
            result = run()
            times[i] = clock() - before
            left = result  # Frees the outputs of the call before: not within the interval.
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - switches
        gc.enable()
        self._left[request["feed"]] = left
        return {"ns": times[request["discard"] :], "start": start, "switches": switches}

    def copies(self, request: Message) -> Message:
        """Times the copies inside the timed call, made alone."""
        moves = self._calls[request["feed"]].moves
        made = moves() if callable(moves) else moves
        if made is None:
            return {"into": None, "out": None}
        return {
            "into": median_ns(made.into, request["calls"]),
            "out": median_ns(made.out, request["calls"]),
        }

    def inputs(self, request: Message) -> Message:
        """Names the inputs that are no longer what they were when the call was made."""
        return {"changed": list(self._calls[request["feed"]].changed())}

    def usage(self, request: Message) -> Message:
        """Memory of this process."""
        return {"resident": status("VmRSS"), "peak": status("VmHWM")}

    def close(self, request: Message) -> Message:
        """Frees the session."""
        self._left.clear()
        self._calls.clear()
        if hasattr(self, "_session"):
            self._session.close()
        return {}


def program_of(message: Message) -> base.Program:
    """The program of a message (jobs.message writes it)."""
    source = message["source"]
    return base.Program(
        model=None if message["model"] is None else Path(message["model"]),
        inputs=tuple(spec_of(row) for row in message["inputs"]),
        outputs=tuple(spec_of(row) for row in message["outputs"]),
        threads=message["threads"],
        converted=None if message["converted"] is None else Path(message["converted"]),
        optimised=None if message["optimised"] is None else Path(message["optimised"]),
        external={location: Path(file) for location, file in message["external"].items()},
        source=None
        if source is None
        else Source(
            source["factory"],
            None if source["weights"] is None else Path(source["weights"]),
            None if source["folder"] is None else Path(source["folder"]),
            source["arguments"],
        ),
    )


def spec_of(row: Message) -> TensorSpec:
    """One input or output of a message."""
    return TensorSpec(
        row["name"], row["type"], None if row["shape"] is None else tuple(row["shape"])
    )


def empty_interval() -> float:
    """Nanoseconds between two readings of the clock with nothing between: the median of 1,001."""
    clock = time.perf_counter_ns
    times = []
    for _ in range(1001):
        before = clock()
        times.append(clock() - before)
    return float(sorted(times)[500])


def median_ns(step: Callable[[], Any] | None, calls: int) -> float:
    """Nanoseconds of a step, the median of so many calls; 0 where there is no step."""
    if step is None:
        return 0.0
    times = []
    for _ in range(calls):
        before = time.perf_counter_ns()
        step()
        times.append(time.perf_counter_ns() - before)
    return float(np.median(times))


def status(field: str) -> int:
    """A field of /proc/self/status in bytes; 0 where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    row = next((line for line in lines if line.startswith(field)), f"{field}: 0 kB")
    return int(row.split()[1]) * 1024
