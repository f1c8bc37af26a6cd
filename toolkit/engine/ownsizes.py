"""Finds the sizes that a file of a known source is right for, where it is wrong at others.

A file that somebody exported without a proof is often the function of its source up to a limit that
the module states itself, or at multiples of a number: there it is judged, and that is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from toolkit.engine.sizesheld import ENOUGH
from toolkit.errors import InputError
from toolkit.exporter import ownlimits, structure, ties
from toolkit.exporter.multiples import OwnMultiple
from toolkit.exporter.ownlimits import OwnLimit
from toolkit.exporter.proof import ComparedSizes
from toolkit.feeds.feed import Draws, Feed
from toolkit.feeds.sizes import Dims
from toolkit.onnxfiles.modelfile import Opened
from toolkit.oracle import oracles
from toolkit.oracle.oracles import Expected, Oracle, RefusedFeed
from toolkit.oracle.portable import Unsupported
from toolkit.sources import factory
from toolkit.sources.inputs import Dimension
from toolkit.sources.source import Source
from toolkit.tensors import Array


class NotTheSource(InputError):
    """The file is not the function of its source; `compared` says at which sizes it is, and
    `unsupported` why it could not be computed, where it is wrong nowhere else."""

    def __init__(
        self,
        given: Source,
        feed: Feed,
        wrong: ComparedSizes,
        compared: Sequence[ComparedSizes],
        unsupported: str = "",
    ) -> None:
        error = f"they differ by {wrong.error:.2g} of the largest value"
        super().__init__(
            f"the file is not the function of {given.name}: "
            f"in float64, at {feed.name}, {wrong.reason or error}",
            "--source names the module that the file was made from, --weights its weights",
        )
        self.compared = compared
        self.unsupported = unsupported

    @property
    def sizes(self) -> tuple[list[Dims], list[Dims]]:
        """The sizes at which the file is wrong, and those at which it is right."""
        wrong = [each.dims for each in self.compared if each.wrong(structure.CONSTANTS)]
        return wrong, [each.dims for each in self.compared if each.dims not in wrong]


def of(
    opened: Opened,
    oracle: Oracle,
    draws: Draws,
    given: Source,
    timed: Sequence[Feed],
    error: NotTheSource,
) -> tuple[OwnLimit | OwnMultiple, ...]:
    """The sizes that a file is held to, where it is wrong at others; empty where none are found,
    and where a size that is timed is wrong."""
    if any(feed.dims in error.sizes[0] for feed in timed):
        return ()
    limit = _limit(opened, oracle, draws, given, timed, error)
    if limit is not None:
        return (limit,)
    found = tuple(_multiples(opened, oracle, draws, timed[0].dims, error))
    covered = all(
        any(dims[own.dim.name] not in own.dim for own in found) for dims in error.sizes[0]
    )
    fits = all(feed.dims[own.dim.name] in own.dim for own in found for feed in timed)
    return found if covered and fits else ()


def compared(
    opened: Opened,
    oracle: Oracle,
    wanted: Sequence[tuple[Expected, Callable[[], Mapping[str, Array] | None]]],
) -> tuple[list[ComparedSizes], dict[int, str]]:
    """The file's graph in float64 beside what is right, each with a way to its plain float32; and
    by number the feeds for which it cannot be computed, with the reason. Raises Unsupported where
    it cannot be for the first."""
    limit, choices = structure.CONSTANTS, ties.of_file(opened)
    answers = oracles.of_model(opened.model, opened.folder).answer_all(
        [each.feed.arrays for each, _ in wanted]
    )
    all_compared, refused = [], {}
    for number, ((each, plain), answer) in enumerate(zip(wanted, answers, strict=True)):
        if not isinstance(answer, dict):
            if isinstance(answer, RefusedFeed) or not number:
                raise answer
            refused[number] = answer.what
        off = partial(structure.unread_positions, opened, oracle, each)
        all_compared.append(structure.compare(choices, each, answer, limit, plain, off))
    return all_compared, refused


def _limit(
    opened: Opened,
    oracle: Oracle,
    draws: Draws,
    given: Source,
    timed: Sequence[Feed],
    error: NotTheSource,
) -> OwnLimit | None:
    """A limit that the source itself states, where the file is its function at three sizes or more
    below it, at the limit itself, and not at the next size. None where a size that is timed lies
    beyond."""
    wrong, right = error.sizes
    if len(right) < ENOUGH or any(feed.dims in wrong for feed in timed):
        return None
    first = timed[0].dims
    module = factory.build(given)
    for name in first:
        last, beyond = (
            max(dims[name] for dims in right),
            min(dims[name] for dims in wrong),
        )
        for most, origin in ownlimits.between(module, last, beyond - 1):
            at = [{**first, name: size} for size in (most, most + 1)]
            if list(_right(opened, oracle, draws, at)) == [True, False]:
                return OwnLimit(Dimension(name, None, 1, most), origin)
    return None


def _multiples(
    opened: Opened, oracle: Oracle, draws: Draws, first: Dims, error: NotTheSource
) -> Iterator[OwnMultiple]:
    """Of each dimension at which the file is wrong the smallest number, a divisor of the size that
    is timed first, at whose next multiples it is right."""
    wrong, right = error.sizes
    for name, size in first.items():
        off = [dims[name] for dims in wrong if {**dims, name: size} == first]
        held = [dims[name] for dims in right if dims[name] not in (1, size)]
        for number in range(2, size + 1 if off else 0):
            dim = Dimension(name, multiple=number)
            if size % number or any(s in dim for s in off) or any(s not in dim for s in held):
                continue
            nearest = (size + number, size - number, size + 3 * number)
            at = [{**first, name: other} for other in nearest if other > 0]
            if all(_right(opened, oracle, draws, at)):
                yield OwnMultiple(dim, None)
                break


def _right(
    opened: Opened, oracle: Oracle, draws: Draws, at: Sequence[Dims]
) -> Iterator[bool | None]:
    """Whether the file is its source's function at each of some sizes; None where the source itself
    refuses them."""
    for dims in at:
        feed = draws.draw(dims)
        answer = oracle.answer_all([feed.arrays])[0]
        if not isinstance(answer, dict):
            yield None
            continue
        try:
            seen, _ = compared(opened, oracle, [(Expected(feed, answer), lambda: None)])
        except (RefusedFeed, Unsupported):
            yield False
            continue
        yield not seen[0].wrong(structure.CONSTANTS)
