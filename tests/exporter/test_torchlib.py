"""torch's ONNX functions are read once, and are those that torch would have had."""

from __future__ import annotations

import pytest
from onnxscript import values
from torch.onnx._internal.exporter import _registration

from toolkit.exporter import torchlib
from toolkit.exporter.translations import imaginary


def registered() -> dict[str, int]:
    registry = _registration.ONNXRegistry.from_torchlib()
    return {str(target): len(functions) for target, functions in registry.functions.items()}


def test_the_list_is_that_of_torch_and_each_function_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = registered()
    real = values.TracedOnnxFunction.function_ir.fget  # type: ignore[attr-defined]
    read = list[int]()

    def parse(function: values.TracedOnnxFunction) -> object:
        read.append(1)
        return real(function)

    monkeypatch.setattr(torchlib, "_known", {})
    monkeypatch.setattr(values.TracedOnnxFunction, torchlib.READ, property(parse))
    with torchlib.read_once():
        first = registered()
        once = len(read)
        again = registered()

    assert usual == first == again
    assert once == len(read) > 100
    registered()  # As torch does it by itself.
    assert len(read) > once


def test_what_is_added_for_one_export_is_not_there_in_the_next() -> None:
    used: set[str] = set()
    with torchlib.read_once():
        plain = registered()
        with imaginary.known(used):
            added = registered()
        after = registered()

    assert plain == after
    assert added != plain


def test_without_the_private_name_the_list_is_asked_for_as_always(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(_registration, torchlib.APIS)

    with torchlib.read_once():
        assert not hasattr(_registration, torchlib.APIS)
