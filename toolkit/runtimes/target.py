"""A target as the user types it: RUNTIME[@VERSION][:PROVIDER][,key=value…]."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from toolkit.errors import InputError
from toolkit.runtimes import listing

_FORM = re.compile(
    r"(?P<runtime>[A-Za-z][\w-]*)(@(?P<version>[\w.+-]+))?(:(?P<provider>[A-Za-z][\w-]*))?"
)

LABELS = {"io=bound": "bound"}
"""Options that people know by a word."""


@dataclass(frozen=True)
class Target:
    """What a user asks to be measured."""

    runtime: str
    provider: str = ""
    """Empty: the runtime's first."""
    options: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None
    """The user's folder; None: our own."""
    asked: bool = True
    """The user named it, and not a default."""

    @property
    def name(self) -> str:
        """Canonical: equal for equal targets, and typed again it means the same."""
        parts = [f"{self.runtime}:{self.provider}" if self.provider else self.runtime]
        parts += [f"{key}={value}" for key, value in sorted(self.options.items())]
        parts += [f"env={self.environment}"] if self.environment else []
        return ",".join(parts)

    @property
    def label(self) -> str:
        """For people: 'onnxruntime cpu, bound'."""
        words = [f"{key}={value}" for key, value in sorted(self.options.items())]
        head = f"{self.runtime} {self.provider}".strip()
        place = [] if self.environment is None else [f"in {self.environment.rstrip('/')}"]
        return ", ".join([head, *(LABELS.get(word, word) for word in words), *place])


def parse(text: str) -> Target:
    """The target that a text names.

    Raises InputError for a text of another form, an unknown runtime, and for an option that is
    given twice. The runtime's own options are checked in its worker.
    """
    head, *pairs = text.strip().split(",")
    form = _FORM.fullmatch(head)
    if form is None:
        raise InputError(
            f"{text!r} is no target; the form is RUNTIME[:PROVIDER][,key=value…]",
            "for example onnxruntime:cpu,io=bound",
        )
    listing.find(form["runtime"])
    if form["version"]:
        raise InputError(
            f"{text!r}: versions as targets need managed environments, which are not there yet",
            "--target 'onnxruntime:cpu,env=FOLDER' measures the version in an environment of yours",
        )
    options = _options(text, pairs)
    environment = options.pop("env", None)
    return Target(form["runtime"], form["provider"] or "", options, environment)


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


def of_providers(text: str) -> list[Target]:
    """The targets that `--provider cpu,cuda` is short for: each with numpy and with bound buffers.

    Raises InputError for an empty name.
    """
    found = []
    for provider in text.split(","):
        name = provider.strip().lower()
        if not name:
            raise InputError(f"--provider {text!r} names no provider", "for example cpu,cuda")
        found += [Target("onnxruntime", name), Target("onnxruntime", name, {"io": "bound"})]
    return found
