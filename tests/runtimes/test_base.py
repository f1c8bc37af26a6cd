"""What the contract does for every runtime."""

from __future__ import annotations

from functools import partial

import pytest

from toolkit.runtimes import base


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_call_without_its_partial_is_the_same_call(count: int) -> None:
    made = partial(lambda *values: values, *range(count))

    assert base.direct(made)() == made() == tuple(range(count))


def test_up_to_three_arguments_need_no_partial_and_words_keep_it() -> None:
    short, named = partial(print, 1, 2), partial(print, end="")

    assert not isinstance(base.direct(short), partial)
    assert base.direct(named) is named
