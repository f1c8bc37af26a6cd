"""Finds out why a run with --provider cuda has no numbers, and says it in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.doctor import cuda, probe
from toolkit.doctor.cuda import BESIDE, CODES, DRIVER, IN_CONTAINER, Hardware
from toolkit.doctor.probe import EnvironmentFacts

DOCTOR = "toolkit doctor    says what else is missing"


@dataclass(frozen=True)
class Cause:
    """A reason with its cures, for `error: cuda: not measured. …` and the row of the table."""

    what: str
    """One line of whole sentences."""
    cures: tuple[str, ...]
    """Commands to paste, as `Finding.cures`."""


def cuda_cause(python: Path, last_words: Sequence[str], seen: Hardware | None = None) -> Cause:
    """Returns why the CUDA provider did not run in the environment of this Python.

    `last_words` are the last lines of the worker's log: onnxruntime names a missing library on
    stderr only, and goes on with the CPU. `seen` is the machine's hardware; None: it is looked at.
    Asks the environment in processes of its own; imports nothing of it here. Raises
    EnvironmentFault where that Python does not run.
    """
    facts = probe.ask(python)
    hardware = cuda.hardware() if seen is None else seen
    text = "\n".join(last_words)
    if facts.cuda is None:
        return _cpu_build(facts, hardware)
    missing = cuda.lacking(text)
    if missing == DRIVER or (not missing and "error" in facts.driver):
        return _driver_cause(facts, hardware)
    if missing:
        return _missing(facts, hardware, missing)
    return _by_code(text, hardware) or _by_findings(facts, hardware, last_words)


def _cpu_build(facts: EnvironmentFacts, seen: Hardware) -> Cause:
    where = "installed here" if facts.own else f"in {probe.shown(facts.python.parent.parent)}"
    if not facts.owners and facts.onnxruntime is None:
        what = f"There is no onnxruntime {where}."
    else:
        version = facts.libraries["onnxruntime"].get("version")
        which = f" ({version})" if version else ""
        what = f"The onnxruntime {where}{which} is the CPU build."
    return _unless_there_is_no_gpu(seen, what, *BESIDE)


def _missing(facts: EnvironmentFacts, seen: Hardware, library: str) -> Cause:
    cure = facts.install(cuda.gpu_package(facts))
    return _unless_there_is_no_gpu(seen, f"{cuda.are_missing([library])}.", cure)


def _unless_there_is_no_gpu(seen: Hardware, what: str, *cures: str) -> Cause:
    """Returns the cause, and says too where no GPU is seen: before anybody downloads gigabytes."""
    if seen.gpus or seen.on_bus:
        return Cause(what, (*cures, DOCTOR))
    return Cause(f"{what} No NVIDIA GPU is seen either.", (*cures, IN_CONTAINER, DOCTOR))


def _driver_cause(facts: EnvironmentFacts, seen: Hardware) -> Cause:
    finding = cuda.driver(facts, seen)
    if finding is None:
        return Cause(f"NVIDIA's driver is missing ({DRIVER}).", (IN_CONTAINER, DOCTOR))
    return Cause(_sentence(finding.what), (*finding.cures, DOCTOR))


def _by_code(text: str, seen: Hardware) -> Cause | None:
    """Returns the cause that an error number of CUDA in the log stands for."""
    match = re.search(r"CUDA (?:failure|error) (\d+)", text, re.IGNORECASE)
    if match is None or int(match[1]) not in CODES:
        return None
    if int(match[1]) == cuda.NO_DEVICE:
        what, *cures = cuda.no_device(seen)
        return Cause(_sentence(what), (*cures, DOCTOR))
    return Cause(_sentence(CODES[int(match[1])]), ("nvidia-smi    says more", DOCTOR))


def _by_findings(facts: EnvironmentFacts, seen: Hardware, last_words: Sequence[str]) -> Cause:
    """Returns what the doctor finds; where it finds nothing, the last line of the log."""
    for finding in cuda.check(facts, seen):
        if finding.cures:
            return Cause(_sentence(finding.what), (*finding.cures, DOCTOR))
    last_line = next((line.strip() for line in reversed(last_words) if line.strip()), "")
    return Cause(
        _sentence(last_line or "the CUDA provider did not start and did not say why"), (DOCTOR,)
    )


def _sentence(text: str) -> str:
    """Makes a sentence of a finding: a full stop, and a capital unless a library's name comes
    first."""
    first = text[0] if text.startswith("lib") else text[0].upper()
    return f"{first}{text[1:].rstrip('.')}."
