"""Computes features of sound and text: mel filters, counts of n-grams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from onnx import helper
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class MelWeightMatrix(OpRun):
    """Triangular filters whose edges lie at equal distances on the mel scale: (bins of the
    spectrum, filters).

    An edge is the last bin at or below its frequency, as in ONNX's reference and ONNX Runtime: a
    frequency that lies on a bin may fall to another one by float32's noise.
    """

    def _run(
        self,
        num_mel_bins: Array,
        dft_length: Array,
        sample_rate: Array,
        lower_edge_hertz: Array,
        upper_edge_hertz: Array,
        output_datatype: int = 1,
    ) -> Outputs:
        filters, length = int(num_mel_bins), int(dft_length)
        low, high = (
            2595 * np.log10(1 + np.float64(hertz) / 700)
            for hertz in (lower_edge_hertz, upper_edge_hertz)
        )
        mels = low + np.arange(filters + 2) * ((high - low) / (filters + 2))
        edges = (length + 1) * 700 * (10 ** (mels / 2595) - 1) // int(sample_rate)
        left, middle, right = edges[:-2], edges[1:-1], edges[2:]  # (filters,) each
        bins = np.arange(length // 2 + 1)[:, None]
        # A side of no width has its peak alone.
        rising = np.where(left == middle, 1, (bins - left) / (middle - left))
        falling = (right - bins) / (right - middle)
        matrix = np.where(bins <= middle, rising * (bins >= left), falling * (bins < right))
        dtype = helper.tensor_dtype_to_np_dtype(output_datatype)
        return (np.where(np.isnan(matrix), 0, matrix).astype(dtype),)


class TfIdfVectorizer(OpRun):
    """Counts the n-grams of a pool in each row, between whose tokens up to max_skip_count others
    lie: x (B, tokens) or (tokens,) → (B, most of ngram_indexes + 1).

    A weight belongs to an n-gram of the pool: so the standard says and ONNX Runtime does, while the
    evaluator takes it for a column's.
    """

    makes = np.float32
    """The type of its output where the file is run as it is: no input has it."""

    def _run(
        self,
        x: Array,
        max_gram_length: int,
        max_skip_count: int,
        min_gram_length: int,
        mode: str,
        ngram_counts: Sequence[int],
        ngram_indexes: Sequence[int],
        pool_int64s: Sequence[int] | None = None,
        pool_strings: Sequence[str] | None = None,
        weights: Sequence[float] | None = None,
    ) -> Outputs:
        rows = np.atleast_2d(x)
        pool = np.array(pool_int64s or pool_strings)
        _, numbers = np.unique(np.concatenate([pool, rows.ravel()]), return_inverse=True)
        tokens = numbers[len(pool) :].reshape(rows.shape)
        counts = np.zeros((len(rows), len(ngram_indexes)))  # of each n-gram
        first = 0
        for size, grams in enumerate(_by_size(numbers[: len(pool)], ngram_counts), start=1):
            if min_gram_length <= size <= max_gram_length and len(grams):
                # A single token has nothing between its tokens.
                for step in range(1, max_skip_count + 2 if size > 1 else 2):
                    own = _counted(_windows(tokens, size, step), grams)
                    counts[:, first : first + len(grams)] += own
            first += len(grams)
        if mode == "IDF":
            counts = np.minimum(counts, 1)
        if weights and mode != "TF":
            counts = counts * np.array(weights)
        columns = np.zeros((len(rows), max(ngram_indexes) + 1))
        np.add.at(columns.T, np.array(ngram_indexes), counts.T)
        return (columns.reshape(*x.shape[:-1], -1),)


def _by_size(pool: Array, starts: Sequence[int]) -> list[Array]:
    """Gives the n-grams of each size, one a row; `starts` says where those of a size begin."""
    parts = np.split(pool, starts[1:])
    return [part[: len(part) // n * n].reshape(-1, n) for n, part in enumerate(parts, start=1)]


def _windows(tokens: Array, size: int, step: int) -> Array:
    """Gives all runs of tokens that lie `step` apart: (B, runs, size)."""
    reach = (size - 1) * step + 1
    if tokens.shape[1] < reach:
        return np.zeros((len(tokens), 0, size), tokens.dtype)
    return np.lib.stride_tricks.sliding_window_view(tokens, reach, 1)[..., ::step]


def _counted(windows: Array, grams: Array) -> Array:
    """Counts how many windows (B, runs, size) are each of the n-grams (number, size): (B, number).
    Of equal n-grams only the last has a count."""
    flat = windows.reshape(-1, windows.shape[2])
    _, kinds = np.unique(np.concatenate([grams, flat]), axis=0, return_inverse=True)
    number = np.full(kinds.max() + 1, len(grams))  # what is no n-gram counts behind them
    number[kinds[: len(grams)]] = np.arange(len(grams))
    counts = np.zeros((len(windows), len(grams) + 1))
    rows = np.repeat(np.arange(len(windows)), windows.shape[1])
    np.add.at(counts, (rows, number[kinds[len(grams) :]]), 1)
    return counts[:, :-1]


OWN = (MelWeightMatrix, TfIdfVectorizer)
