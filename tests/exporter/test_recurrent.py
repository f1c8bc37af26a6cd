"""Recurrent layers that torch cannot trace are exported, at dynamic lengths and packed too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from toolkit.errors import ProofError
from toolkit.exporter import recurrent
from toolkit.pipelines.export import export

pytestmark = pytest.mark.export

NET = """
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

class Last(nn.Module):
    "The outputs of a layer and its last states, from states that are no zeros."
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
    def forward(self, x):
        count = self.layer.num_layers * (1 + self.layer.bidirectional)
        width = self.layer.proj_size or self.layer.hidden_size
        h = x.mean() + torch.ones(count, x.shape[1 - self.layer.batch_first], width)
        if isinstance(self.layer, nn.LSTM):
            h = (h, x.mean() - torch.ones(count, h.shape[1], self.layer.hidden_size))
        return self.layer(x, h)

class Packed(nn.Module):
    "Rows of several lengths, first through a layer that sees each row alone."
    def __init__(self, layer, total=False):
        super().__init__()
        self.layer, self.total, self.scale = layer, total, nn.Linear(4, 4)
    def forward(self, x, lengths):
        rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        rows = PackedSequence(
            self.scale(rows.data), rows.batch_sizes, rows.sorted_indices, rows.unsorted_indices
        )
        y, last = self.layer(rows)
        total = x.shape[1] if self.total else None
        padded = pad_packed_sequence(y, batch_first=True, padding_value=-2.0, total_length=total)
        return padded, last

def rnn():
    return Last(nn.RNN(4, 3, num_layers=2, nonlinearity="relu", bidirectional=True))

def rnn_without_bias():
    return Last(nn.RNN(4, 3, bias=False, batch_first=True))

def projected():
    return Last(nn.LSTM(4, 5, num_layers=2, proj_size=3, bidirectional=True, batch_first=True))

def projected_without_bias():
    return Last(nn.LSTM(4, 5, proj_size=3, bias=False))

def packed_rnn():
    return Packed(nn.RNN(4, 3))

def packed_gru():
    return Packed(nn.GRU(4, 3, num_layers=2, bidirectional=True), total=True)

def packed_lstm():
    return Packed(nn.LSTM(4, 5, bidirectional=True))

def packed_projected():
    return Packed(nn.LSTM(4, 5, proj_size=3, bidirectional=True))

def packed_mean():
    "A mean over the rows of a packed sequence, which counts them."
    class Mean(nn.Module):
        def forward(self, x, lengths):
            rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return rows.data.mean()
    return Mean()
"""
ROWS = ("x:float32[batch,time=5,4]",)
STEPS = ("x:float32[time=5,batch=3,4]",)
PACKED = (*ROWS, "lengths:int64[batch]")


@pytest.mark.parametrize(
    ("name", "inputs", "operators"),
    [
        ("rnn", STEPS, {"RNN": 2}),
        ("rnn_without_bias", ROWS, {"RNN": 1}),
        ("projected", ROWS, {"LSTM": 2}),
        ("projected_without_bias", STEPS, {"LSTM": 1}),
        ("packed_rnn", PACKED, {"RNN": 1}),
        ("packed_gru", PACKED, {"GRU": 2}),
        ("packed_lstm", PACKED, {"LSTM": 1}),
        ("packed_projected", PACKED, {"LSTM": 1}),
    ],
)
def test_a_recurrent_layer_is_one_operator_of_the_file(
    tmp_path: Path, name: str, inputs: tuple[str, ...], operators: dict[str, int]
) -> None:
    (tmp_path / "net.py").write_text(NET)

    exported = export(f"{tmp_path}/net.py:{name}", tmp_path / "net.onnx", input=inputs)

    assert exported.way == "dynamo"
    assert exported.proof.holds
    assert {k: n for k, n in exported.facts.operators.items() if k in ("RNN", "GRU", "LSTM")} == (
        operators
    )


def test_whoever_counts_the_rows_of_a_packed_sequence_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)

    with pytest.raises(ProofError):
        export(f"{tmp_path}/net.py:packed_mean", tmp_path / "net.onnx", input=PACKED)

    assert not (tmp_path / "net.onnx").exists()


def test_pytorchs_own_functions_are_left_as_they_were() -> None:
    check = torch.nn.LSTM.check_forward_args

    with recurrent.traced():
        pass

    assert torch.nn.LSTM.check_forward_args is check
