"""All that the doctor looks at, faults first."""

from __future__ import annotations

import time

from toolkit.doctor import (
    clock,
    cores,
    cuda,
    libraries,
    load,
    onnxruntime,
    probe,
    processor,
    python,
    requirements,
    space,
)
from toolkit.doctor.finding import Finding, Severity
from toolkit.machine import describe
from toolkit.machine import load as machine_load
from toolkit.machine.features import features
from toolkit.units import Seconds

WATCH: Seconds = 1.0
"""The least time over which the load of others is seen; asking the environment takes as long."""
ORDER = (Severity.FAULT, Severity.NOTE, Severity.OK)


def examine(env: str | None = None) -> list[Finding]:
    """Findings about an environment (None: our own) and this machine, the worst first.

    Raises EnvironmentFault where the environment's Python does not run at all.
    """
    before, began = machine_load.snapshot(), time.monotonic()
    wanted = requirements.requirements() if env is None else []
    facts = probe.ask(probe.interpreter(env), [requirement.name for requirement in wanted])
    found = [
        *python.check(facts),
        *requirements.check(facts, wanted),
        *libraries.check(facts),
        *onnxruntime.check(facts),
        *cuda.check(facts, cuda.hardware()),
        *processor.check(features()),
        *cores.check(describe.cores_present(), describe.cores_allowed(), describe.cpu_quota()),
        *load.governor(describe.governor()),
        *clock.check(describe.clock_step()),
        *space.check(),
    ]
    time.sleep(max(0.0, began + WATCH - time.monotonic()))
    found += load.check(
        machine_load.between(before, machine_load.snapshot()), len(describe.cores_allowed())
    )
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))
