"""Reads a target as the user types it: RUNTIME[@VERSION][:PROVIDER][,key=value…].

Every runtime has three keys besides its own: env=, model= and threads=.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from toolkit.errors import InputError
from toolkit.runtimes import listing

_FORM = re.compile(
    r"(?P<runtime>[A-Za-z][\w-]*)(@(?P<version>[\w.+-]+))?(:(?P<provider>[A-Za-z][\w-]*))?"
)

LABELS = {
    "io=bound": "bound",
    "mode=aoti": "aoti",
    "mode=compile": "compile",
    "mode=eager": "eager",
}
"""Options that a label shows as the word by which people know them."""


@dataclass(frozen=True)
class Target:
    """A runtime, with its provider and options, that a user asks for."""

    runtime: str
    provider: str = ""
    """Empty: the runtime's default."""
    options: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    """Empty: the one that is installed."""
    environment: str | None = None
    """The folder of an environment of the user's; None: toolkit finds one."""
    model: str | None = None
    """Another file of the model, as it was typed; None: that of the run."""
    threads: int | None = None
    """Its own number of threads; None: that of the run."""
    asked: bool = True
    """The user named it; False: it is a default, or one of `--all`."""

    @property
    def name(self) -> str:
        """The canonical text: equal for equal targets, and typed again it means the same."""
        runtime = f"{self.runtime}@{self.version}" if self.version else self.runtime
        parts = [f"{runtime}:{self.provider}" if self.provider else runtime]
        parts += [f"{key}={value}" for key, value in sorted(self.options.items())]
        parts += [f"env={self.environment}"] if self.environment else []
        parts += [f"model={self.model}"] if self.model else []
        parts += [f"threads={self.threads}"] if self.threads else []
        return ",".join(parts)

    @property
    def label(self) -> str:
        """The text that people read: 'onnxruntime cpu, bound'."""
        words = [f"{key}={value}" for key, value in sorted(self.options.items())]
        head = " ".join(filter(None, (self.runtime, self.version, self.provider)))
        # Without what it lies in: a report is handed on, and shows no folder of a machine.
        folder = [] if self.environment is None else [f"in {_last(self.environment)}"]
        file = [] if self.model is None else [_last(self.model)]
        plural = "" if self.threads == 1 else "s"
        count = [] if self.threads is None else [f"{self.threads} thread{plural}"]
        known = [LABELS.get(word, word) for word in words]
        return ", ".join([head, *known, *folder, *file, *count])


def _last(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def parse(text: str) -> Target:
    """Reads the target that a text names.

    Raises InputError for a text of another form, an unknown runtime, and for an option that is
    given twice. The runtime's own options are checked in its worker.
    """
    head, *pairs = text.strip().split(",")
    form = _FORM.fullmatch(head)
    if form is None:
        raise InputError(
            f"{text!r} is no target; the form is RUNTIME[@VERSION][:PROVIDER][,key=value…]",
            "for example onnxruntime:cpu,io=bound",
        )
    listing.find(form["runtime"])
    options = _options(text, pairs)
    environment, model = options.pop("env", None), options.pop("model", None)
    threads = _count(text, options.pop("threads", None))
    version = form["version"] or ""
    if version and environment is not None:
        raise InputError(f"{text!r}: either a version or env=, since env= has the version it has")
    return Target(
        form["runtime"], form["provider"] or "", options, version, environment, model, threads
    )


def _count(text: str, threads: str | None) -> int | None:
    if threads is not None and not (threads.isdecimal() and int(threads) > 0):
        raise InputError(f"{text!r}: threads={threads} is no number of threads")
    return None if threads is None else int(threads)


def _options(text: str, pairs: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise InputError(f"{text!r}: {pair!r} is not of the form key=value")
        if key in options:
            raise InputError(f"{text!r}: {key} is given twice")
        options[key] = value
    return options


PATHS = ("env", "model")
"""The keys of a target whose values are paths."""


def with_paths(text: str, write: Callable[[str], str]) -> str:
    """A target's text whose paths are written by `write`."""
    head, *pairs = text.split(",")
    return ",".join([head, *(_with_path(pair, write) for pair in pairs)])


def _with_path(pair: str, write: Callable[[str], str]) -> str:
    key, equals, value = pair.partition("=")
    return f"{key}={write(value)}" if equals and names_path(key, value) else pair


def names_path(key: str, value: str) -> bool:
    """Says whether the value of a key is a path: the options of plug-ins may name files, too."""
    return key in PATHS or value.startswith((os.sep, "~", os.curdir))


def of_providers(text: str) -> list[Target]:
    """The targets that `--provider cpu,cuda` is short for: ONNX Runtime on each provider, with
    numpy's arrays and with bound buffers.

    Raises InputError for an empty name.
    """
    targets = []
    for provider in text.split(","):
        name = provider.strip().lower()
        if not name:
            raise InputError(f"--provider {text!r} names no provider", "for example cpu,cuda")
        targets += [Target("onnxruntime", name), Target("onnxruntime", name, {"io": "bound"})]
    return targets
