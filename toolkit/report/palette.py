"""Colours: a runtime keeps its own in every plot and every report.

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

FREE = (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
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
DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 2, 2, 2), (12, 3))
"""Lines of one colour are told apart by these."""

STAGES = {"import": "#5a6572", "load": "#8894a1", "first call": "#b4bdc7", "new shape": "#d9dee3"}
"""Parts of a cold start: greys, since a colour is a runtime."""
PARTS = {
    "copies in": "#5a6572",
    "compute": "#b4bdc7",
    "copies out": "#8894a1",
    "whole call": "#d9dee3",
}
"""Parts of a call."""


def colour(runtime: str) -> str:
    """Of a runtime; one that is not known here gets the same colour every time too."""
    return KNOWN.get(runtime) or FREE[zlib.crc32(runtime.encode()) % len(FREE)]


def colours(targets: Sequence[ShownTarget]) -> dict[str, str]:
    """Name → colour."""
    return {one.name: colour(one.planned.runtime) for one in targets}


def dashes(targets: Sequence[ShownTarget]) -> dict[str, tuple[int, ...]]:
    """Name → dash: solid for the first of a colour, then another for each."""
    seen: dict[str, int] = {}
    found: dict[str, tuple[int, ...]] = {}
    for name, shade in colours(targets).items():
        place = seen.get(shade, 0)
        seen[shade] = place + 1
        found[name] = DASHES[place % len(DASHES)]
    return found
