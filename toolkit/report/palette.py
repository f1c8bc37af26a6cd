"""Assigns the colours: a runtime keeps its own in every plot and every report.

M. Okabe, K. Ito, *Color Universal Design*, 2008: eight colours that the colour-blind tell apart.
Vermillion is kept for wrong answers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from toolkit.report.view import ShownTarget

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, YELLOW, GREY = "#56B4E9", "#C9B800", "#808080"
"""Grey stands for Okabe and Ito's black, which a dark page would swallow; their yellow (#F0E442) is
darkened, which a white page would."""
WRONG = "#D55E00"
"""Okabe and Ito's vermillion."""

FREE = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
"""The colours that a runtime of a plug-in may get."""
KNOWN = {
    "onnxruntime": BLUE,
    "torch": ORANGE,
    "openvino": GREEN,
    "iree": PURPLE,
    "tensorrt": YELLOW,
    "tvm": SKY,
    "reference": GREY,
    "fake": GREY,
}
"""Fixed, so that the runtimes that are compared most never share a colour."""
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 2, 2, 2), (12, 3))
"""The dashes (pixels drawn, pixels left out) that tell lines of one colour apart."""

STAGES = {"import": "#5a6572", "load": "#8894a1", "first call": "#b4bdc7", "new shape": "#d9dee3"}
"""The parts of a cold start are greys, since a colour is a runtime."""
PARTS = {
    "copies in": "#5a6572",
    "compute": "#b4bdc7",
    "copies out": "#8894a1",
    "whole call": "#d9dee3",
}
"""The parts of a call, in greys too."""


def colour(runtime: str) -> str:
    """The colour of a runtime; a plug-in's, which is not known here, is drawn from its name."""
    # crc32 and not hash(): hash() differs from process to process.
    return KNOWN.get(runtime) or FREE[zlib.crc32(runtime.encode()) % len(FREE)]


def colours(targets: Sequence[ShownTarget]) -> dict[str, str]:
    """The name of each target → its colour."""
    return {target.name: colour(target.planned.runtime) for target in targets}


def dashes(targets: Sequence[ShownTarget]) -> dict[str, tuple[int, ...]]:
    """The name of each target → its dash: the first of a colour is solid, each next one differs."""
    users: dict[str, int] = {}
    by_name: dict[str, tuple[int, ...]] = {}
    for name, shade in colours(targets).items():
        before = users.get(shade, 0)
        users[shade] = before + 1
        by_name[name] = DASHES[before % len(DASHES)]
    return by_name
