"""The weights' file: written, recognised, kept, overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import InputError
from toolkit.pipelines.train import train
from toolkit.sources.reference import Epoch


def test_weights_are_written_recognised_kept_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "models" / "mlp.safetensors"
    seen: list[Epoch] = []

    first = train(path, watch=seen.append)
    written = path.read_bytes()
    again = train(path)
    other = train(path, data="random")
    kept = path.read_bytes()
    forced = train(path, data="random", force=True)

    outcomes = [each.outcome for each in (first, again, other, forced)]
    assert outcomes == ["written", "same", "kept", "written"]
    assert kept == written
    assert path.read_bytes() != written
    assert (first.learned_from, first.held_out, first.parameters) == (1437, 360, 8578)
    assert tuple(seen) == first.epochs
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_in_the_place_of_the_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        train(tmp_path)

    assert caught.value.what == f"{tmp_path} is a folder; a file's name is needed"


def test_the_committed_weights_are_as_good_as_a_training_here() -> None:
    """Compared by accuracy: another processor's vector instructions give other last bits."""
    import torch

    from toolkit.sources import factory, reference, source

    file = Path(__file__).parents[2] / "models" / "mlp" / "mlp.safetensors"
    module = factory.build(source.Source(reference.SOURCE.factory, file))
    examples = reference.split("digits")

    with torch.no_grad():
        outputs = module(torch.from_numpy(examples.held_x)).numpy()
    right = (outputs > 0.5) == (examples.held_y > 0.5)

    assert right.mean(0).min() > 0.96
