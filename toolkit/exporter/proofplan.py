"""The contract, the feeds, the oracle and the sizes that an exported file is proven with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from onnx import ModelProto

from toolkit.errors import InputError
from toolkit.exporter import acceptable, convert
from toolkit.exporter.acceptable import Chosen
from toolkit.exporter.proof import Contract
from toolkit.exporter.request import ExportRequest
from toolkit.exporter.resampled import Resampled
from toolkit.exporter.specialised import Narrowed
from toolkit.feeds import drawing, uses, variations
from toolkit.feeds.digits import Digits
from toolkit.feeds.feed import Feed
from toolkit.feeds.sizes import Dims
from toolkit.oracle import oracles
from toolkit.oracle.oracles import Oracle, RefusedFeed
from toolkit.oracle.sizesweep import Sizes
from toolkit.sources import exchange, reference
from toolkit.sources.inputs import dimensions
from toolkit.units import Seconds

ORACLE = 1 / 4
"""The oracle's share of a proof: its graph in float64 takes as long, and as long again its numbers
in float32 and what they are judged by (profiles of BERT-base and ResNet-50)."""
RAISED = 2.0
"""The time of a call in float64 over that in float32 (ViT-B/16, Whisper's encoder)."""
TWO_CALLS = 1.5
"""How much of the oracle's time two calls in float64 may take, the one at the least sizes and the
one just beyond the traced: otherwise float32 alone is compared there. ViT-B/16 takes 2.5 to 4 times
of it, Whisper's encoder 4 to 7."""
LEAST: Seconds = 0.5
"""Time that the oracle's calls may take in any case: small models are proven at all sizes."""


def contract(request: ExportRequest) -> Contract:
    """The inputs and outputs that the file should have, in the order in which it has them."""
    specs = {spec.name: spec for spec in request.specs}
    names = tuple(request.traced.tensors)
    return Contract(
        tuple(specs[name] for name in names),
        tuple(convert.distinct(request.traced.outputs, names)),
        request.reference,
        _rounding(request),
    )


def _rounding(request: ExportRequest) -> float:
    """Half a step of float16 or bfloat16 where the module has weights or inputs in them; else 0."""
    import torch

    tensors = (*request.module.parameters(), *request.traced.tensors.values())
    types = {each.dtype for each in tensors} & {torch.float16, torch.bfloat16}
    return max((float(torch.finfo(each).eps) / 2 for each in types), default=0.0)


def draws(request: ExportRequest, model: ModelProto, first: Dims) -> Chosen:
    """Gives digits, the user's own values or what fits the graph, the first that there is.

    `first` are the sizes of the first call: what the module is tried with there, it answers for
    the proof too.
    """
    if request.reference:
        return Chosen(Digits(reference.INPUT))
    if request.own_values:
        tensors = request.traced.tensors
        values = {name: exchange.array(tensor.detach()) for name, tensor in tensors.items()}
        return Chosen(Resampled(request.specs, values, request.traced.sizes, uses.of(model)))
    drawn = drawing.drawer(model, request.specs, kinds=request.traced.kinds)
    return acceptable.of(request, drawn, [first])


def sizes(request: ExportRequest, suspects: Sequence[Narrowed], converting: Seconds) -> Sizes:
    """The traced sizes, others in the stated ranges, and those at which torch is suspected: as many
    as a proof can look at within half the time that `converting` took."""
    allowance = max(LEAST, ORACLE * converting / 2)
    # One at the traced sizes, one at the least and one just beyond take about as long as three; a
    # call of a module that was held up by other work is not to leave out sizes.
    called = RAISED * request.traced.seconds
    dear = 3 * called > 2 * allowance and not request.reference
    at = Sizes(
        request.traced.sizes,
        dimensions(request.inputs),
        {"batch": [n for n in reference.JUDGED_BATCHES if n != 2]} if request.reference else {},
        # A limit that toolkit took by itself is to be seen to hold at its very end.
        [
            *({**request.traced.sizes, **limit.end} for limit in request.own_limits),
            *request.before,
            *(suspect.dims(request.traced) for suspect in suspects),
        ],
        allowance,
        dear=dear,
    )
    two = at.work(at.least() or at.traced) + at.work(variations.just_beyond(at.traced, at.ranges))
    return replace(at, dearer=dear and two * called > TWO_CALLS * allowance)


def oracle(request: ExportRequest, chosen: Chosen, at: Sizes) -> tuple[Oracle, Sizes]:
    """The module in float64, and the sizes with the time and place of its first call. Raises
    InputError where it refuses what is drawn for it."""
    if at.first() != at.traced:
        try:
            return _oracle(request, chosen, replace(at, called_at=at.first()))
        except RefusedFeed:
            at = replace(at, dear=False)  # Which sizes it refuses the sweep will say.
    try:
        return _oracle(request, chosen, at)
    except RefusedFeed as error:
        feed = chosen.draws.draw(at.called_at or at.traced)
        raise _refused(request, feed, error) from error


def _refused(request: ExportRequest, feed: Feed, error: RefusedFeed) -> InputError:
    """The last resort: no drawing is what the module takes. It names the input and the operator,
    where they are known."""
    name, operator = acceptable.at_fault(request, feed)
    where = " ".join(
        [f"input {name!r}"] * (name is not None) + [f"in {operator}"] * (operator is not None)
    )
    return InputError(
        f"drawn inputs are not what this module takes: {where + ': ' if where else ''}{error.what}",
        "a function example_inputs() beside the factory gives real ones",
    )


def _oracle(request: ExportRequest, chosen: Chosen, at: Sizes) -> tuple[Oracle, Sizes]:
    probe = chosen.draws.draw(at.called_at or at.traced)
    is_answered = chosen.feed is not None and chosen.feed.dims == probe.dims
    plain = chosen.outputs if is_answered else None
    began = time.perf_counter()
    made = oracles.of_module(request.module, request.specs, probe.arrays, plain)
    return made, replace(at, call=time.perf_counter() - began)
