"""Assigns colours and shapes: a runtime keeps its own in every plot and every report.

M. Okabe, K. Ito, *Color Universal Design*, 2008: eight colours that the colour-blind tell apart.
Vermillion is kept for wrong answers.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from toolkit.report.view import ShownTarget

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, YELLOW, GREY = "#56B4E9", "#C9B800", "#808080"
"""Grey stands for Okabe and Ito's black, which a dark page would swallow; their yellow (#F0E442) is
darkened, which a white page would."""
WRONG = "#D55E00"
"""Okabe and Ito's vermillion."""


class MarkStyle(NamedTuple):
    """The colour and the shape of a runtime's marks."""

    colour: str
    shape: str
    """A shape of Vega's."""


OUTLINES = {
    "circle": "M-.9 0A.9 .9 0 1 1 .9 0A.9 .9 0 1 1 -.9 0Z",
    "square": "M-.8 -.8H.8V.8H-.8Z",
    "diamond": "M0 -1L.8 0L0 1L-.8 0Z",
    "triangle-up": "M0 -.9L1 .8H-1Z",
    "triangle-down": "M0 .9L1 -.8H-1Z",
    "triangle-right": "M.9 0L-.8 1V-1Z",
}
"""Shape → its outline as an SVG path around the origin, from -1 to 1. Vega's cross is no runtime's:
it stands for wrong answers."""
LOOKS = {
    "onnxruntime": MarkStyle(BLUE, "circle"),
    "onnxruntime-node": MarkStyle(BLUE, "square"),
    "onnxruntime-openvino": MarkStyle(BLUE, "diamond"),
    "onnxruntime-web": MarkStyle(BLUE, "triangle-up"),
    "torch": MarkStyle(ORANGE, "circle"),
    "executorch": MarkStyle(ORANGE, "square"),
    "openvino": MarkStyle(GREEN, "circle"),
    "opencv": MarkStyle(GREEN, "square"),
    "ncnn": MarkStyle(GREEN, "diamond"),
    "iree": MarkStyle(PURPLE, "circle"),
    "tract": MarkStyle(PURPLE, "square"),
    "tvm": MarkStyle(SKY, "circle"),
    "tinygrad": MarkStyle(SKY, "square"),
    "litert": MarkStyle(YELLOW, "circle"),
    "mnn": MarkStyle(YELLOW, "square"),
    "tensorrt": MarkStyle(YELLOW, "diamond"),
    "reference": MarkStyle(GREY, "circle"),
    "fake": MarkStyle(GREY, "square"),
}
"""Fixed and each its own, so that a runtime is known by it in every plot and every report. Those
that are compared most never share a colour; what shares one shares code or a purpose."""
FREE = [
    MarkStyle(colour, shape)
    for shape in ("triangle-down", "triangle-right")
    for colour in (BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW)
]
"""The looks that the runtime of a plug-in may get: no other one's."""
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


def look(runtime: str) -> MarkStyle:
    """The look of a runtime; a plug-in's, which is not known here, is drawn from its name."""
    # crc32 and not hash(): hash() differs from process to process.
    return LOOKS.get(runtime) or FREE[zlib.crc32(runtime.encode()) % len(FREE)]


def looks(targets: Sequence[ShownTarget]) -> dict[str, MarkStyle]:
    """The name of each target → the look of its runtime."""
    return {target.name: look(target.planned.runtime) for target in targets}


def dashes(targets: Sequence[ShownTarget]) -> dict[str, tuple[int, ...]]:
    """The name of each target → its dash: the first of a colour is solid, each next one differs."""
    users: dict[str, int] = {}
    by_name: dict[str, tuple[int, ...]] = {}
    for name, (shade, _) in looks(targets).items():
        before = users.get(shade, 0)
        users[shade] = before + 1
        by_name[name] = DASHES[before % len(DASHES)]
    return by_name
