"""The models of real size are what INPUTS says, and what our own parts compute is right."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch

from benchmarks import growth
from benchmarks.scale import grown, models
from toolkit.exporter import tracing
from toolkit.feeds.drawing import Drawer
from toolkit.sources import calls, inputs


def test_every_factory_has_its_inputs_stated() -> None:
    factories = {
        name
        for name, value in vars(models).items()
        if inspect.isfunction(value)
        and value.__module__ == models.__name__
        and not name.startswith("_")
    }

    assert factories == set(models.INPUTS)


@pytest.mark.large
@pytest.mark.parametrize("name", ["mobilenet", "detector", "t5_encoder"])
def test_a_model_takes_what_is_stated_and_is_the_same_each_time(name: str) -> None:
    stated = inputs.parse_all(models.INPUTS[name])
    factory = getattr(models, name)
    specs = [each.spec for each in stated]
    drawn = Drawer(tuple(specs)).draw(tracing.find(factory(), stated).sizes).arrays
    feed = {name: torch.from_numpy(array) for name, array in drawn.items()}

    first, second = (calls.outputs(tracing.call(factory(), feed)) for _ in range(2))

    for mine, theirs in zip(first.values(), second.values(), strict=True):
        assert torch.equal(mine, theirs)
        # Numbers that neither died nor grew out of bounds on their way through the net.
        assert mine.dtype == torch.int64 or 0.01 < float(mine.std()) < 1000


def test_boxes_that_a_better_one_overlaps_are_suppressed() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [0, 1, 10, 11], [20, 0, 30, 10], [0, 0, 2, 2.0]])
    scores = torch.tensor([0.8, 0.9, 0.5, 0.01])

    # Of the first and the second 90 of 110 are shared; the last has too low a score.
    assert models._suppressed(boxes, scores, overlap=0.5, least=0.05).tolist() == [1, 2]
    assert models._suppressed(boxes, scores, overlap=0.9, least=0.05).tolist() == [1, 0, 2]


@pytest.mark.parametrize(("name", "parameters"), [("dense_1", 1_002_000), ("chain_10", 1360)])
def test_a_model_of_any_size_is_as_large_as_its_name_says(name: str, parameters: int) -> None:
    module = getattr(grown, name)()
    stated = inputs.parse_all(grown.inputs(name))
    (drawn,) = tracing.draw(stated, {"batch": 2}).values()

    assert sum(p.numel() for p in module.parameters()) == parameters
    assert module(drawn).shape == drawn.shape


def test_every_size_that_is_measured_has_a_factory() -> None:
    assert all(callable(getattr(grown, name)) for name in growth.names())
    with pytest.raises(AttributeError):
        _ = grown.dense_many


def test_how_cost_grows_is_shown_by_the_newest_line_of_each_size(tmp_path: Path) -> None:
    used = {"seconds": 2.0, "memory": 1_000_000}
    lines = [
        {"model": name, "bare": used, "export": used, "check": {**used, "seconds": s}, "call": 0.01}
        for name, s in (("chain_10", 9.0), ("chain_50", 4.0), ("dense_1", 5.0), ("chain_10", 3.0))
    ]

    rows = growth.markdown(lines).splitlines()[2:]
    growth.draw(growth.newest(lines), tmp_path / "growth.svg")

    sizes = [row.split("|")[1].strip() for row in rows]
    assert sizes == ["1 million weights", "10 nodes", "50 nodes"]
    assert [row.split("|")[4].strip() for row in rows] == ["5.0 s", "3.0 s", "4.0 s"]
    assert "million weights" in (tmp_path / "growth.svg").read_text()
