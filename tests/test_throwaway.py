"""The versions that `make test-oldest` installs are those that setup.cfg promises."""

from __future__ import annotations

import pytest

from tests import throwaway

CONFIG = """
[options]
install_requires =
    torch>=2.11
    vl-convert-python>=1.9

[options.extras_require]
# Exactly one of the two.
cpu =
    onnxruntime>=1.24.1
gpu =
    onnxruntime-gpu>=1.24.1
"""


def test_the_lower_bounds_are_those_of_an_installation_for_the_cpu() -> None:
    assert throwaway.lower_bounds(CONFIG) == {
        "torch": "2.11",
        "vl-convert-python": "1.9",
        "onnxruntime": "1.24.1",
    }


@pytest.mark.parametrize("requirement", ["torch", "torch==2.11", "torch>=2.11,<3", "torch>=2.*"])
def test_a_requirement_without_one_lower_bound_is_refused(requirement: str) -> None:
    with pytest.raises(ValueError, match=r"is not NAME>=VERSION"):
        throwaway.lower_bounds(CONFIG.replace("torch>=2.11", requirement))


def test_every_requirement_here_has_a_lower_bound() -> None:
    bounds = throwaway.lower_bounds((throwaway.ROOT / "setup.cfg").read_text("utf-8"))

    assert {"torch", "onnx", "onnxruntime"} <= set(bounds)


def test_every_tested_folder_is_there() -> None:
    assert [name for name in throwaway.TESTS if not (throwaway.ROOT / name).exists()] == []
