"""Gathers all that the doctor looks at, faults first."""

from __future__ import annotations

import time

from toolkit.doctor import (
    clock,
    cores,
    cuda,
    frequency,
    libraries,
    onnxruntime,
    probe,
    processor,
    python,
    quiet,
    requirements,
    space,
)
from toolkit.doctor.finding import Finding, Severity
from toolkit.machine import describe, load, memory
from toolkit.machine.features import features
from toolkit.units import Seconds
from toolkit.workers import environments

WATCH: Seconds = 1.0
"""The least time over which the load of others is seen; asking the environment takes as long."""


def examine(env: str | None = None) -> list[Finding]:
    """Returns findings about an environment (None: our own) and this machine, the worst first.

    Raises EnvironmentFault where the environment's Python does not run at all.
    """
    before, began = load.snapshot(), time.monotonic()
    needed = requirements.requirements() if env is None else []
    facts = probe.ask(environments.interpreter(env), [requirement.name for requirement in needed])
    findings = [
        *python.check(facts),
        *requirements.check(facts, needed),
        *libraries.check(facts),
        *onnxruntime.check(facts),
        *cuda.check(facts, cuda.hardware()),
        *processor.check(features()),
        *cores.check(describe.cores_present(), describe.cores_allowed(), describe.cpu_quota()),
        *frequency.check(describe.governor()),
        *clock.check(describe.clock_step()),
        *space.check(memory.available()),
    ]
    time.sleep(max(0.0, began + WATCH - time.monotonic()))
    activity = load.between(before, load.snapshot())
    findings += quiet.check(activity, len(describe.cores_allowed()))
    order = [*Severity]
    return sorted(findings, key=lambda finding: order.index(finding.severity))
