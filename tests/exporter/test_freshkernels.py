"""What one export leaves in the process changes nothing of the next."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from toolkit.exporter import convert
from toolkit.exporter.quiet import Chatter
from toolkit.exporter.tracing import Traced
from toolkit.sources import inputs

pytestmark = pytest.mark.export

STATED = inputs.parse_all(["x:float32[batch,seq,3]"])
SIZES = {"batch": 2, "seq": 5}


class Layer(nn.Module):
    """The outputs of a recurrent layer without its states."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.layer(x)[0]
        return output


def free(module: nn.Module) -> set[str]:
    """The dimensions of the input that are free in the exported program."""
    traced = Traced(SIZES, {"x": torch.rand(2, 5, 3)}, ("y",), 0.0)
    program = convert.convert(module.eval(), STATED, traced, opset=None, chatter=Chatter()).program
    inputs_of_graph = [node for node in program.graph.nodes if node.op == "placeholder"]
    (x,) = (node.meta["val"] for node in inputs_of_graph if node.name == "x")
    ranges = {str(symbol) for symbol in program.range_constraints}
    return {
        name
        for name, size in zip(("batch", "seq", "features"), x.shape, strict=True)
        if str(size) in ranges
    }


@pytest.mark.parametrize("kind", [nn.LSTM, pytest.param(nn.GRU, marks=pytest.mark.slow)])
def test_a_recurrent_layer_keeps_its_free_length_in_every_export(
    kind: type[nn.LSTM | nn.GRU],
) -> None:
    module = Layer(kind(3, 2, bidirectional=True, batch_first=True))

    first = free(module)
    again = free(module)

    assert first == again == {"batch", "seq"}


def test_no_form_of_torchs_outlives_the_export() -> None:
    """The form with a loop is for tracing: the user's own process goes on with what it had."""
    operator = torch.ops.aten.lstm.input

    free(Layer(nn.LSTM(3, 2, batch_first=True)))

    assert operator._dispatch_cache == {}
