"""Starts a worker and talks to it.

The parent waits by blocking, with a timeout: one that waits in a loop takes CPU time from what it
measures. A worker that dies, hangs or talks nonsense raises WorkerDied with the signal's name and
its last words, and its whole process group is ended. An error of the runtime itself raises
TargetError, and the worker goes on.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from toolkit import tensors
from toolkit.errors import TargetError, WorkerDied, signal_name
from toolkit.runtimes.base import Placement, Program
from toolkit.tensors import Array, Feed
from toolkit.units import Bytes, Seconds
from toolkit.workers import environments, protocol
from toolkit.workers.guard import ProcessGuard
from toolkit.workers.jobs import Block, Hello, Loaded, Patience, WorkerSpec, message
from toolkit.workers.protocol import Message

LAST_WORDS = 5
"""Lines of a dead worker's log that are kept: enough for an exception and its cause."""

WIDEST = 300
"""Characters of each of these lines: a record is read by people."""


LONGEST = 2**63
"""Nanoseconds, 292 years: int64, in which samples are kept, ends here."""


class Worker:
    """A process that holds one session of one target. Use it as a context manager.

    Every verb may raise TargetError, or its child WorkerDied when the worker is gone.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        worker_code: Path,
        *,
        patience: Patience,
        padding: int = 0,
        keeps_limit: bool = False,
    ) -> None:
        """Starts the process. `padding` bytes are added to its environment; with `keeps_limit` it
        has the memory limit of this process, where there is one."""
        self.spec = spec
        self._patience = patience
        self.work = worker_code.parent
        """The scratch space of its run, which the workers of a run share."""
        self._folder = worker_code.parent / f"worker-{random.getrandbits(48):012x}"
        self._folder.mkdir()
        self._log = self._folder / "log"
        self._files = 0
        self._verb = "start"
        self._is_idle = True
        self._deadline = 0.0
        # Pipes of their own: a library may write to stdout whatever it likes.
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        ends = [str(theirs_read), str(theirs_write), str(os.getpid())]
        try:
            with open(self._log, "wb") as log:
                self._process = subprocess.Popen(
                    [*spec.environment.command(worker_code, spec.entry), *ends],
                    env=environments.variables(padding),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(theirs_read, theirs_write),
                    start_new_session=True,  # ^C reaches the parent only, which ends in order.
                )
        except OSError as error:
            os.close(ours_read)
            os.close(ours_write)
            raise TargetError(f"its Python does not start: {error.strerror}") from error
        finally:
            os.close(theirs_read)
            os.close(theirs_write)
        if not keeps_limit:
            _lift_memory_limit(self._process.pid)
        self._guard = ProcessGuard(self._process.pid)
        self._write = ours_write
        self._read = ours_read
        self._reader = protocol.Reader(ours_read)

    @property
    def pid(self) -> int:
        """The id of the worker's process."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # The verbs. `post_…` sends a request, so that several workers do slow things side by side.

    def post_hello(self) -> None:
        """Asks the worker to import its library."""
        entry = self.spec.entry
        self._post(
            "hello",
            runtime=entry.name,
            module=entry.module,
            attribute=entry.attribute,
            provider=self.spec.provider,
            options=dict(self.spec.options),
        )

    def hello(self) -> Hello:
        """The answer to `post_hello`. Raises TargetError for a library of another environment."""
        reply = self._wait()
        with self._understood():
            hello = Hello(
                version=str(reply["version"]),
                file=None if reply["file"] is None else Path(reply["file"]),
                python=str(reply["python"]),
                seconds=float(reply["seconds"]),
                precision=str(reply["precision"]),
                providers=tuple(reply["providers"]),
                starts_from=str(reply["starts_from"]),
                empty=float(reply["empty"]),
                converts=bool(reply["converts"]),
            )
        name, environment = self.spec.entry.name, self.spec.environment
        if hello.file is not None and not environment.owns(hello.file):
            raise self._failed(
                TargetError(
                    f"{name} was imported from {hello.file}, which is no folder of "
                    f"its environment {environment.name}"
                )
            )
        if not hello.version:
            raise self._failed(TargetError(f"{name} does not say its version"))
        return hello

    def convert(
        self, program: Program, feed: Feed, types: Mapping[str, str], folder: Path
    ) -> Seconds:
        """Fills `folder` with the runtime's own form of the program; returns the time it took."""
        given = self._new_folder()
        rows = tensors.save(given, feed, types)
        self._post(
            "convert",
            program=message(program),
            options=dict(self.spec.options),
            tensors=rows,
            folder=str(folder),
        )
        reply = self._wait()
        shutil.rmtree(given, ignore_errors=True)
        with self._understood():
            return float(reply["seconds"])

    def post_load(self, program: Program, provider: str | None = None) -> None:
        """Asks the worker to load the program, on the provider of its spec or on another."""
        self._post(
            "load",
            program=message(program),
            provider=provider or self.spec.provider,
            options=dict(self.spec.options),
        )

    def load_program(self, program: Program, provider: str | None = None) -> Loaded:
        """Loads the program, in place of an earlier one, and waits for it."""
        self.post_load(program, provider)
        return self.load()

    def load(self) -> Loaded:
        """The answer to `post_load`."""
        reply = self._wait()
        with self._understood():
            placed = reply["placement"]
            placement = Placement(
                {str(name): int(count) for name, count in placed["nodes"].items()},
                {name: tuple(ops) for name, ops in placed["elsewhere"].items()},
                None if placed["copies"] is None else int(placed["copies"]),
            )
            computes = frozenset(int(pid) for pid in reply.get("computes", []))
            return Loaded(float(reply["seconds"]), placement, str(reply["copies"]), computes)

    def evaluate(self, name: str, feed: Feed, types: Mapping[str, str]) -> dict[str, Array]:
        """Hands a feed over and returns its outputs by name."""
        self.bind(name, feed, types)
        outputs, _ = self.answer(name)
        return outputs

    def bind(self, name: str, feed: Feed, types: Mapping[str, str]) -> None:
        """Hands a feed over and makes its call. `types`: input → its ONNX type, where that of the
        array does not tell it (bfloat16 travels as uint16)."""
        given = self._new_folder()
        rows = tensors.save(given, feed, types)
        self._post("bind", feed=name, tensors=rows)
        self._wait()
        shutil.rmtree(given, ignore_errors=True)  # The worker has read them.

    def answer(self, name: str, *, again: bool = True) -> tuple[dict[str, Array], Seconds]:
        """The outputs of the timed call itself, run once more or as it left them, and the seconds
        of that call."""
        given = self._new_folder()
        self._post("answer", feed=name, again=again, folder=str(given))
        reply = self._wait()
        try:
            outputs = tensors.load(reply["tensors"])
            # A run makes thousands of answers: none stays on the disk once it was read.
            shutil.rmtree(given, ignore_errors=True)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            self._die(f"its outputs cannot be read: {error}")
        with self._understood():
            return outputs, float(reply["seconds"])

    def sample(self, name: str, calls: int, discard: int = 0) -> Block:
        """Times a block of `calls` calls, after `discard` that do not count."""
        self._post("sample", feed=name, calls=calls, discard=discard)
        reply = self._wait()
        with self._understood():
            block = Block([*reply["ns"]], int(reply["start"]), int(reply["switches"]))
        # A time beyond int64 would make an array of objects, which nobody may read again.
        numbers = (*block.ns, block.start, block.switches)
        if len(block.ns) != calls or not all(
            isinstance(each, int) and 0 <= each < LONGEST for each in numbers
        ):
            self._die("its times are not what was asked for")
        return block

    def copies(self, name: str, calls: int) -> tuple[float, float] | None:
        """Nanoseconds of the copies in and out that a timed call holds, each the median of `calls`;
        None where the runtime cannot make them alone."""
        self._post("copies", feed=name, calls=calls)
        reply = self._wait()
        with self._understood():
            into, out = reply["into"], reply["out"]
            return None if into is None or out is None else (float(into), float(out))

    def changed(self, name: str) -> list[str]:
        """The inputs that the calls of this feed wrote into."""
        self._post("inputs", feed=name)
        reply = self._wait()
        with self._understood():
            return [str(name) for name in reply["changed"]]

    def usage(self) -> tuple[Bytes, Bytes]:
        """The resident and the peak size of the worker's memory."""
        self._post("usage")
        reply = self._wait()
        with self._understood():
            return int(reply["resident"]), int(reply["peak"])

    def stop(self, grace: Seconds = 5.0) -> None:
        """Ends the worker and all that it started; twice does no harm.

        One that is at a verb hears no `close` before it is done, and after ^C nobody waits for a
        session to be freed: then it is ended by force at once.
        """
        is_idle = self._is_idle and not isinstance(sys.exception(), KeyboardInterrupt)
        if self._process.returncode is None and is_idle:
            try:
                protocol.send(self._write, {"verb": "close"})
                self._process.wait(grace)
            except (protocol.Closed, subprocess.TimeoutExpired):
                pass  # It is ended by force below.
        self._end()

    def last_words(self) -> list[str]:
        """The last lines of the worker's log, without the empty ones."""
        with open(self._log, "rb") as log:
            # A runtime may have written megabytes; the last lines lie in the last kilobytes.
            log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
            lines = log.read().decode(errors="replace").splitlines()
        return [line.strip()[:WIDEST] for line in lines if line.strip()][-LAST_WORDS:]

    def _post(self, verb: str, **fields: object) -> None:
        self._verb = verb
        self._deadline = time.monotonic() + self._patience.of(verb)
        self._is_idle = False
        try:
            protocol.send(self._write, {"verb": verb, **fields})
        except protocol.Closed:
            self._die(self._cause())

    def _wait(self) -> Message:
        try:
            reply = self._reader.receive(max(0.001, self._deadline - time.monotonic()))
        except protocol.Closed:
            self._die(self._cause())
        except protocol.Late:
            limit = self._patience.of(self._verb)
            self._die(
                f"no answer to {self._verb} within {limit:g} s", "--timeout 600    waits longer"
            )
        except protocol.Nonsense as error:
            self._die(f"answered nonsense: {str(error)!r}")
        self._is_idle = True
        if "error" in reply:
            kind = protocol.KINDS.get(str(reply.get("kind")), TargetError)
            raise self._failed(kind(str(reply["error"]), *map(str, reply.get("cures", []))))
        return reply

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Ends a worker whose reply lacks the protocol's fields, or has them in other types."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            self._die(f"answered nonsense to {self._verb}: {type(error).__name__}: {error}")

    def _cause(self) -> str:
        """Tells in words how the process ended."""
        try:
            # Its pipe closes a moment before the process is gone.
            code = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            return f"closed its pipe while {_doing(self._verb)}"
        if code < 0:
            return f"crashed with {signal_name(-code)} while {_doing(self._verb)}"
        return f"ended by itself with exit code {code} while {_doing(self._verb)}"

    def _die(self, what: str, *cures: str) -> NoReturn:
        self._end()
        raise self._failed(WorkerDied(what, *cures))

    def _failed(self, error: TargetError) -> TargetError:
        error.verb = self._verb
        error.last_words = tuple(self.last_words())
        return error

    def _end(self) -> None:
        """Ends the process group; its first process was made the leader at the start.

        Only once: when it is gone its number may be another's.
        """
        if self._read < 0:
            return
        self._guard.end()
        self._process.wait()
        for pipe in (self._read, self._write):
            os.close(pipe)
        self._read = self._write = -1

    def _new_folder(self) -> Path:
        self._files += 1
        return self._folder / str(self._files)


@dataclass(frozen=True)
class Launcher:
    """Starts the workers of a run: with our code for them, and the time that each verb gets."""

    worker_code: Path
    patience: Patience
    keeps_limit: bool = False
    """The workers have the memory limit of this process, where there is one."""

    @property
    def work(self) -> Path:
        """The scratch space that the workers share."""
        return self.worker_code.parent

    def start(self, spec: WorkerSpec, padding: int = 0) -> Worker:
        """Starts a worker with `padding` more bytes in its environment. Raises TargetError where
        its Python does not start."""
        return Worker(
            spec,
            self.worker_code,
            patience=self.patience,
            padding=padding,
            keeps_limit=self.keeps_limit,
        )

    def start_importing(self, spec: WorkerSpec) -> Worker:
        """Starts a worker and asks it to import its library, without waiting. Raises TargetError
        where it does not start."""
        worker = self.start(spec)
        try:
            worker.post_hello()
        except BaseException:
            worker.stop()
            raise
        return worker


def _lift_memory_limit(pid: int) -> None:
    """Frees a worker of this process's own limit (supervision/limits.py): it runs what the user
    measures, and some of that reserves more than it fills."""
    with contextlib.suppress(ProcessLookupError):  # It may have ended already; the first verb says.
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        resource.prlimit(pid, resource.RLIMIT_DATA, (hard, hard))


def _doing(verb: str) -> str:
    words = {
        "start": "it was started",
        "hello": "importing its library",
        "convert": "converting the model",
        "load": "loading the model",
        "bind": "taking the feed",
        "answer": "running the model",
        "sample": "being timed",
        "copies": "copying its tensors",
        "usage": "counting its memory",
    }
    return words.get(verb, verb)
