"""The pytest plug-in: a test marked `onnx` fails unless the model's answers are right.

    @pytest.mark.onnx("models/net.onnx", targets=["onnxruntime", "openvino"], accept="float16")
    def test_the_net_is_right() -> None: ...

pytest loads this file at its start, so that it imports nothing of toolkit's before a mark asks.
"""

from __future__ import annotations

import inspect
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from toolkit.pipelines.request import FinishedRun

MARK = (
    "onnx(model, targets=(), accept=(), source=None, timeout=None, memory_limit=None): fails "
    "unless the answers of this .onnx file are right on every target, as toolkit.assert_right has "
    "it. A relative path starts at pytest's rootdir."
)

CHECKS: pytest.StashKey[dict[str, FinishedRun | str]] = pytest.StashKey()
"""The arguments of a mark → the finished check, or the text of what is wrong: several tests of one
model judge it once."""
CHECKED: pytest.StashKey[list[FinishedRun]] = pytest.StashKey()
"""The finished checks of a test."""


def pytest_configure(config: pytest.Config) -> None:
    """Declares the mark, so that --strict-markers knows it."""
    config.addinivalue_line("markers", MARK)
    config.stash[CHECKS] = {}


@pytest.fixture
def onnx_checked(request: pytest.FixtureRequest) -> list[FinishedRun]:
    """The finished checks of the test's `onnx` marks, in the order in which they are written."""
    return _checked(request.node)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Judges the models of a test's marks before its body, as part of it: a model that is not right
    is a failure, not an error of the set-up."""
    # The mark that is written first is the outermost decorator, and comes last here.
    for mark in reversed([*pyfuncitem.iter_markers("onnx")]):
        _checked(pyfuncitem).append(_judged(pyfuncitem, mark))
    return (yield)


def _checked(item: pytest.Item) -> list[FinishedRun]:
    return item.stash.setdefault(CHECKED, [])


def _judged(item: pytest.Item, mark: pytest.Mark) -> FinishedRun:
    """Returns the finished check of a mark; fails the test where the model is not right."""
    from toolkit.api.asserting import assert_right
    from toolkit.errors import ToolkitError

    try:
        given = inspect.signature(assert_right).bind(*mark.args, **mark.kwargs)
    except TypeError as error:
        pytest.fail(f"@pytest.mark.onnx: {error}", pytrace=False)
    given.arguments["model"] = item.config.rootpath / Path(given.arguments["model"])
    checks = item.config.stash[CHECKS]
    key = repr(given.arguments)
    if key not in checks:
        try:
            checks[key] = assert_right(*given.args, **given.kwargs)
        except AssertionError as error:
            checks[key] = str(error)
        except ToolkitError as error:
            checks[key] = "\n  ".join((error.what, *error.cures))
    outcome = checks[key]
    if isinstance(outcome, str):
        pytest.fail(outcome, pytrace=False)
    return outcome
