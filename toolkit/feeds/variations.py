"""Further sizes at which a model is looked at, beside those that it was traced or is timed at.

A fault of a graph often shows at one kind of size only: at 1, which PyTorch broadcasts; at a size
that no stride or head count divides; at one larger than any buffer that the trace has seen. So each
dimension is tried at 1, at a prime, and at a prime above twice its size; one that must be a
multiple of a number, at as many times that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.feeds.sizes import Dims
from toolkit.sources.inputs import Dimension

PRIME = 7
"""A small size that no usual stride, head count or patch divides."""
SMALLER = 3
"""It stands for that prime where so many times a multiple are too large a size."""
LARGE = 64
"""From here on the larger size stays below twice the traced one: of a picture it is looked at with
both sides changed, and what it costs grows with their product."""


def tried(
    traced: Dims,
    ranges: Mapping[str, Dimension] | None = None,
    wanted: Mapping[str, Sequence[int]] | None = None,
) -> list[dict[str, int]]:
    """All sizes to look at: the traced ones, each dimension at others with the rest as traced, and
    all of them changed at once. `wanted` replaces the other sizes of the dimensions that it names.
    """
    ranges, wanted = ranges or {}, wanted or {}
    others = {
        name: wanted.get(name) or alternatives(size, ranges.get(name, Dimension(name)))
        for name, size in traced.items()
    }
    alone = [{**traced, name: size} for name in others for size in others[name]]
    return _distinct([dict(traced), *alone, together(traced, others)])


def together(traced: Dims, others: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """All dimensions changed at once, where they can to different sizes: two dimensions that were
    confused do not stay hidden."""
    changed: dict[str, int] = {}
    for name, size in traced.items():
        own = others.get(name) or (size,)
        changed[name] = next((s for s in reversed(own) if s not in changed.values()), own[-1])
    return changed


def alternatives(traced: int, within: Dimension) -> tuple[int, ...]:
    """Other sizes of one dimension: 1, a prime, and a prime that is larger than the traced one.

    >>> alternatives(16, Dimension("seq")), alternatives(16, Dimension("seq", None, 13, 19))
    ((1, 7, 37), (13, 17, 19))
    >>> alternatives(224, Dimension("height")), alternatives(64, Dimension("height", multiple=32))
    ((1, 7, 443), (32, 96))
    """
    step = within.multiple
    count, least = max(1, traced // step), within.least // step
    small = PRIME if PRIME * step <= max(LARGE, traced) else SMALLER
    low = (1, small) if least <= 1 else (least, _next_prime(least))
    high = _next_prime(2 * count) if traced < LARGE else _last_prime(2 * count)
    counts = (*low, high if high * step in within else (within.most or high * step) // step)
    sizes = (each * step for each in counts)
    return tuple(dict.fromkeys(s for s in sizes if s != traced and s in within))


def just_beyond(traced: Dims, ranges: Mapping[str, Dimension] | None = None) -> dict[str, int]:
    """All dimensions changed to the next primes above their traced sizes, to different ones; those
    whose range ends before that stay as traced.

    >>> just_beyond({"batch": 2, "height": 224, "width": 224})
    {'batch': 3, 'height': 227, 'width': 229}
    """
    changed: dict[str, int] = {}
    for name, size in traced.items():
        within = (ranges or {}).get(name, Dimension(name))
        count = _next_prime(size // within.multiple)
        while count * within.multiple in changed.values():
            count = _next_prime(count)
        beyond = count * within.multiple
        changed[name] = beyond if beyond in within else size
    return changed


def further(traced: int, within: Dimension) -> tuple[int, ...]:
    """Sizes to look at where the module refuses the usual ones: multiples of the traced one,
    and its halves.

    >>> further(16, Dimension("seq", most=40))
    (32, 8, 4)
    """
    sizes = (2 * traced, 3 * traced, 4 * traced, traced // 2, traced // 4)
    return tuple(dict.fromkeys(s for s in sizes if s >= 1 and s != traced and s in within))


def _next_prime(size: int) -> int:
    """The smallest prime above a size."""
    size += 1
    while not _is_prime(size):
        size += 1
    return size


def _last_prime(size: int) -> int:
    """The largest prime up to a size of 2 or more."""
    while not _is_prime(size):
        size -= 1
    return size


def _is_prime(size: int) -> bool:
    return size > 1 and all(size % d for d in range(2, int(size**0.5) + 1))


def _distinct(sizes: Sequence[dict[str, int]]) -> list[dict[str, int]]:
    return list({tuple(dims.items()): dims for dims in sizes}.values())
