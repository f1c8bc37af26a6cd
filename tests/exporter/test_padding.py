"""What a mask switches off is compared apart, and all that counts as strictly as ever."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import ModelProto
from torch import Tensor, nn

from tests.exporter import models, proofs
from toolkit.exporter.proof import Contract, ExportProof
from toolkit.feeds.feed import Feed
from toolkit.onnxfiles import masks
from toolkit.oracle.sizesweep import Sizes
from toolkit.tensors import Array, TensorSpec

pytestmark = pytest.mark.export

Kind = Literal["int64", "bool", "float32", "inverted"]
KINDS: tuple[Kind, ...] = ("int64", "bool", "float32", "inverted")
LOWEST = torch.finfo(torch.float32).min
AT = Sizes({"batch": 2, "seq": 6})


class Decoder(nn.Module):
    """One layer of causal attention. Its mask is of ones and zeros, of truths, of numbers that are
    added, or true where nothing is."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.embed = nn.Embedding(20, 8)
        self.types = nn.Embedding(2, 8)
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.out = nn.Linear(8, 8)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.embed(ids)
        scores = self.query(x) @ self.key(x).transpose(1, 2)
        causal = torch.ones_like(scores[0]).tril() > 0
        scores = torch.where(causal, scores, LOWEST)
        keys = mask[:, None, :]
        if self.kind == "int64":
            scores = scores + (1 - keys.to(scores.dtype)) * -1e30
        elif self.kind == "float32":
            scores = scores + keys
        else:
            scores = scores.masked_fill(keys if self.kind == "inverted" else ~keys, LOWEST)
        attended: Tensor = x + self.out(scores.softmax(-1) @ self.value(x))
        return attended


class Lost(Decoder):
    """Differs from the decoder where a position may look at nothing, and there alone."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        on = mask
        if self.kind == "float32":
            on = mask > -1
        elif self.kind == "inverted":
            on = ~mask
        seen = on.to(torch.int64).cumsum(1) > 0
        return super().forward(ids, mask) + torch.where(seen, 0.0, 7.0)[..., None]


@dataclass(frozen=True)
class LeftPadded:
    """Feeds whose first positions are switched off, two in the first row and one in the last."""

    kind: Kind

    def draw(self, dims: Mapping[str, int], number: int = 0) -> Feed:
        shape = dims["batch"], dims["seq"]
        random = np.random.default_rng([number, *shape])
        on = np.ones(shape, bool)
        on[0, : min(2, shape[1] - 1)] = False
        on[-1, : min(1, shape[1] - 1)] = False
        mask: dict[Kind, Array] = {
            "int64": on.astype(np.int64),
            "bool": on,
            "float32": np.where(on, 0, LOWEST).astype(np.float32),
            "inverted": ~on,
        }
        arrays = {"ids": random.integers(0, 20, shape), "mask": mask[self.kind]}
        return Feed(dict(dims), "drawn", arrays, number)


def inputs(kind: Kind) -> tuple[str, str]:
    word = "bool" if kind == "inverted" else kind
    return "ids:int64[batch,seq]", f"mask:{word}[batch,seq]"


def exported(module: nn.Module, kind: Kind) -> ModelProto:
    return ir.to_proto(models.converted(module.eval(), *inputs(kind)).model)


def proof(folder: Path, kind: Kind, model: ModelProto) -> ExportProof:
    word = "bool" if kind == "inverted" else kind
    specs = (
        TensorSpec("ids", "int64", ("batch", "seq")),
        TensorSpec("mask", word, ("batch", "seq")),
    )
    contract = Contract(specs, (model.graph.output[0].name,))
    right = Decoder(kind).eval()
    return proofs.proof(folder, right, model, contract, AT, own=LeftPadded(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_difference_where_nobody_reads_is_told_and_no_fault(tmp_path: Path, kind: Kind) -> None:
    model = exported(Lost(kind), kind)

    shown = proof(tmp_path, kind, model)

    assert masks.inputs(model)[-1:] == ["mask"]
    assert not shown.fails, shown.steps
    assert any("mask switches positions off" in d for d in proofs.step(shown, "structure").details)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["embed", "value", "out"])
def test_a_fault_at_positions_that_count_is_refused(tmp_path: Path, kind: Kind, part: str) -> None:
    wrong = Lost(kind)
    weight = getattr(wrong, part).weight
    weight.data[3] *= 1.01

    assert proof(tmp_path, kind, exported(wrong, kind)).fails


def test_types_of_tokens_are_no_mask(tmp_path: Path) -> None:
    """They have the form of a mask, and a fault at those of one type is a fault."""

    class Typed(Decoder):
        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            typed: Tensor = self.out(self.embed(ids) + self.types(mask)).softmax(-1)
            return typed

    right = Typed("int64")
    wrong = copy.deepcopy(right)
    wrong.types.weight.data[0] *= 1.01
    model = exported(wrong, "int64")
    specs = tuple(TensorSpec(name, "int64", ("batch", "seq")) for name in ("ids", "mask"))
    contract = Contract(specs, (model.graph.output[0].name,))

    shown = proofs.proof(tmp_path, right.eval(), model, contract, AT, own=LeftPadded("int64"))

    assert masks.inputs(model) == []
    assert shown.fails
