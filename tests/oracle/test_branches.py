"""Modules with branches and loops of PyTorch's own have an oracle in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop

from toolkit.oracle import oracles
from toolkit.tensors import TensorSpec

pytestmark = pytest.mark.export
WIDTH = 4


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = torch.cond(
            x.sum() > 0, lambda x: self.layer(x) * 2, lambda x: torch.tanh(x) - 1, (x,)
        )
        return result


class Looping(Branching):
    def forward(self, x: Tensor) -> Tensor:
        _, result = while_loop(  # type: ignore[no-untyped-call]
            lambda i, x: i < 3,
            lambda i, x: (i + 1, torch.tanh(self.layer(x))),
            (torch.tensor(0), x),
        )
        assert isinstance(result, Tensor)
        return result


class Scanning(Branching):
    def forward(self, x: Tensor) -> Tensor:
        def step(carried: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
            new = torch.tanh(carried + row)
            return new, new * 2.0

        carried, rows = scan(step, torch.zeros(WIDTH), x)
        assert isinstance(rows, Tensor)
        return torch.cat([self.layer(rows), carried[None]])


def expected(module: nn.Module, x: np.ndarray) -> np.ndarray:
    """What the module gives where its weights themselves are in double."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            result: np.ndarray = module.double()(torch.from_numpy(x).double()).numpy()
        return result
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("kind", [Branching, Looping, Scanning])
@pytest.mark.parametrize("sign", [1, -1])
def test_branches_and_loops_run_in_float64(kind: type[Branching], sign: int) -> None:
    x = sign * np.random.default_rng(0).uniform(size=(5, WIDTH)).astype(np.float32)
    specs = [TensorSpec("x", "float32", ("n", WIDTH))]

    oracle = oracles.of_module(kind().eval(), specs, {"x": x})
    (output,) = oracle.answer({"x": x}).values()

    assert oracle.exact, oracle.name
    assert output.dtype == np.float64
    assert np.abs(output - expected(kind(), x)).max() < 1e-14
    plain = oracle.in_float32({"x": x})
    assert plain is not None
    assert np.abs(plain["output"] - output).max() < 1e-5
