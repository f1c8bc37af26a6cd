"""Decides for every option of every command whether a value that stands in a file may be used.

D1  A value runs code where typing it makes toolkit import, start or install something that the
    value names, or run something without a guard that it has otherwise. Such a value of a record is
    never used by itself: the user types it again, or confirms it at a terminal (`resuming.py`).
D2  A parameter without a decision here counts as one that runs code, and so does a key of a target.
    tests/cli/test_decisions.py lists all parameters, and fails where one has none.
D3  A value may name a file: then its form says which part of it is the path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import click

from toolkit.data.request import is_code


class PathForm(Enum):
    """The part of a value that is a path."""

    PLAIN = "none"
    PATH = "the whole of it"
    SOURCE = "all before the last colon, where it is a file: net.py:build(width=3)"
    TARGET = "what follows env= and model="
    LABELLED = "the whole of it, or all before the last colon of a function: data.npz, data.py:rows"


RunsCode: TypeAlias = Callable[[str], bool]
"""Says of a value whether it runs code."""


@dataclass(frozen=True)
class Decision:
    """What a value of one parameter may do."""

    form: PathForm
    runs_code: RunsCode


# fmt: off
SAFE_KEYS = frozenset((
    "adapter", "at", "compute", "device", "fault", "graph", "in", "int8", "io", "max", "mode",
    "model", "optimize", "plan", "precision", "processor", "seed", "shapes", "spinning", "spread",
    "start", "tf32", "threads", "turns", "us", "xnnpack",
))
# fmt: on
"""Keys of a target whose values choose among what toolkit knows. `model` names a file that is read
as untrusted input. Missing are `env`, whose folder has the Python or the packages that are run, and
`sandbox`, which takes a guard away from what a stranger's model runs in."""


def names_code(target: str) -> bool:
    """Says whether a target names something that is run, `env=`, or lets it run unguarded,
    `sandbox=`; or has a key that nobody decided on, such as one of a plug-in."""
    keys = {pair.partition("=")[0] for pair in target.split(",")[1:]}
    return not keys <= SAFE_KEYS


def _always(value: str) -> bool:
    return True


def _never(value: str) -> bool:
    return False


UNDECIDED = Decision(PathForm.PLAIN, _always)
SAFE = Decision(PathForm.PLAIN, _never)
DATA = Decision(PathForm.PATH, _never)
"""A file that is read as untrusted input, or a place to write to."""
INSTALLS = Decision(PathForm.PLAIN, _always)

# fmt: off
READ_OR_WRITTEN = (
    "inputs", "junit", "markdown", "model", "new", "old", "out", "output", "reports", "resume",
    "run", "sign", "verify",
)
CHOOSING = (
    "accept", "allow_fixed", "anonymous", "arguments", "as_json", "as_list", "atol", "batch",
    "cast_missing", "data", "dims", "drop", "everything", "exporter", "force", "form", "goal",
    "identity", "issuer", "keep_traces", "labels", "latency_limit", "memory_limit", "no_proof",
    "operators", "opset", "precision", "price", "provider", "quick", "relu", "rtol", "schema",
    "seed", "shapes", "shell", "slower", "stateful", "strict", "threads", "time", "timeout", "top1",
    "verbose", "worse",
)
# fmt: on
DECISIONS: dict[str, Decision] = {
    "source": Decision(PathForm.SOURCE, _always),
    # Read without running code, but into a module whose code is run.
    "weights": Decision(PathForm.PATH, _always),
    "targets": Decision(PathForm.TARGET, names_code),
    "env": Decision(PathForm.PATH, _always),
    "install": INSTALLS,
    "all_cpu": INSTALLS,
    "to": INSTALLS,  # What a client needs is installed, built and run.
    "sandbox": Decision(PathForm.PLAIN, _always),  # It takes a guard away.
    "runtimes install names": INSTALLS,
    # Functions of the user's, where they are no file and no name of a metric.
    "examples": Decision(PathForm.LABELLED, is_code),
    "preprocess": Decision(PathForm.SOURCE, _always),
    "metrics": Decision(PathForm.SOURCE, is_code),
    "baseline": Decision(PathForm.TARGET, _never),  # It chooses among the targets.
    **dict.fromkeys(READ_OR_WRITTEN, DATA),
    "export inputs": SAFE,  # Texts such as 'x:float32[batch,8]'.
    **dict.fromkeys(CHOOSING, SAFE),
    "runtimes remove names": SAFE,
    "runtimes sbom name": SAFE,
}
"""By the name of the parameter; 'COMMAND NAME' where it means something else in one command."""


def of(command: str, parameter: click.Parameter) -> Decision:
    """The decision on a parameter of a command (D2)."""
    name = str(parameter.name)
    return DECISIONS.get(f"{command} {name}") or DECISIONS.get(name) or UNDECIDED
