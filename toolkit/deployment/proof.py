"""The proof of a folder, as a value: it knows neither how a client is run nor how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from toolkit.answers.verdict import Verdict

Outcome: TypeAlias = Literal["right", "not shown", "not right", "failed", "not made"]
"""'not shown': these feeds cannot tell its outputs from less. 'failed': the client did. 'not made':
this machine lacks something to run the client with."""


@dataclass(frozen=True)
class FolderProof:
    """The outcome of running a folder's client, with the evidence."""

    outcome: Outcome
    feeds: tuple[str, ...]
    """Names of the sizes at which the client was run, without those that it refused."""
    verdict: Verdict | None = None
    """The judge's verdict on the client's outputs; None where there were none."""
    versions: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    """Continues the sentence 'The client was run …', as `ClientRun.where` does."""
    what: str = ""
    """One line that says why the folder is not proven right; empty where it is."""
    cures: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """Name of a size that the client does not take (D5) → the reason."""
