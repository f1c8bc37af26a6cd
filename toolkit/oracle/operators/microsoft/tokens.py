"""Computes what ONNX Runtime does with the numbers of tokens: hashes of n-grams, which tokens would
repeat one, and where one stands."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array


class NGramRepeatBlock(Fused):
    """Gives the score -inf to each token that would complete an n-gram which its sequence has
    already: input_ids (B, S), scores (B, words)."""

    def compute(self, ids: Array, scores: Array, ngram_size: int) -> Outputs:
        result = scores.copy()
        if ids.shape[1] >= ngram_size:
            grams = np.lib.stride_tricks.sliding_window_view(ids, ngram_size, 1)  # (B, runs, n)
            last = ids[:, ids.shape[1] - ngram_size + 1 :]
            row, run = np.nonzero((grams[..., :-1] == last[:, None]).all(axis=-1))
            result[row, grams[row, run, -1]] = -np.inf
        return (result,)


class BifurcationDetector(Fused):
    """Appends predicted tokens up to and with the first that differs from the source, and finds the
    end of what was written there: the place behind the only n-gram of the source with which the
    tokens end, or -1.

    Longer n-grams are tried while a shorter one stands there several times.
    """

    def compute(
        self,
        source: Array,
        current: Array,
        place: Array,
        predicted: Array | None = None,
        min_ngram_size: int = 1,
        max_ngram_size: int = 3,
    ) -> Outputs:
        tokens = current
        if predicted is not None:
            rest = source[int(place.item()) :]
            same = np.cumprod(predicted[: len(rest)] == rest).sum()
            tokens = np.concatenate([current, predicted[: same + 1]])
        behind = -1
        for size in range(min_ngram_size, min(max_ngram_size, len(tokens), len(source)) + 1):
            grams = np.lib.stride_tricks.sliding_window_view(source, size)
            (starts,) = np.nonzero((grams == tokens[len(tokens) - size :]).all(axis=1))
            if len(starts) == 1:
                behind = int(starts[0]) + size
            if len(starts) < 2:
                break
        return tokens, np.array([behind])


@dataclass(frozen=True)
class _Hash:
    """How tokens become numbers: the n-grams that end at a token, each of its own length, have
    several heads each, and a head has a table of its own size."""

    multipliers: Array
    """A factor for each place of an n-gram, the token's own first."""
    sizes: Array
    offsets: Array | None
    before: int
    """Tokens before its own that the longest n-gram has."""
    missing: Array
    """What stands for a token before the sequence or beyond a reset."""
    resets: bool
    """Whether a sequence begins anew behind a token `missing`."""

    def extended(self, ids: Array, past: Array | None) -> Array:
        """Lays the tokens that were before, (B, before), in front of ids (B, T)."""
        if past is None:
            past = np.full((len(ids), self.before), self.missing, ids.dtype)
        return np.concatenate([past, ids], axis=1)

    def numbers(self, history: Array, segments: Array) -> Array:
        """Gives the numbers of each token, (B, T, heads); history and its segments are (B, before +
        T)."""
        places = np.arange(history.shape[1])
        begins = np.diff(segments, axis=1, prepend=segments[:, :1]) != 0
        if self.resets:
            begins[:, 1:] |= history[:, :-1] == self.missing
        # The first place that each token may look back to.
        first = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
        heads = len(self.sizes) // self.before
        mixed = history * self.multipliers[0]
        columns = []
        for back in range(1, self.before + 1):
            seen = np.where(places - back >= first, np.roll(history, back, axis=1), self.missing)
            mixed = mixed ^ (seen * self.multipliers[back])
            columns.append(mixed[..., None] % self.sizes[(back - 1) * heads : back * heads])
        numbers = np.concatenate(columns, axis=-1)[:, self.before :]
        return np.asarray(numbers if self.offsets is None else numbers + self.offsets)


def _hash(
    ids: Array,
    multipliers: Array,
    sizes: Array,
    offsets: Array | None,
    eos: Array | None,
    how: Mapping[str, int],
) -> _Hash:
    missing = np.array(how["pad_id"], ids.dtype) if eos is None else eos.reshape(())
    resets = bool(how.get("reset_on_eos")) and eos is not None
    return _Hash(multipliers, sizes, offsets, how["max_ngram_size"] - 1, missing, resets)


def _known(segments: Array, past: Array | None, before: int) -> Array:
    """Lays the segments of the tokens that were before in front. Where they are not known they are
    that of the first token."""
    if past is None:
        return np.pad(segments, [(0, 0), (before, 0)], mode="edge")
    return np.concatenate([past, segments], axis=1)


class NGramHashMapping(Fused):
    """Hashes each token and those before it: ids (B, T) → (B, T, heads), and the last
    max_ngram_size - 1 tokens, which the next call takes as its past."""

    def compute(
        self,
        ids: Array,
        multipliers: Array,
        vocab_sizes: Array,
        past_ids: Array | None = None,
        head_offsets: Array | None = None,
        eos: Array | None = None,
        segment_ids: Array | None = None,
        **how: int,
    ) -> Outputs:
        hashes = _hash(ids, multipliers, vocab_sizes, head_offsets, eos, how)
        history = hashes.extended(ids, past_ids)
        segments = np.zeros_like(ids) if segment_ids is None else segment_ids
        numbers = hashes.numbers(history, _known(segments, None, hashes.before))
        return numbers, history[:, ids.shape[1] :]


class VarlenNGramHashMapping(Fused):
    """Hashes the tokens of several sequences one behind the other, (tokens) → (tokens, heads), of
    which `cumulative` says where each begins and ends; the pasts are (B, max_ngram_size - 1).
    Captured states are refused."""

    def compute(
        self,
        ids: Array,
        multipliers: Array,
        vocab_sizes: Array,
        cumulative: Array,
        past_ids: Array | None = None,
        head_offsets: Array | None = None,
        eos: Array | None = None,
        segment_ids: Array | None = None,
        past_segment_ids: Array | None = None,
        capture_count: Array | None = None,
        state_update_capacity: int = 0,
        **how: int,
    ) -> Outputs:
        refuse_unless(not state_update_capacity, "state_update_capacity")
        hashes = _hash(ids, multipliers, vocab_sizes, head_offsets, eos, how)
        segments = np.zeros(len(ids), np.int32) if segment_ids is None else segment_ids
        results = []
        for number, (first, end) in enumerate(itertools.pairwise(cumulative)):
            past, before = (
                None if each is None else each[number : number + 1]
                for each in (past_ids, past_segment_ids)
            )
            history = hashes.extended(ids[None, first:end], past)
            known = _known(segments[None, first:end], before, hashes.before)
            length = end - first
            results.append((hashes.numbers(history, known), history[:, length:], known[:, length:]))
        numbers, pasts, past_segments = zip(*results, strict=True)
        return (
            np.concatenate(numbers, axis=1)[0],
            np.concatenate(pasts),
            np.concatenate(past_segments),
        )


class MurmurHash3(Fused):
    """Hashes the bytes of each whole number to 32 bits (Appleby, MurmurHash3_x86_32, 2008).

    Raises NotImplementedError for floats, which are raised here, and for strings.
    """

    def compute(self, x: Array, positive: int = 1, seed: int = 0) -> Outputs:
        refuse_unless(x.dtype.kind in "iu", f"the bits of what is {x.dtype} here")
        words = np.ascontiguousarray(x)[..., None].view(np.uint32)
        mixed = np.full(x.shape, seed, np.uint32)
        for place in range(words.shape[-1]):
            word = _rotated(words[..., place] * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
            mixed = _rotated(mixed ^ word, 13) * np.uint32(5) + np.uint32(0xE6546B64)
        mixed = mixed ^ np.uint32(x.dtype.itemsize)
        mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        mixed = mixed ^ (mixed >> np.uint32(16))
        return (mixed if positive else mixed.view(np.int32),)


def _rotated(x: Array, bits: int) -> Array:
    return np.asarray((x << np.uint32(bits)) | (x >> np.uint32(32 - bits)))


OWN = (
    BifurcationDetector,
    MurmurHash3,
    NGramHashMapping,
    NGramRepeatBlock,
    VarlenNGramHashMapping,
)
