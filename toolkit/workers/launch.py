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
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, TypeVar

from toolkit import tensors
from toolkit.errors import TargetError, WorkerDied, signal_name, typed_line
from toolkit.runtimes.base import Placement, Program
from toolkit.tensors import Array, Feed
from toolkit.units import Bytes, Seconds
from toolkit.workers import environments, outputs, protocol, replies
from toolkit.workers.jobs import Block, Hello, Loaded, Patience, WorkerSpec, message
from toolkit.workers.keeping import Keeper
from toolkit.workers.log import WorkerLog
from toolkit.workers.replies import (
    AnswerReply,
    CopiesReply,
    EmptyReply,
    ErrorReply,
    HelloReply,
    InputsReply,
    LoadReply,
    SampleReply,
    SecondsReply,
    UsageReply,
)

R = TypeVar("R")

UNASKED = "answered what nobody had asked for"
"""The end of a worker that answers a request twice, whenever its second answer is read."""


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
        self._files = 0
        self._number = 0
        """That of the last request."""
        self._verb = "start"
        self._is_idle = True
        self._deadline = 0.0
        self._log = WorkerLog()
        # Pipes of their own: a library may write to stdout whatever it likes.
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        command = [*spec.environment.command(worker_code, spec.entry)]
        command += [str(theirs_read), str(theirs_write)]
        # Short, and not below the folder of the run: a socket's path has 107 characters at most.
        self._temporary = tempfile.mkdtemp(prefix="worker-")
        try:
            self._keeper = Keeper(
                command,
                env={**environments.variables(padding), "TMPDIR": self._temporary},
                out=self._log.write,
                pass_fds=(theirs_read, theirs_write),
            )
        except BaseException as error:
            os.close(ours_read)
            os.close(ours_write)
            self._log.close()
            self._remove_scratch()
            if not isinstance(error, OSError):
                raise
            raise TargetError(f"its Python does not start: {error.strerror}") from error
        finally:
            os.close(theirs_read)
            os.close(theirs_write)
        self._log.started()
        if not keeps_limit:
            _lift_memory_limit(self.pid)
        os.set_blocking(ours_write, False)  # A worker that does not read is not waited for.
        self._write = ours_write
        self._read = ours_read
        self._reader = protocol.Reader(ours_read)

    @property
    def pid(self) -> int:
        """The id of the worker's process."""
        return self._keeper.worker

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
        reply = self._wait(HelloReply)
        hello = Hello(
            version=reply.version,
            file=None if reply.file is None else Path(reply.file),
            python=reply.python,
            seconds=reply.seconds,
            precision=reply.precision,
            providers=tuple(reply.providers),
            starts_from=reply.starts_from,
            empty=reply.empty,
            converts=reply.converts,
        )
        name, environment = self.spec.entry.name, self.spec.environment
        if hello.file is not None and not self._owns(hello.file):
            raise self._failed(
                TargetError(
                    f"{name} was imported from {hello.file}, which is no folder of "
                    f"its environment {environment.name}"
                )
            )
        if not hello.version:
            raise self._failed(TargetError(f"{name} does not say its version"))
        return hello

    def _owns(self, file: Path) -> bool:
        try:
            return self.spec.environment.owns(file)
        except (OSError, RuntimeError):  # It leads in a circle, or nowhere.
            return False

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
        reply = self._wait(SecondsReply)
        shutil.rmtree(given, ignore_errors=True)
        return reply.seconds

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
        reply = self._wait(LoadReply)
        placed = reply.placement
        elsewhere = {provider: tuple(names) for provider, names in placed.elsewhere.items()}
        placement = Placement(placed.nodes, elsewhere, placed.copies)
        return Loaded(reply.seconds, placement, reply.copies, frozenset(reply.computes))

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
        self._wait(EmptyReply)
        shutil.rmtree(given, ignore_errors=True)  # The worker has read them.

    def answer(self, name: str, *, again: bool = True) -> tuple[dict[str, Array], Seconds]:
        """The outputs of the timed call itself, run once more or as it left them, and the seconds
        of that call."""
        given = self._new_folder()
        self._post("answer", feed=name, again=again, folder=str(given))
        reply = self._wait(AnswerReply)
        try:
            named = outputs.read(given, reply.tensors, self._deadline)
        except (OSError, ValueError, MemoryError) as error:
            self._die(f"its outputs cannot be read: {_why(error)}")
        # A run makes thousands of answers: none stays on the disk once it was read.
        shutil.rmtree(given, ignore_errors=True)
        return named, reply.seconds

    def sample(self, name: str, calls: int, discard: int = 0) -> Block:
        """Times a block of `calls` calls, after `discard` that do not count."""
        self._post("sample", feed=name, calls=calls, discard=discard)
        reply = self._wait(SampleReply, protocol.LONGEST + protocol.DIGITS * calls)
        if len(reply.ns) != calls:
            self._die(f"gave {len(reply.ns)} times of the {calls} that were asked for")
        return Block(reply.ns, reply.start, reply.switches)

    def copies(self, name: str, calls: int) -> tuple[float, float] | None:
        """Nanoseconds of the copies in and out that a timed call holds, each the median of `calls`;
        None where the runtime cannot make them alone."""
        self._post("copies", feed=name, calls=calls)
        reply = self._wait(CopiesReply)
        return None if reply.into is None or reply.out is None else (reply.into, reply.out)

    def changed(self, name: str) -> list[str]:
        """The inputs that the calls of this feed wrote into."""
        self._post("inputs", feed=name)
        return self._wait(InputsReply).changed

    def usage(self) -> tuple[Bytes, Bytes]:
        """The resident and the peak size of the worker's memory."""
        self._post("usage")
        reply = self._wait(UsageReply)
        return reply.resident, reply.peak

    def stop(self, grace: Seconds = 5.0) -> None:
        """Ends the worker and all that it started; twice does no harm.

        One that is at a verb hears no `close` before it is done, and after ^C nobody waits for a
        session to be freed: then it is ended by force at once.
        """
        is_idle = self._is_idle and not isinstance(sys.exception(), KeyboardInterrupt)
        if self._read >= 0 and is_idle:
            # Where it takes no request, or does not end, it is ended by force below.
            with contextlib.suppress(protocol.Closed, protocol.Late, subprocess.TimeoutExpired):
                protocol.send(self._write, self._numbered("close"), grace)
                self._keeper.wait(grace)
        self._end()

    def last_words(self) -> list[str]:
        """The last lines that the worker printed, without the empty ones."""
        return self._log.last_words()

    def _post(self, verb: str, **fields: object) -> None:
        self._verb = verb
        if self._reader.holds_more():
            self._die(UNASKED)
        limit = self._patience.of(verb)
        self._deadline = time.monotonic() + limit
        self._is_idle = False
        try:
            protocol.send(self._write, self._numbered(verb, **fields), limit)
        except protocol.Closed:
            self._die(self._cause())
        except protocol.Late:
            self._die(f"did not read the request to {verb} within {limit:g} s")

    def _numbered(self, verb: str, **fields: object) -> protocol.Message:
        """The next request."""
        self._number += 1
        return {"verb": verb, "number": self._number, **fields}

    def _wait(self, kind: type[R], longest: int = protocol.LONGEST) -> R:
        """The reply to the last request. Raises TargetError where that is an error."""
        try:
            line = self._reader.line(max(0.001, self._deadline - time.monotonic()), longest)
            reply = replies.decoded(line, kind, self._number)
        except protocol.Closed:
            self._die(self._cause())
        except protocol.Late:
            limit = self._patience.of(self._verb)
            self._die(
                f"no answer to {self._verb} within {limit:g} s", "--timeout 600    waits longer"
            )
        except protocol.Nonsense as error:
            self._die(f"answered nonsense: {str(error)!r}")
        except protocol.Unasked:
            self._die(UNASKED)
        except replies.Unfit as error:
            self._die(f"answered nonsense to {self._verb}: {error}")
        self._is_idle = True
        if isinstance(reply, ErrorReply):
            error_kind = protocol.KINDS.get(reply.kind or "", TargetError)
            raise self._failed(error_kind(reply.what, *reply.ways_out))
        return reply

    def _cause(self) -> str:
        """Tells in words how the process ended."""
        try:
            # Its pipe closes a moment before the process is gone.
            code = self._keeper.wait(2.0)
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
        """Ends the worker and all that came of it, and removes what it left on the disk."""
        if self._read < 0:
            return
        self._keeper.end()
        self._log.close()
        for pipe in (self._read, self._write):
            os.close(pipe)
        self._read = self._write = -1
        self._remove_scratch()

    def _remove_scratch(self) -> None:
        for folder in (self._folder, self._temporary):
            shutil.rmtree(folder, ignore_errors=True)

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


def _why(error: Exception) -> str:
    """Why a file could not be read, without its path."""
    return getattr(error, "strerror", None) or str(error) or typed_line(error)


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
