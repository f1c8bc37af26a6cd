"""torch's list of ONNX functions is asked for once, and is what torch would have had."""

from __future__ import annotations

import pytest
from torch.onnx._internal.exporter import _registration

from toolkit.exporter import torchlib


def registered() -> dict[str, int]:
    registry = _registration.ONNXRegistry.from_torchlib()
    return {str(target): len(functions) for target, functions in registry.functions.items()}


def test_the_list_is_that_of_torch_and_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    apis = getattr(_registration, torchlib.APIS)
    usual = registered()
    with torchlib.listed_once():
        first = registered()
    real, asked = apis.get_torchlib_ops, list[int]()

    def ask() -> object:
        asked.append(1)
        return real()

    monkeypatch.setattr(apis._module, "get_torchlib_ops", ask)

    with torchlib.listed_once(), torchlib.listed_once():
        again = registered()

    assert usual == first == again
    assert asked == []
    assert getattr(_registration, torchlib.APIS) is apis
    registered()
    assert asked == [1]


def test_without_the_private_name_the_list_is_asked_for_as_always(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(_registration, torchlib.APIS)

    with torchlib.listed_once():
        assert not hasattr(_registration, torchlib.APIS)
