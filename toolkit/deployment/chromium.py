"""Opens a page in headless Chromium, and drives it by the DevTools protocol over two pipes.

The browser ends by itself when its pipe closes, so a killed parent leaves none behind. It is told
to ask nothing of its maker's servers, and every address that a page asks for is noted.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from toolkit.errors import EnvironmentFault, TargetError, first_line
from toolkit.units import Bytes, Seconds

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--headless=new",
    "--disable-gpu",  # The page runs WebAssembly, which needs no GPU.
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--disable-dev-shm-usage",  # Containers often give /dev/shm 64 MB, too little for Chromium.
    "--remote-debugging-pipe",
)
LOCAL = ("127.0.0.1", "localhost", "")
"""Hosts that a page may ask; '' is the host of data: and blob: addresses."""
PATIENCE: Seconds = 120
"""The limit for loading a page, and for each command to it; running all feeds is one command."""

Sandbox: TypeAlias = Literal["auto", "off"]
"""Chromium's own sandbox: 'auto' is on, but for root, whom it refuses; 'off' is asked for."""
ENDED = "the browser ended before the page gave an answer"
NO_SANDBOX = "the browser finds no sandbox here: the kernel gives this user no namespaces"
CURE = "--sandbox off    runs it without one: for models that you trust"
COMPLAINTS = (
    b"No usable sandbox",
    b"SUID sandbox helper",
    b"setuid sandbox is not running as root",
    b"move to new namespace",
)
"""Chromium's words where the kernel gives it no sandbox (sandbox/linux, content/zygote)."""
LOG: Bytes = 1 << 20
"""The part of its log in which they are looked for: it ends soon after them."""

PIPES = """
import os, sys
read, write = map(os.dup, map(int, sys.argv[1:3]))
for own, known in ((read, 3), (write, 4)):
    os.dup2(own, known)
    os.set_inheritable(known, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and answers on 4. The pipes are copied first, since
they may have those very numbers. A program does it, since a shell redirects descriptors of one
digit only."""


class Page:
    """One page in a browser, with the errors that it logged and the addresses that it asked for."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self._loaded = False
        self.complaints: list[str] = []
        self.asked: list[str] = []

    def open(self, address: str) -> None:
        """Opens the address and waits until it is loaded. Raises TargetError where it is not."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        end = time.monotonic() + PATIENCE
        self._call("Page.navigate", url=address)
        while not self._loaded:
            self._receive(end)

    def evaluate(self, expression: str) -> Any:
        """Returns the value of a JavaScript expression, awaited, as JSON has it.

        Raises TargetError where it throws, or gives nothing within PATIENCE.
        """
        reply = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in reply:
            raise TargetError(f"the page failed: {_thrown(reply['exceptionDetails'])}")
        return reply["result"].get("value")

    def version(self) -> str:
        """Returns the version of the browser: '156.0.7339.80'."""
        product: str = self._call("Browser.getVersion")["product"]
        return product.rpartition("/")[2]

    def close(self) -> None:
        """Asks the browser to end; one that does not is ended by force later."""
        with contextlib.suppress(TargetError):
            self._session = None
            self._call("Browser.close")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        try:
            os.write(self._write, json.dumps(message).encode() + b"\0")
        except BrokenPipeError as error:
            raise TargetError(ENDED) from error
        end = time.monotonic() + PATIENCE
        while True:
            reply = self._receive(end)
            if reply.get("id") != self._number:
                continue
            if "error" in reply:
                raise TargetError(f"the browser refused {method}: {reply['error']['message']}")
            result: dict[str, Any] = reply["result"]
            return result

    def _receive(self, end: float) -> dict[str, Any]:
        """Returns the next message, after noting what it says where it is an event.

        `end` is the latest time by the monotonic clock. Raises TargetError where it passes.
        """
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TargetError(f"the page gave no answer within {PATIENCE:g} s")
            received = os.read(self._read, 1 << 16)
            if not received:
                raise TargetError(ENDED)
            self._rest += received
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(str(message.get("method", "")), message.get("params", {}))
        return message

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(_thrown(params["exceptionDetails"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(a.get("value", "…")) for a in params["args"]))

    @property
    def strangers(self) -> list[str]:
        """The addresses on other machines that the page asked for."""
        return [url for url in self.asked if (urlsplit(url).hostname or "") not in LOCAL]


def _thrown(details: dict[str, Any]) -> str:
    text = details.get("exception", {}).get("description") or details.get("text", "")
    return first_line(text)


def bare(sandbox: Sandbox) -> str:
    """Says in words why the browser has no sandbox of its own; empty where it has one."""
    if sandbox == "off":
        return "without the browser's sandbox"
    # Chromium's sandbox refuses to run as root.
    return "without the browser's sandbox, since root started it" if os.geteuid() == 0 else ""


@contextmanager
def page(profile: Path, sandbox: Sandbox = "auto") -> Iterator[Page]:
    """Yields a page of a new browser with an empty profile, and ends the browser after the block.

    Raises EnvironmentFault where no Chromium is installed, and where the kernel gives it no sandbox
    and nobody said that it may do without.
    """
    program = next((path for name in NAMES if (path := shutil.which(name))), None)
    if program is None:
        raise EnvironmentFault("there is no Chromium on the PATH", "apt install chromium")
    ours_read, theirs_write = os.pipe()
    theirs_read, ours_write = os.pipe()
    switches = ("--no-sandbox",) if bare(sandbox) else ()
    start = [sys.executable, "-I", "-S", "-c", PIPES, str(theirs_read), str(theirs_write)]
    command = [*start, program, *SWITCHES, *switches, f"--user-data-dir={profile}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=(theirs_read, theirs_write),
            start_new_session=True,
        )
        os.close(theirs_read)
        os.close(theirs_write)
        opened = Page(ours_write, ours_read)
        try:
            yield opened
            opened.close()
        except TargetError as error:
            if not bare(sandbox) and _lacks_sandbox(process, log):
                raise EnvironmentFault(NO_SANDBOX, CURE) from error
            raise
        finally:
            os.close(ours_write)
            os.close(ours_read)
            _end(process)


def _lacks_sandbox(process: subprocess.Popen[bytes], log: IO[bytes]) -> bool:
    """Says whether the browser ended because the kernel gives it no sandbox: its log says so."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    if process.returncode is None:
        return False
    log.seek(0)
    printed = log.read(LOG)
    return any(words in printed for words in COMPLAINTS)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    # Helper processes may outlive the browser: its whole session is killed, if any of it is left.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
