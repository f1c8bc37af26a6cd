"""Leaves out of all verdicts what a mask with padding on the left switches off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolkit.engine import judges
from toolkit.onnxfiles import masks
from toolkit.onnxfiles.modelfile import Opened
from toolkit.oracle import unread
from toolkit.oracle.oracles import Expected, Oracle

TOLD = (
    "nothing is compared where a mask switches positions off on the left: they may look at nothing"
    " but padding, and nobody reads them"
)


def left_out(opened: Opened, oracle: Oracle, expected: Sequence[Expected]) -> list[Expected]:
    """The feeds with the positions that their masks switch off (`oracle/unread.py`), of those whose
    masks begin so: to find them takes another call of the oracle."""
    facts, names = opened.facts, masks.inputs(opened.model)
    return [
        replace(
            each,
            unread=unread.positions(
                oracle,
                facts.inputs,
                facts.outputs,
                names,
                each.feed.arrays,
                judges.by_file_names(facts, each.outputs),
            ),
        )
        if any(unread.begins_off(each.feed.arrays[name]) for name in names)
        else each
        for each in expected
    ]
