"""Weights from files: each format, what does not fit, and what would run code."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from toolkit.errors import InputError
from toolkit.sources import weights
from toolkit.sources.source import Source


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 2)
        self.b = nn.Linear(2, 1)


@pytest.fixture
def trained() -> dict[str, torch.Tensor]:
    return {name: torch.rand_like(tensor) for name, tensor in Net().state_dict().items()}


def write(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    elif path.suffix == ".npz":
        arrays = {name: tensor.numpy() for name, tensor in state.items()}
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt", ".pth"])
def test_every_format_gives_the_weights_that_were_saved(
    tmp_path: Path, trained: dict[str, torch.Tensor], suffix: str
) -> None:
    module = Net()

    weights.put(write(tmp_path / f"w{suffix}", trained), module)

    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, trained[name])


def test_a_checkpoint_with_one_state_dict_is_unpacked(
    tmp_path: Path, trained: dict[str, torch.Tensor]
) -> None:
    torch.save({"epoch": 3, "model": trained}, tmp_path / "w.pt")

    assert set(weights.read(tmp_path / "w.pt")) == set(trained)


def test_weights_of_another_module_are_refused_by_name_and_shape(tmp_path: Path) -> None:
    state = {
        "a.weight": torch.zeros(2, 4),
        "a.bias": torch.zeros(2),
        "c.weight": torch.zeros(1),
    }

    with pytest.raises(InputError) as caught:
        weights.put(write(tmp_path / "w.safetensors", state), Net())

    assert caught.value.what == "w.safetensors does not hold this module's weights"
    assert caught.value.cures == (
        "a.weight is 2x4, the module's is 2x3",
        "missing: b.weight, b.bias",
        "not in the module: c.weight",
    )


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch stolen",)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Malicious()}, tmp_path / "w.pt")

    with pytest.raises(InputError) as caught:
        weights.read(tmp_path / "w.pt")

    assert caught.value.what == (
        "w.pt holds more than tensors; it is not loaded, since that could run any code"
    )
    assert not (tmp_path / "stolen").exists()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("w.safetensors", "w.safetensors is no safetensors file: "),
        ("w.npz", "w.npz is no .npz file of plain arrays: "),
        ("w.pt", "w.pt "),
        ("w.h5", "w.h5: weights are .safetensors, .pt or .npz"),
    ],
)
def test_a_file_of_another_kind_is_told_in_one_line(tmp_path: Path, name: str, error: str) -> None:
    (tmp_path / name).write_bytes(b"not weights at all" * 10)

    with pytest.raises(InputError) as caught:
        weights.read(tmp_path / name)

    assert caught.value.what.startswith(error)
    assert "\n" not in caught.value.what


def test_an_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([Malicious()], dtype=object))

    with pytest.raises(InputError, match=r"no \.npz file of plain arrays"):
        weights.read(tmp_path / "w.npz")


def test_a_file_that_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"a": 1}, tmp_path / "w.pt")

    with pytest.raises(InputError, match="holds no tensors by name; one state_dict is needed"):
        weights.read(tmp_path / "w.pt")


def test_the_hash_of_a_file_is_the_one_that_other_tools_say(
    tmp_path: Path, trained: dict[str, torch.Tensor]
) -> None:
    file = write(tmp_path / "w.safetensors", trained)

    digest = weights.sha256(Source("net.py:Net", file), Net())

    assert digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_hash_without_a_file_depends_on_the_weights_alone(
    trained: dict[str, torch.Tensor],
) -> None:
    first, second, changed = Net(), Net(), Net()
    for module in (first, second, changed):
        module.load_state_dict(trained)
    changed.b.bias.data += 1
    named = Source("net.py:Net")

    assert weights.sha256(named, first) == weights.sha256(named, second)
    assert weights.sha256(named, first) != weights.sha256(named, changed)
