"""Tells a choice among equals from another function, where a file's outputs are chosen or gathered.

The constants of a file are rounded to float32, and two logits of the module that are closer than
float32's noise may stand in another order in it. Such a file is the module's function, if its
outputs are the module's once they are gathered by the module's own choice (choosing.py).

What is equal is said by the file's logits, since a module shows only its outputs. So that a file
whose logits are equal by a fault is found, they must be among the outputs that are compared, as a
detector's scores are; or equal ones must be as rare as chance makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.answers import choosing, gathered, intermediates
from toolkit.answers.choosing import FeedChoice
from toolkit.answers.gathered import Chooser, Gathering
from toolkit.onnxfiles import thinmodels
from toolkit.onnxfiles.modelfile import Opened
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array, Feed

RARE = 0.01
"""The share of what was chosen that may have an equal where no output shows the logits. Of 421 to
541 boxes of a detector with random weights one to four had; of a file whose scores are all alike,
all have."""


@dataclass(frozen=True)
class FileChoices:
    """The operators of a file that choose what its outputs hold."""

    outputs: tuple[str, ...]
    """The names of the file's own outputs."""
    exposed: ThinModel
    """The file with all that they choose from as further outputs."""
    choosers: Mapping[Chooser, Mapping[str, Gathering]]

    def on(self, feed: Feed) -> tuple[FileChoice, ...]:
        """Follows each of them on one feed, where that can be done."""
        try:
            exact = Evaluator(self.exposed).run(feed)
            plain = Evaluator(self.exposed, exact=False).run(feed)
        except Unsupported:  # The outputs alone were computed: they are held to what they are.
            return ()
        known = (
            choosing.of_feeds(chooser, outputs, [exact], [[plain]])
            for chooser, outputs in self.choosers.items()
        )
        found = (FileChoice(each[0], exact) for each in known if each)
        return tuple(each for each in found if self._is_honest(each.choice, exact))

    def _is_honest(self, choice: FeedChoice, exact: Mapping[str, Array]) -> bool:
        """Says whether a fault in the logits would be seen, if it made them equal."""
        shown = any(choice.shown_by(exact[name]) for name in self.outputs)
        return shown or choice.free <= RARE * choice.chosen.size


def of_file(opened: Opened) -> FileChoices | None:
    """Finds the operators that choose for the outputs of a file; None: there are none."""
    model = thinmodels.of_opened(opened)
    behind = intermediates.find(model.proto)
    exposed = intermediates.exposed(model, behind)
    shown = {output.name for output in exposed.proto.graph.output}
    choosers = {
        chooser: outputs
        for chooser, outputs in gathered.together(behind.gathered).items()
        if shown.issuperset(name for each in outputs.values() for name in each.tensors())
    }
    outputs = tuple(output.name for output in model.proto.graph.output)
    return FileChoices(outputs, exposed, choosers) if choosers else None


@dataclass(frozen=True)
class FileChoice:
    """The choice that a file makes in float64, on one feed."""

    choice: FeedChoice
    exact: Mapping[str, Array]
    """The file's tensors in float64."""

    def as_in(self, right: Mapping[str, Array]) -> tuple[dict[str, Array], int]:
        """Gathers the file's outputs as the module's are, which are `right`.

        Returns those that this choice decides, and how many slices were gathered by another one;
        no outputs where there is none.
        """
        chosen = self.choice.of_answer(right)
        moved = 0 if chosen is None else choosing.moved(chosen, self.choice.chosen)
        if chosen is None or not moved:
            return {}, 0
        again = {
            name: self.choice.gathered(name, chosen, self.exact, right[name].shape)
            for name in self.choice.outputs
        }
        return again, moved

    def in_both(
        self, answer: Mapping[str, Array], right: Mapping[str, Array]
    ) -> dict[str, tuple[Array, Array]]:
        """Takes of two answers' outputs the slices that both hold, in one order; no slices where
        one of them shows no choice among equals."""
        mine, theirs = self.choice.of_answer(answer), self.choice.of_answer(right)
        if mine is None or theirs is None:
            return {name: (right[name][:0], right[name][:0]) for name in self.choice.outputs}
        _, here, there = np.intersect1d(mine, theirs, return_indices=True)
        return {
            name: (self.choice.slices(name, answer)[here], self.choice.slices(name, right)[there])
            for name in self.choice.outputs
        }
