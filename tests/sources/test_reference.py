"""The reference model learns real digits, the same way each time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save

from toolkit.sources import reference
from toolkit.sources.reference import Epoch


def test_the_net_has_the_layers_of_the_tutorial() -> None:
    shapes = {name: tuple(t.shape) for name, t in reference.net().state_dict().items()}

    assert shapes == {
        "fc1.weight": (128, 64),
        "fc1.bias": (128,),
        "fc2.weight": (2, 128),
        "fc2.bias": (2,),
    }
    assert reference.net()(torch.zeros(3, 64)).shape == (3, 2)


def test_the_digits_are_scaled_and_labelled() -> None:
    x, y = reference.digits()

    assert x.shape == (1797, 64)
    assert x.dtype == y.dtype == np.float32
    assert (x.min(), x.max()) == (0.0, 1.0)
    # The first ten images are the digits 0 to 9.
    assert y[:10, 0].tolist() == [0, 1] * 5
    assert y[:10, 1].tolist() == [0] * 5 + [1] * 5


@pytest.mark.process
def test_the_digits_are_read_without_scikit_learns_second_of_imports() -> None:
    code = (
        "import sys; from toolkit.sources import reference; reference.digits();"
        "print(sorted({'sklearn', 'scipy', 'torch'} & set(sys.modules)))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def test_the_digits_are_those_of_scikit_learns_own_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked where the file is not found."""
    read = reference.digits()
    monkeypatch.setattr(reference, "DIGITS", "data/elsewhere.csv.gz")

    for mine, theirs in zip(read, reference.digits(), strict=True):
        assert mine.tobytes() == theirs.tobytes()


def test_what_is_held_out_is_never_learnt_from() -> None:
    examples = reference.split("digits")

    assert (examples.x.shape, examples.y.shape) == ((1437, 64), (1437, 2))
    assert (examples.held_x.shape, examples.held_y.shape) == ((360, 64), (360, 2))
    assert np.array_equal(examples.held_x, reference.held_out())
    everything = np.concatenate([examples.x, examples.held_x])
    assert np.array_equal(np.sort(everything.sum(1)), np.sort(reference.digits()[0].sum(1)))


def test_two_trainings_give_the_same_bytes_and_learn_both_labels() -> None:
    epochs: list[Epoch] = []
    torch.manual_seed(7)

    first = reference.train(watch=epochs.append)
    torch.manual_seed(8)
    second = reference.train()

    assert save(first) == save(second)
    assert [epoch.number for epoch in epochs] == list(range(1, 11))
    assert epochs[-1].loss < epochs[0].loss / 5
    assert min(epochs[-1].accuracy) > 0.95


def test_training_leaves_torchs_random_numbers_and_threads_alone() -> None:
    torch.manual_seed(7)
    state, threads = torch.get_rng_state(), torch.get_num_threads()

    reference.train("random")

    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_nothing_is_learnt_from_the_tutorials_random_data() -> None:
    epochs: list[Epoch] = []

    reference.train("random", epochs.append)

    assert max(epochs[-1].accuracy) < 0.6
