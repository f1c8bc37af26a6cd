"""Texts made ready by tokenizer.json beside a model (Hugging Face's tokenizers)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data import besides, extra
from toolkit.data.examples import Inputs
from toolkit.errors import InputError, typed_line
from toolkit.tensors import TensorSpec

FILE = "tokenizer.json"
PARTS = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Input of a model → what the tokenizer calls it."""
LONGEST = 4096
"""Tokens of a text where neither file nor model says how many it may have."""
PADS = ("[PAD]", "<pad>", "<|endoftext|>", "</s>")
"""Tokens that fill up, the first that the tokenizer has."""


@dataclass(frozen=True)
class TextProcessor:
    """The tokenizer of one file, for the inputs of a model."""

    tokenizer: Any
    inputs: Sequence[TensorSpec]
    padding: Mapping[str, float]
    """Input → what fills it up."""

    def __call__(self, text: str) -> Inputs:
        """The inputs of one text, each (tokens,)."""
        encoded = self.tokenizer.encode(text)
        return {
            spec.name: np.array(getattr(encoded, PARTS[spec.name]), np.int64)
            for spec in self.inputs
        }


def beside(folder: Path, inputs: Sequence[TensorSpec]) -> TextProcessor:
    """The tokenizer beside a model, which cuts texts off where the model ends.

    Raises InputError where there is none, where it is damaged, and for other inputs.
    """
    path = folder / FILE
    strange = [spec.name for spec in inputs if spec.name not in PARTS]
    cure = "--preprocess FILE.py:NAME    a function of yours from one row to the inputs"
    if not path.exists():
        raise InputError(f"there is no {FILE} beside the model to make its inputs of texts", cure)
    if strange:
        raise InputError(f"{FILE} makes {', '.join(PARTS)}, not the input {strange[0]!r}", cure)
    library = extra.module("tokenizers", "reading texts")
    try:
        tokenizer = library.Tokenizer.from_buffer(besides.content(path))
    except InputError:
        raise
    except Exception as error:  # The library raises a bare Exception of its own.
        raise InputError(f"{FILE} beside the model cannot be read: {typed_line(error)}") from error
    pad = (tokenizer.padding or {}).get("pad_id")
    if pad is None:
        pad = next((i for each in PADS if (i := tokenizer.token_to_id(each)) is not None), 0)
    tokenizer.no_padding()
    tokenizer.enable_truncation(_longest(folder, tokenizer, inputs))
    return TextProcessor(
        tokenizer, inputs, {spec.name: pad if spec.name == "input_ids" else 0 for spec in inputs}
    )


def _longest(folder: Path, tokenizer: Any, inputs: Sequence[TensorSpec]) -> int:
    """Tokens that a text may have: the least that the model, its tokenizer or its config says."""
    fixed = [spec.shape[1] for spec in inputs if spec.shape and len(spec.shape) == 2]
    said = [
        *fixed,
        (tokenizer.truncation or {}).get("max_length"),
        besides.mapping(folder / "tokenizer_config.json").get("model_max_length"),
        besides.mapping(folder / "config.json").get("max_position_embeddings"),
    ]
    return min([each for each in said if type(each) is int and each > 0], default=LONGEST)
