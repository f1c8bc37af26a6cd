"""Does the processor have the instructions on which the answers of int8 files depend?"""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.doctor.finding import Finding, note, ok
from toolkit.machine.features import saturates

TOPIC = "processor"


def check(features: Sequence[str]) -> list[Finding]:
    """Says what the processor has, and what int8 files lack on it.

    `features`: those of `toolkit.machine.features.NAMES` that it has; empty: they are not known.
    """
    if not features:
        return [ok(TOPIC, "the system does not tell its instruction sets")]
    if not saturates(features):
        return [ok(TOPIC, ", ".join(features))]
    return [
        note(
            TOPIC,
            f"no VNNI ({', '.join(features)}): int8 files with weights of 8 bits may be wrong here "
            "and right elsewhere",
            "toolkit check MODEL.onnx    says whether a file is",
            "toolkit check MODEL.onnx --target onnxruntime,int8=exact    adds without saturating",
        )
    ]
